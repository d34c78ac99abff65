//! A worker is lost at the very moment at which a tool would begin.

use std::path::PathBuf;
use std::time::Duration;

use drover_shared::schema::{Event, JobId, ProjectId};
use drover_tests::client::PATIENCE;
use drover_tests::desk::{Desk, text};
use drover_tests::harness::{Cluster, Lock};
use drover_tests::upstream::{Call, Ending, Upstream};
use nix::sys::signal::Signal;

use crate::sessions::builder;

/// Many times what a tool takes to begin that may. The fault itself: nothing else tells that it does not.
const TEMPTATION: Duration = Duration::from_secs(1);
/// Begins with a tool, after the time that it takes to lock the database.
const PROMPT: &str = r#"until told wait 3s then call Bash {"command":"echo ran >> lines"} or say "done""#;

/// The project's file, wherever the project is.
fn lines(cluster: &Cluster, project: ProjectId) -> Option<String> {
    let inside = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten();
    let data = cluster.dir().join("data");
    let slots = inside(data.join("slots")).flat_map(|worker| inside(worker.path()));
    let out = slots.map(|slot| slot.path().join("project"));
    let mut homes = out.chain([data.join("projects")]);
    homes.find_map(|home| std::fs::read_to_string(home.join(project.to_string()).join("lines")).ok())
}

/// A job whose model has called its tool while nothing can be written.
async fn called_while_locked(
    cluster: &Cluster,
    upstream: &Upstream,
    desk: &Desk,
    project: ProjectId,
) -> (JobId, Lock) {
    let job = desk.ask(&desk.session(project).await, PROMPT).await;
    upstream.wait_for("the model is asked", PATIENCE, |call| call.prompt == PROMPT).await;
    let lock = Lock::take(cluster).await;
    let told = |call: &Call| call.prompt == PROMPT && call.ending == Ending::Complete;
    upstream.wait_for("the model has called its tool", PATIENCE, told).await;
    (job, lock)
}

#[tokio::test]
async fn a_tool_that_the_store_does_not_know_of_has_not_run() {
    let upstream = Upstream::start();
    let mut cluster = builder(&upstream).start().await;
    let desk = Desk::of(&cluster).await;
    let project = desk.project().await;
    let (job, lock) = called_while_locked(&cluster, &upstream, &desk, project).await;
    tokio::time::sleep(TEMPTATION).await;
    assert!(!desk.has_spoken(job).await, "nothing can be written");
    assert_eq!(lines(&cluster, project), None, "and so nothing has run");
    cluster.kill_worker(0, Signal::SIGKILL).await;
    lock.release().await;

    cluster.add_worker().await;
    let events = desk.events(job).await;
    assert!(matches!(events.last(), Some(Event::Completed { .. })), "{events:#?}");
    assert_eq!(text(&events), "done");
    let attempts = events.iter().filter(|event| matches!(event, Event::AttemptStarted { .. }));
    assert_eq!(attempts.count(), 2, "it was run again: {events:#?}");
    let begun = events.iter().filter(|event| matches!(event, Event::ToolStarted { .. }));
    assert_eq!(begun.count(), 1, "{events:#?}");
    assert_eq!(lines(&cluster, project).as_deref(), Some("ran\n"));
}

#[tokio::test]
async fn a_tool_waits_for_the_store_and_no_longer() {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).start().await;
    let desk = Desk::of(&cluster).await;
    let project = desk.project().await;
    let (job, lock) = called_while_locked(&cluster, &upstream, &desk, project).await;
    lock.release().await;
    let events = desk.events(job).await;
    assert!(matches!(events.last(), Some(Event::Completed { .. })), "{events:#?}");
    let attempts = events.iter().filter(|event| matches!(event, Event::AttemptStarted { .. }));
    assert_eq!(attempts.count(), 1, "{events:#?}");
    assert_eq!(lines(&cluster, project).as_deref(), Some("ran\n"));
}
