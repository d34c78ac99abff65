//! A cluster whose pool can be watched.

use drover_tests::chat::{self, ask};
use drover_tests::client::{Client, PATIENCE};
use drover_tests::harness::{Builder, ClaudeKind, Cluster, wait_for};
use drover_tests::upstream::Upstream;
use serde_json::Value;

/// One worker with the real CLI, of so many slots and spares.
pub(crate) fn pooled(upstream: &Upstream, slots: u32, spares: u32) -> Builder {
    let builder = Cluster::builder().claude(ClaudeKind::Native).upstream(upstream);
    let builder = builder.env("DROVER_SLOTS", slots.to_string()).env("DROVER_AGENT_SPARES", "0");
    builder.env("DROVER_SPARES", spares.to_string())
}

/// Waits until the heartbeats tell such figures of the pool.
pub(crate) async fn pool(client: &Client, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, PATIENCE, async || {
        let health = client.get("/health").await.json();
        Some(health["pool"].clone()).filter(&holds)
    })
    .await
}

/// Asks for an answer and returns its text.
pub(crate) async fn said(client: &Client, prompt: &str) -> String {
    let answer = client.post(chat::PATH, &ask(prompt)).await;
    assert!(answer.status.is_success(), "{prompt}: {}", answer.text());
    answer.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
}

/// What the one call for this prompt carried besides it.
pub(crate) fn carried(upstream: &Upstream, prompt: &str) -> Value {
    let calls = upstream.calls_for(prompt);
    assert_eq!(calls.len(), 1, "{prompt}");
    calls[0].body["messages"].clone()
}
