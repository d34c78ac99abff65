//! What the agent class relies on, proven on the real CLI: sessions that move between slots, claims, tools.

use drover_shared::cli::invocation::{self, AgentStart, Claim};
use drover_shared::schema::{Event, StopReason};
use drover_tests::harness::{Agent, AgentSlot, ClaudeKind};
use drover_tests::upstream::Upstream;
use serde_json::Value;

const SYSTEM: &str = "Speak like a pirate.";
/// Every prompt differs, since the upstream plays the first part of each once.
const TURNS: [&str; 3] = [
    r#"1 times think "hm" then say "I look." then call Bash {"command":"pwd; cat CLAUDE.md"} or say "Seen.""#,
    r#"1 times call Bash {"command":"echo kept > note.txt"} then call Bash {"command":"exit 3"} or say "Kept.""#,
    r#"1 times call Bash {"command":"cat note.txt; ls"} or say "There it is.""#,
];
const FOURTH: &str = "Still there?";
const FIFTH: &str = "And now?";

/// A process in its project, as that build begins one.
async fn begin(slot: &AgentSlot, kind: ClaudeKind, url: &str) -> Agent {
    if kind == ClaudeKind::JavaScript {
        return slot.start(kind, url, AgentStart::Cold, SYSTEM).await;
    }
    let mut agent = slot.start(kind, url, AgentStart::Spare, "").await;
    let claim = Claim { cwd: &slot.project(), system: SYSTEM };
    let session = agent.control(&invocation::claim("claim", &claim)).await.expect("the claim is taken");
    assert!(session.is_some(), "a claim tells the session");
    agent
}

async fn succeed(agent: &mut Agent, text: &str) {
    let end = agent.turn(text).await;
    assert!(!end.is_error && end.stop == Some(StopReason::EndTurn), "{text}: {end:?}");
}

/// The body of the n-th call with this prompt, but for the slot it was made in.
fn body(upstream: &Upstream, prompt: &str, n: usize, slot: &AgentSlot) -> Value {
    let calls = upstream.calls_for(prompt);
    let body = calls[n].body.to_string().replace(&slot.path().display().to_string(), "SLOT");
    let mut body: Value = serde_json::from_str(&body).expect("JSON");
    // Each home has a random device identifier.
    body.as_object_mut().expect("an object").remove("metadata");
    body
}

async fn moves_between_slots(kind: ClaudeKind) {
    let upstream = Upstream::start();
    let [a, b, c] = [(); 3].map(|()| AgentSlot::with_project());
    let mut first = begin(&a, kind, &upstream.url()).await;
    for text in TURNS {
        succeed(&mut first, text).await;
    }
    let three_turns = first.mirrored.clone();
    // What the first process sends next is what the others have to send.
    succeed(&mut first, FOURTH).await;
    succeed(&mut first, FIFTH).await;
    first.kill().await;

    b.write("note.txt", "kept\n");
    let mut second = b.resume(kind, &upstream.url(), &three_turns, SYSTEM).await;
    succeed(&mut second, FOURTH).await;
    assert_eq!(body(&upstream, FOURTH, 1, &b), body(&upstream, FOURTH, 0, &a));
    // It dies in the middle of a turn, while a command runs.
    second.say(r#"say "I wait." then call Bash {"command":"sleep 60"}"#).await;
    second
        .until(|agent| agent.mirrored.iter().any(|entry| entry.contains(r#"{"command":"sleep 60"}"#)))
        .await;
    let later = second.kill().await;

    let mut third = c.resume(kind, &upstream.url(), &[three_turns, later].concat(), SYSTEM).await;
    succeed(&mut third, FIFTH).await;
    assert_eq!(body(&upstream, FIFTH, 1, &c), body(&upstream, FIFTH, 0, &a));
}

#[tokio::test]
async fn a_session_goes_on_in_another_slot_with_the_same_conversation() {
    moves_between_slots(ClaudeKind::Native).await;
}

#[tokio::test]
async fn a_session_of_the_javascript_build_goes_on_in_another_slot() {
    moves_between_slots(ClaudeKind::JavaScript).await;
}

#[tokio::test]
async fn a_claim_that_the_projects_settings_forbid_is_answered_with_a_cold_start() {
    let upstream = Upstream::start();
    let slot = AgentSlot::with_project();
    slot.write(
        ".claude/settings.json",
        r#"{"model":"opus","env":{"ANTHROPIC_BASE_URL":"http://127.0.0.1:1"}}"#,
    );
    let mut spare = slot.start(ClaudeKind::Native, &upstream.url(), AgentStart::Spare, "").await;
    let claim = Claim { cwd: &slot.project(), system: SYSTEM };
    let refusal = spare.control(&invocation::claim("claim", &claim)).await.expect_err("a refusal");
    assert!(refusal.starts_with("project_settings_not_claimable"), "{refusal}");
    let mut cold = slot.start(ClaudeKind::Native, &upstream.url(), AgentStart::Cold, SYSTEM).await;
    succeed(&mut cold, "Hello?").await;
    let body = &upstream.calls_for("Hello?")[0].body;
    assert_eq!(body["model"], invocation::PLACEHOLDER_MODEL);
    assert!(body["messages"].to_string().contains("Always count in moose."), "CLAUDE.md is read");
    assert!(body["system"].to_string().contains(SYSTEM), "the client's system text is appended");
}

#[tokio::test]
async fn an_interrupted_command_leaves_a_process_that_goes_on() {
    let upstream = Upstream::start();
    let slot = AgentSlot::with_project();
    let mut agent = begin(&slot, ClaudeKind::Native, &upstream.url()).await;
    agent.say(r#"call Bash {"command":"touch begun; sleep 60"}"#).await;
    agent.until(|agent| agent.events.iter().any(|event| matches!(event, Event::ToolStarted { .. }))).await;
    agent.control(&invocation::interrupt("stop")).await.expect("the interrupt is taken");
    let end = agent.turn_end().await;
    assert!(end.interrupted() && end.is_error, "{end:?}");
    assert!(agent.events.iter().any(|event| matches!(event, Event::ToolFinished { failed: true, .. })));
    succeed(&mut agent, "Go on.").await;
    // The marker of the interruption goes up with the next text, but is no text of the client's.
    assert!(upstream.calls_for("Go on.")[0].body.to_string().contains("[Request interrupted by user"));
}
