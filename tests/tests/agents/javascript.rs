//! The JavaScript build: no spares, a relay on a port, and otherwise the same.

use drover_tests::desk::Desk;
use drover_tests::harness::ClaudeKind;
use drover_tests::upstream::Upstream;
use nix::sys::signal::Signal;

use crate::sessions::{builder, pool, run};

#[tokio::test]
async fn a_javascript_session_stays_in_its_process_and_is_resumed_after_its_worker_died() {
    let upstream = Upstream::start();
    let mut cluster = builder(&upstream).claude(ClaudeKind::JavaScript).start().await;
    let (client, desk) = (cluster.client(), Desk::of(&cluster).await);
    let session = desk.session(desk.project().await).await;
    assert_eq!(desk.said(&session, &run("echo 1 > one", "first")).await, "first");
    let second = run("cat one; echo 2 > two", "second");
    assert_eq!(desk.said(&session, &second).await, "second");
    let told = upstream.calls_for(&second).pop().expect("its calls").body["messages"].to_string();
    assert_eq!(told.matches("first").count(), 2, "its script and its answer: {told}");
    let figures = pool(&client, "the process has stayed", |pool| pool["resident_claims"] == 1).await;
    assert_eq!((&figures["cold_starts"], &figures["agent_spares"]), (&1.into(), &0.into()), "{figures}");

    cluster.kill_worker(0, Signal::SIGKILL).await;
    cluster.add_worker().await;
    let third = run("cat one two", "third");
    assert_eq!(desk.said(&session, &third).await, "third");
    let told = upstream.calls_for(&third).pop().expect("its calls").body["messages"].to_string();
    assert_eq!((told.matches("first").count(), told.matches("second").count()), (2, 2), "{told}");
    assert!(told.contains("1\\n2"), "the files are there: {told}");
    let exit = cluster.kill_worker(1, Signal::SIGTERM).await;
    assert!(exit.success(), "{exit}");
    cluster.wait_until_no_descendants().await;
}
