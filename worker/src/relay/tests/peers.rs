//! Whose connections are heard.

use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::super::Relay;
use super::cli::Cli;
use super::provider::Provider;
use super::soon;

/// A relay that has not been told whose connections it is to hear.
fn relay(provider: &Provider) -> (TempDir, Relay) {
    let folder = TempDir::new().expect("a folder");
    let relay = Relay::unix(&folder.path().join("relay.sock"), None, provider.upstream()).expect("a relay");
    (folder, relay)
}

#[tokio::test]
async fn a_stranger_is_not_heard_even_with_the_token() {
    let provider = Provider::start().await;
    let (_folder, relay) = relay(&provider);
    let mut another = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().expect("a process");
    relay.admit(another.id().cast_signed());
    let (status, said) = Cli::ask(&relay).await.rest().await;
    assert_eq!((status, said.as_str()), (0, ""));
    another.kill().expect("killed");
    another.wait().expect("reaped");
}

#[tokio::test]
async fn a_connection_waits_until_it_is_known_whose_it_may_be() {
    let provider = Provider::start().await;
    let (_folder, relay) = relay(&provider);
    let answered = Cli::ask(&relay).await.rest();
    tokio::pin!(answered);
    tokio::task::yield_now().await;
    assert!(futures_util::poll!(&mut answered).is_pending());
    relay.admit(std::process::id().cast_signed());
    let (status, _) = soon(answered).await;
    assert!(status >= 400, "heard, and refused because no job is bound: {status}");
}
