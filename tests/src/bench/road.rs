//! The two ways to an answer that are compared: through Drover, and from a CLI started by hand.

use crate::client::{Client, Events, Frame, PATIENCE};
use crate::harness::{Builder, ClaudeKind, Cluster, DirectCli, wait_for};
use crate::upstream::{Call, Upstream};
use serde_json::{Value, json};
use std::time::Instant;

/// About what a person and a model say in a turn.
const PRIOR: &str = "This was said in an earlier turn of the conversation, at about the length at which people \
    write when they ask for something that needs a sentence or two of explanation; it is turn number";

/// When an answer was asked for, when each of its words came, and when it was known to be whole.
pub(super) struct Heard {
    pub(super) asked: Instant,
    pub(super) words: Vec<Instant>,
    pub(super) done: Instant,
}

/// A cluster as it runs in earnest: without the tests' debug logs.
pub(super) fn cluster(claude: ClaudeKind, workers: usize, upstream: &Upstream) -> Builder {
    let builder = Cluster::builder().workers(workers).claude(claude).upstream(upstream);
    builder.env("LOG_LEVEL", "info")
}

/// The body of a request.
pub(super) fn chat(prompt: &str, stream: bool) -> Value {
    json!({"stream": stream, "messages": [{"role": "user", "content": prompt}]})
}

/// The same after so many turns of a conversation, each with its answer.
pub(super) fn chat_after(turns: usize, prompt: &str) -> Value {
    let said = |role: &str, turn: usize| json!({"role": role, "content": format!("{PRIOR} {turn}")});
    let mut messages: Vec<Value> =
        (0..turns).flat_map(|turn| [said("user", turn), said("assistant", turn)]).collect();
    messages.push(json!({"role": "user", "content": prompt}));
    json!({"stream": true, "messages": messages})
}

/// Asks Drover.
pub(super) async fn through_drover(client: &Client, prompt: &str) -> Heard {
    heard(client, &chat(prompt, true)).await
}

/// Asks Drover with this body and reads the answer to its end.
pub(super) async fn heard(client: &Client, body: &Value) -> Heard {
    heard_of(client.stream("/v1/chat/completions", body).await).await
}

/// Reads an answer to its end.
pub(super) async fn heard_of(mut events: Events) -> Heard {
    assert!(events.status.is_success(), "the request was refused: {}", events.status);
    let (asked, mut words, mut done) = (events.sent, Vec::new(), false);
    while let Some(frame) = events.next().await {
        done |= frame.data == "[DONE]";
        if has_content(&frame) {
            words.push(frame.at);
        }
    }
    assert!(done && !words.is_empty(), "the answer is not whole");
    Heard { asked, words, done: Instant::now() }
}

fn has_content(frame: &Frame) -> bool {
    let data: Value = serde_json::from_str(&frame.data).unwrap_or_default();
    data["choices"][0]["delta"]["content"].as_str().is_some_and(|content| !content.is_empty())
}

/// Starts a CLI, asks it, and waits until it is gone.
pub(super) async fn by_hand(kind: ClaudeKind, upstream: &str, prompt: &str) -> Heard {
    let asked = Instant::now();
    let mut cli = DirectCli::start(kind, upstream);
    let heard = turn_by_hand(&mut cli, prompt).await;
    assert!(cli.finish().await.success(), "the CLI did not end well");
    Heard { asked, ..heard }
}

/// Asks a CLI that runs, and reads the turn to its end.
pub(super) async fn turn_by_hand(cli: &mut DirectCli, prompt: &str) -> Heard {
    let asked = Instant::now();
    cli.user(prompt).await;
    let mut words = Vec::new();
    let done = loop {
        let (at, line) = cli.line().await.expect("the CLI answers before it ends");
        let line: Value = serde_json::from_str(&line).unwrap_or_default();
        if line["event"]["delta"]["type"] == "text_delta" {
            words.push(at);
        }
        if line["type"] == "result" {
            break at;
        }
    };
    assert!(!words.is_empty(), "the CLI did not answer");
    Heard { asked, words, done }
}

/// A CLI that has played a first turn, as a worker's spares have.
pub(super) async fn primed_by_hand(kind: ClaudeKind, upstream: &str) -> DirectCli {
    let mut cli = DirectCli::start(kind, upstream);
    turn_by_hand(&mut cli, "say \".\"").await;
    cli
}

/// Waits until the heartbeats tell such figures of the pools, and returns them.
pub(super) async fn pool(client: &Client, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, PATIENCE, async || {
        let pool = client.get("/health").await.json()["pool"].take();
        Some(pool).filter(&holds)
    })
    .await
}

/// The one call that an answer took, as the provider saw it.
pub(super) async fn call_for(upstream: &Upstream, prompt: &str) -> Call {
    upstream.wait_for("it was made for this prompt", PATIENCE, |call| call.prompt == prompt).await
}

/// Milliseconds from one instant to a later one.
pub(super) fn ms(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1e3
}
