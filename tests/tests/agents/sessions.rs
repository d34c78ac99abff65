//! One worker, one session or two.

use drover_shared::schema::{Event, FailureKind};
use drover_tests::client::{Client, PATIENCE};
use drover_tests::desk::{Desk, text};
use drover_tests::harness::{Builder, ClaudeKind, Cluster, wait_for};
use drover_tests::upstream::Upstream;
use serde_json::Value;

pub(crate) fn builder(upstream: &Upstream) -> Builder {
    let builder = Cluster::builder().claude(ClaudeKind::Native).upstream(upstream);
    builder.env("DROVER_SLOTS", "2").env("DROVER_SPARES", "0").env("DROVER_AGENT_SPARES", "1")
}

pub(crate) async fn pool(client: &Client, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, PATIENCE, async || Some(client.get("/health").await.json()["pool"].clone()).filter(&holds))
        .await
}

/// A turn that runs a command, then says something.
pub(crate) fn run(command: &str, said: &str) -> String {
    let call = serde_json::json!({"command": command});
    format!("1 times call Bash {call} or say \"{said}\"")
}

#[tokio::test]
async fn a_session_stays_in_its_process_and_its_files_in_its_project() {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).start().await;
    let (client, desk) = (cluster.client(), Desk::of(&cluster).await);
    pool(&client, "a spare waits", |pool| pool["agent_spares"] == 1).await;
    let project = desk.project().await;
    let session = desk.session(project).await;

    let events = desk.events(desk.ask(&session, &run("echo kept > note", "written")).await).await;
    assert!(matches!(events.last(), Some(Event::Completed { .. })), "{events:#?}");
    assert_eq!(text(&events), "written");
    let used =
        events.iter().filter(|event| matches!(event, Event::ToolStarted { name, .. } if name == "Bash"));
    assert_eq!(used.count(), 1, "{events:#?}");
    assert!(
        events.iter().any(|event| matches!(event, Event::ToolFinished { failed: false, .. })),
        "{events:#?}"
    );

    let second = run("cat note", "read");
    assert_eq!(desk.said(&session, &second).await, "read");
    let calls = upstream.calls_for(&second);
    let last = calls.last().expect("the second turn's calls").body["messages"].to_string();
    assert!(last.contains("written") && last.contains("kept"), "the model sees the whole session: {last}");
    let rests = |pool: &Value| pool["resident_claims"] == 1 && pool["residents"] == 1;
    let figures = pool(&client, "both are told of, and the process waits again", rests).await;
    assert_eq!((&figures["spare_claims"], &figures["cold_starts"]), (&1.into(), &0.into()), "{figures}");
}

#[tokio::test]
async fn another_session_of_the_project_takes_its_place_and_the_first_is_resumed() {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).start().await;
    let desk = Desk::of(&cluster).await;
    let project = desk.project().await;
    let (first, second) = (desk.session(project).await, desk.session(project).await);
    assert_eq!(desk.said(&first, &run("echo 1 > one", "first")).await, "first");
    assert_eq!(desk.said(&second, &run("cat one && echo 2 > two", "second")).await, "second");
    let again = run("cat one two", "again");
    assert_eq!(desk.said(&first, &again).await, "again");
    let calls = upstream.calls_for(&again);
    let last = calls.last().expect("its calls").body["messages"].to_string();
    assert!(last.contains("first") && !last.contains("second"), "its own history, not the other's: {last}");
    assert!(last.contains("1\\\\n2") || last.contains("1\\n2"), "both have worked on the same files: {last}");
}

#[tokio::test]
async fn an_agent_that_goes_too_far_is_stopped_with_its_own_error() {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).start().await;
    let desk = Desk::of(&cluster).await;
    let mut session = desk.session(desk.project().await).await;
    session.options.max_turns = Some(2);
    let endless = desk.ask(&session, "call Bash {\"command\":\"true\"}").await;
    let events = desk.events(endless).await;
    let Some(Event::Failed { failure, .. }) = events.last() else { panic!("{events:#?}") };
    assert_eq!(failure.kind, FailureKind::TurnsExceeded, "{failure:?}");
    assert_eq!(upstream.calls_for("call Bash {\"command\":\"true\"}").len(), 2);

    session.options.max_turns = None;
    session.options.budget_microusd = Some(1);
    let costly = desk.ask(&session, "say 5 words then call Bash {\"command\":\"true\"}").await;
    let events = desk.events(costly).await;
    let Some(Event::Failed { failure, .. }) = events.last() else { panic!("{events:#?}") };
    assert_eq!(failure.kind, FailureKind::BudgetExceeded, "{failure:?}");
}

#[tokio::test]
async fn a_project_that_a_spare_cannot_take_up_gets_a_process_of_its_own() {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).env("DROVER_RESIDENTS", "0").start().await;
    let (client, desk) = (cluster.client(), Desk::of(&cluster).await);
    let project = desk.project().await;
    let settings = r#"mkdir .claude && echo '{"env":{"A":"b"}}' > .claude/settings.json"#;
    assert_eq!(desk.said(&desk.session(project).await, &run(settings, "written")).await, "written");
    let before = pool(&client, "a spare waits", |pool| pool["agent_spares"] == 1).await;
    assert_eq!(
        desk.said(&desk.session(project).await, &run("cat .claude/settings.json", "read")).await,
        "read"
    );
    let cold = |figures: &Value| figures["cold_starts"].as_u64() > before["cold_starts"].as_u64();
    pool(&client, "the refused spare was replaced by a process of its own", cold).await;
    assert_eq!(
        upstream.calls_for(&run("cat .claude/settings.json", "read")).len(),
        2,
        "nothing was asked twice"
    );
}
