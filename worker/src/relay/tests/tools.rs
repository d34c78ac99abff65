//! Tools that wait until the store knows that the job has spoken.

use std::path::Path;
use std::time::Duration;

use drover_shared::cli::Build;
use drover_shared::schema::Event;
use serde_json::json;
use tempfile::TempDir;

use super::super::{Binding, Relay};
use super::cli::{Cli, body};
use super::provider::{Exchange, Provider, closed, delta, ended, opened, started_with, stop, tool};
use super::session::{BUILDS, Session, agent_arguments};
use super::{agent, job, relay, soon};

/// A real agent is told of the prompt's tokens, and must not believe its window full.
const ROUND_TOKENS: u64 = 50_000;
/// What the model says before it calls the tool.
const SAID: &str = "Let me see.";
/// A hundred times what a CLI takes to start a tool that it may run. The fault itself: nothing else tells that it
/// does not.
const TEMPTATION: Duration = Duration::from_secs(1);
/// How a call of the tool ends in what the CLI is sent.
const CALL_END: &[u8] = b"content_block_stop\",\"index\":1";

async fn ask(relay: &Relay) -> Cli {
    let mut body = body();
    body["messages"][0]["content"] = "do it".into();
    body["tools"] = json!([{ "name": "Bash", "input_schema": {} }]);
    Cli::call(relay, "POST /v1/messages", relay.token().expose(), &body).await
}

/// An answer that says something and calls a tool, in one piece.
async fn call_bash(asked: &mut Exchange, command: &str) {
    asked.begin().await;
    let call = tool("Bash", &json!({ "command": command }));
    let said = [started_with(ROUND_TOKENS), opened(), delta(SAID), closed(), call, ended("tool_use"), stop()];
    asked.send(&said.concat()).await;
}

/// Waits until a tool is held; the name of the tool.
async fn held(binding: &Binding) -> String {
    let mut reports = binding.watch();
    let report = soon(reports.wait_for(|report| report.tool.is_some())).await.expect("a report").clone();
    report.tool.expect("a tool").name
}

#[tokio::test]
async fn what_completes_a_call_is_held_and_nothing_before_it() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let binding = relay.bind(agent(None, None));
    let mut cli = ask(&relay).await;
    let mut asked = provider.asked().await;
    call_bash(&mut asked, "true").await;
    assert_eq!(held(&binding).await, "Bash");
    let seen = cli.until(b"input_json_delta").await;
    assert!(seen.contains(SAID) && !seen.contains("tool_use\",\"stop_sequence"), "{seen}");
    assert!(!seen.as_bytes().windows(CALL_END.len()).any(|window| window == CALL_END), "{seen}");
    binding.let_tools_run();
    asked.finish().await;
    let (_, whole) = cli.rest().await;
    assert!(whole.contains("message_stop"), "{whole}");

    // From then on nothing waits.
    let cli = ask(&relay).await;
    let mut asked = provider.asked().await;
    call_bash(&mut asked, "true").await;
    asked.finish().await;
    assert!(cli.rest().await.1.contains("message_stop"));
}

#[tokio::test]
async fn a_chat_jobs_calls_are_the_clients_and_do_not_wait() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let binding = relay.bind(job());
    let cli = Cli::ask(&relay).await;
    let mut asked = provider.asked().await;
    call_bash(&mut asked, "true").await;
    asked.finish().await;
    assert!(cli.rest().await.1.contains("message_stop"));
    assert_eq!(binding.report().tool, None);
}

#[tokio::test]
async fn a_tool_that_waits_goes_with_its_job() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let binding = relay.bind(agent(None, None));
    let cli = ask(&relay).await;
    let mut asked = provider.asked().await;
    call_bash(&mut asked, "true").await;
    held(&binding).await;
    drop(binding);
    let (_, seen) = cli.rest().await;
    assert!(!seen.contains("message_stop"), "{seen}");
}

#[tokio::test]
async fn a_real_cli_runs_no_tool_before_it_may() {
    for build in BUILDS {
        wait_and_run(build).await;
    }
}

async fn wait_and_run(build: Build) {
    let mut provider = Provider::start().await;
    let place = TempDir::new().expect("a folder");
    let mut session = Session::start_with(&provider, build, &agent_arguments());
    let binding = session.relay.bind(agent(None, None));
    session.say("Look around").await;
    let mut asked = provider.asked().await;
    call_bash(&mut asked, &format!("mkdir {}", place.path().join("ran").display())).await;
    asked.finish().await;
    assert_eq!(held(&binding).await, "Bash");
    // What was said before has come through: the CLI has all that it may have, and time to act on it.
    session.until(|event| matches!(event, Event::TextDelta { text, .. } if text == SAID)).await;
    session.until(|event| matches!(event, Event::ToolInputDelta { .. })).await;
    tokio::time::sleep(TEMPTATION).await;
    let ran = |place: &Path| place.join("ran").exists();
    assert!(!ran(place.path()), "{build:?}");
    binding.let_tools_run();
    let next = provider.asked().await;
    next.answer_from(started_with(ROUND_TOKENS), "Done.").await;
    assert!(session.turn().await.0.ends_with("Done."));
    assert!(ran(place.path()), "{build:?}");
}
