//! What ends when something goes away.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use drover_shared::schema::FailureKind;

use super::super::{Credential, Relay, RelayError, Secret, Upstream, UpstreamError};
use super::cli::Cli;
use super::provider::{KEY, Provider, catalog, delta, opened, started};
use super::{job, relay, soon};

#[tokio::test]
async fn without_its_binding_a_call_ends_and_the_model_stops() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());

    // Before the provider has answered.
    let binding = relay.bind(job());
    let cli = Cli::ask(&relay).await;
    let asked = provider.asked().await;
    drop(binding);
    asked.closed().await;
    assert_eq!(cli.rest().await.0, 0);

    // While it answers.
    let binding = relay.bind(job());
    let mut cli = Cli::ask(&relay).await;
    let mut asked = provider.asked().await;
    asked.begin().await;
    asked.send(&[started(), delta("one")].concat()).await;
    cli.until(b"one").await;
    drop(binding);
    asked.closed().await;
    cli.rest().await;

    // While the CLI reads nothing.
    let binding = relay.bind(job());
    let _cli = Cli::ask(&relay).await;
    let mut asked = provider.asked().await;
    asked.begin().await;
    asked.fill().await;
    drop(binding);
    asked.closed().await;
}

#[tokio::test]
async fn when_the_cli_hangs_up_the_model_stops() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    for answered in [false, true] {
        let binding = relay.bind(job());
        let mut cli = Cli::ask(&relay).await;
        let mut asked = provider.asked().await;
        if answered {
            asked.begin().await;
            asked.send(&[started(), opened()].concat()).await;
            cli.until(b"message_start").await;
        }
        drop(cli);
        asked.closed().await;
        let mut watch = binding.watch();
        let report = soon(watch.wait_for(|report| report.failure.is_some())).await.expect("a report");
        assert_eq!(report.failure.as_ref().map(|failure| failure.kind), Some(FailureKind::CliFailed));
    }
}

#[tokio::test]
async fn a_relay_takes_everything_with_it() {
    let mut provider = Provider::start().await;
    let (folder, relay) = relay(provider.upstream());
    let socket = folder.path().join("relay.sock");
    let mode = std::fs::metadata(&socket).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let _binding = relay.bind(job());
    let mut cli = Cli::ask(&relay).await;
    let mut asked = provider.asked().await;
    asked.begin().await;
    asked.send(&[started(), opened()].concat()).await;
    cli.until(b"message_start").await;
    drop(relay);
    assert!(!socket.exists());
    asked.closed().await;
    cli.rest().await;
}

#[tokio::test]
async fn a_socket_that_cannot_be_is_explained() {
    let upstream = Provider::start().await.upstream();
    let long = PathBuf::from(format!("/tmp/{}", "x".repeat(200)));
    let error = Relay::unix(&long, None, upstream.clone()).expect_err("too long");
    assert!(matches!(&error, RelayError::PathTooLong(path) if *path == long));
    assert!(error.to_string().contains("205 bytes long, 107 are possible"), "{error}");

    let (folder, _relay) = relay(upstream.clone());
    for path in ["relay.sock", "none/relay.sock"] {
        let path = folder.path().join(path);
        let error = Relay::unix(&path, None, upstream.clone()).expect_err("taken or nowhere");
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    }
    assert!(folder.path().join("relay.sock").exists(), "another's socket is left alone");
}

#[tokio::test]
async fn tokens_differ_and_nothing_secret_is_printed() {
    let upstream = Provider::start().await.upstream();
    let (_one, first) = relay(upstream.clone());
    let (_two, second) = relay(upstream.clone());
    assert_ne!(first.token().expose(), second.token().expose());
    let _binding = first.bind(job());
    let shown = format!("{first:?} {upstream:?} {:?}", Credential::ApiKey(Secret::new(KEY)));
    assert!(!shown.contains(KEY) && !shown.contains(first.token().expose()), "{shown}");
    assert!(!shown.contains("ferry"), "{shown}");
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let start = |base_url: &str, key: &str| {
        let key = Credential::ApiKey(Secret::new(key));
        Upstream::new(catalog(&[("anthropic", base_url)], key), "1", 1)
    };
    for base_url in ["", "api.anthropic.com", "ftp://x", "https://x/?a=b"] {
        assert!(matches!(start(base_url, KEY), Err(UpstreamError::BaseUrl { .. })), "{base_url}");
    }
    assert!(matches!(start("https://x", "a\nb"), Err(UpstreamError::Header)));
}
