//! The two ways to an answer that are compared: through Drover, and from a CLI started by hand.

use crate::client::{Client, Frame, PATIENCE};
use crate::harness::{ClaudeKind, Cluster, DirectCli};
use crate::upstream::{Call, Upstream};
use serde_json::{Value, json};
use std::time::Instant;

/// When an answer was asked for, and when each of its words came.
pub(super) struct Heard {
    pub(super) asked: Instant,
    pub(super) words: Vec<Instant>,
}

/// A cluster as it runs in earnest: without the tests' debug logs.
pub(super) async fn cluster(claude: ClaudeKind, workers: usize, upstream: &Upstream) -> Cluster {
    let builder = Cluster::builder().workers(workers).claude(claude).upstream(upstream);
    builder.env("LOG_LEVEL", "info").start().await
}

/// The body of a request.
pub(super) fn chat(prompt: &str, stream: bool) -> Value {
    json!({"stream": stream, "messages": [{"role": "user", "content": prompt}]})
}

/// Asks Drover.
pub(super) async fn through_drover(client: &Client, prompt: &str) -> Heard {
    let mut events = client.stream("/v1/chat/completions", &chat(prompt, true)).await;
    assert!(events.status.is_success(), "the request was refused: {}", events.status);
    let (asked, mut words, mut done) = (events.sent, Vec::new(), false);
    while let Some(frame) = events.next().await {
        done |= frame.data == "[DONE]";
        if has_content(&frame) {
            words.push(frame.at);
        }
    }
    assert!(done && !words.is_empty(), "the answer is not whole");
    Heard { asked, words }
}

fn has_content(frame: &Frame) -> bool {
    let data: Value = serde_json::from_str(&frame.data).unwrap_or_default();
    data["choices"][0]["delta"]["content"].as_str().is_some_and(|content| !content.is_empty())
}

/// Starts a CLI, asks it, and waits until it is gone.
pub(super) async fn by_hand(kind: ClaudeKind, upstream: &str, prompt: &str) -> Heard {
    let asked = Instant::now();
    let mut cli = DirectCli::start(kind, upstream);
    cli.user(prompt).await;
    let mut words = Vec::new();
    loop {
        let (at, line) = cli.line().await.expect("the CLI answers before it ends");
        let line: Value = serde_json::from_str(&line).unwrap_or_default();
        if line["event"]["delta"]["type"] == "text_delta" {
            words.push(at);
        }
        if line["type"] == "result" {
            break;
        }
    }
    assert!(cli.finish().await.success() && !words.is_empty(), "the CLI did not answer");
    Heard { asked, words }
}

/// The one call that an answer took, as the provider saw it.
pub(super) async fn call_for(upstream: &Upstream, prompt: &str) -> Call {
    upstream.wait_for("it was made for this prompt", PATIENCE, |call| call.prompt == prompt).await
}

/// Milliseconds from one instant to a later one.
pub(super) fn ms(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1e3
}
