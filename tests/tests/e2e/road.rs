//! What the client says reaches the provider as it is, and what the model says reaches the client as it is.

use drover_tests::chat::{self, Spoken, ask, streaming};
use drover_tests::harness::{ClaudeKind, Cluster, MODEL, PROVIDER_KEY};
use drover_tests::upstream::{Call, Upstream, echo_text, words};
use futures_util::future::join_all;
use serde_json::{Value, json};

#[tokio::test]
async fn the_native_cli_carries_chats_unchanged() {
    chats_are_carried_unchanged(ClaudeKind::Native).await;
}

#[tokio::test]
async fn the_javascript_cli_carries_chats_unchanged() {
    chats_are_carried_unchanged(ClaudeKind::JavaScript).await;
}

async fn chats_are_carried_unchanged(kind: ClaudeKind) {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().claude(kind).upstream(&upstream).start().await;
    text_flows_while_the_model_speaks(&cluster, &upstream).await;
    prompts_are_never_read_as_anything_else(&cluster, &upstream).await;
    history_arrives_as_turns(&cluster, &upstream).await;
    sampling_is_asked_for(&cluster, &upstream).await;
    retired_models_are_replaced_upstream_only(&cluster, &upstream).await;
}

async fn text_flows_while_the_model_speaks(cluster: &Cluster, upstream: &Upstream) {
    let prompt = "say 40 words every 50ms";
    let stream = cluster.client().stream(chat::PATH, &streaming(ask(prompt))).await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert!(stream.header("x-drover-job-id").is_some_and(|id| id.starts_with("job_")));
    let spoken = Spoken::of(stream).await;
    assert_eq!(spoken.text(), words(40));
    assert_eq!(spoken.pieces.len(), 40, "one chunk for each of the model's: {:?}", spoken.pieces);
    assert_eq!((spoken.finish_reason.as_deref(), spoken.done), (Some("stop"), true));
    assert_eq!(spoken.chunks[0].json()["choices"][0]["delta"]["role"], "assistant");
    let call = only_call(upstream, prompt);
    let last = call.deltas_at.last().expect("the model has spoken");
    assert!(spoken.chunks[0].at < *last, "the first chunk arrives before the model's last");
    assert_eq!(call.request.split('?').next(), Some("POST /v1/messages"));
    assert_eq!(call.headers.get("x-api-key").map(String::as_str), Some(PROVIDER_KEY));
}

async fn prompts_are_never_read_as_anything_else(cluster: &Cluster, upstream: &Upstream) {
    let long = |bytes: usize| "long prompt ".repeat(bytes / 12);
    let prompts = [
        "--version".to_owned(),
        "/help".to_owned(),
        "@/etc/hostname".to_owned(),
        "!ls".to_owned(),
        "  leading and trailing \n\n".to_owned(),
        "{\"type\":\"control_request\"}\nsecond line".to_owned(),
        "nul \u{0} escape \u{1b}[0m \u{2028} 漢字 🦀".to_owned(),
        long(200_000),
        long(3_000_000),
    ];
    let client = cluster.client();
    join_all(prompts.iter().map(async |prompt| {
        let answer = client.post(chat::PATH, &ask(prompt)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.header("x-drover-job-id").is_some());
        let body = answer.json();
        assert_eq!(body["choices"][0]["message"]["content"], echo_text(prompt));
        let turns = json!([{"role": "user", "content": [{"type": "text", "text": prompt}]}]);
        assert_eq!(*only_call(upstream, prompt).body, upstream_body(&turns));
    }))
    .await;
}

async fn history_arrives_as_turns(cluster: &Cluster, upstream: &Upstream) {
    let body = json!({"model": MODEL, "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": " one "},
        {"role": "assistant", "content": "\ttwo\n"},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": [{"type": "text", "text": "three "}, {"type": "text", "text": " four"}]},
    ]});
    let answer = cluster.client().post(chat::PATH, &body).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], echo_text(" four"));
    let mark = json!({"type": "ephemeral"});
    let mut expected = upstream_body(&json!([
        {"role": "user", "content": [{"type": "text", "text": " one "}]},
        {"role": "assistant", "content": [{"type": "text", "text": "\ttwo\n"}]},
        {"role": "user", "content": [
            {"type": "text", "text": "three "}, {"type": "text", "text": " four", "cache_control": mark},
        ]},
    ]));
    expected["system"] = json!([{"type": "text", "text": "Be brief.\n\nBe kind.", "cache_control": mark}]);
    assert_eq!(*only_call(upstream, " four").body, expected);
}

async fn sampling_is_asked_for(cluster: &Cluster, upstream: &Upstream) {
    let prompt = "say 12 words";
    let mut body = ask(prompt);
    let sampling = json!({"temperature": 0.25, "top_p": 0.5, "stop": ["END", "word4"], "max_tokens": 7});
    body.as_object_mut().expect("an object").extend(sampling.as_object().expect("an object").clone());
    let answer = cluster.client().post(chat::PATH, &body).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], "word1 word2 word3 ");
    let sent = only_call(upstream, prompt).body;
    let expected =
        json!({"temperature": 0.25, "top_p": 0.5, "stop_sequences": ["END", "word4"], "max_tokens": 7});
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(sent[name], *value, "{name}");
    }
}

async fn retired_models_are_replaced_upstream_only(cluster: &Cluster, upstream: &Upstream) {
    let prompt = "say \"of a retired model\"";
    let mut body = ask(prompt);
    body["model"] = "claude-opus-4-20250514".into();
    let answer = cluster.client().post(chat::PATH, &body).await.json();
    assert_eq!(answer["model"], "claude-opus-4-20250514");
    assert_eq!(only_call(upstream, prompt).body["model"], "claude-opus-5-5");
}

/// The whole body for these turns: whatever else the CLI would have sent must not be in it.
fn upstream_body(messages: &Value) -> Value {
    json!({"model": MODEL, "max_tokens": 32_000, "stream": true, "messages": messages})
}

fn only_call(upstream: &Upstream, prompt: &str) -> Call {
    let mut calls = upstream.calls_for(prompt);
    assert_eq!(calls.len(), 1, "one call for one job");
    calls.remove(0)
}
