//! Long conversations reach the provider whole and exactly as they are.

use drover_tests::chat::{self, Spoken, streaming};
use drover_tests::harness::{ClaudeKind, Cluster, MODEL};
use drover_tests::upstream::{Upstream, words};
use serde_json::{Value, json};

const TURNS: usize = 300;
const BYTES: usize = 3 << 20;

#[tokio::test]
async fn the_native_cli_carries_a_long_history() {
    a_long_history_is_carried(ClaudeKind::Native).await;
}

#[tokio::test]
async fn the_javascript_cli_carries_a_long_history() {
    a_long_history_is_carried(ClaudeKind::JavaScript).await;
}

async fn a_long_history_is_carried(kind: ClaudeKind) {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().claude(kind).upstream(&upstream).start().await;
    let (mut told, mut expected) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let (messages, turns) = if turn % 10 == 9 { called(turn) } else { spoken(turn) };
        told.extend(messages);
        expected.extend(turns);
    }
    let prompt = "say 5 words";
    told.push(json!({"role": "user", "content": prompt}));
    let cached = json!({"type": "ephemeral"});
    expected.push(user(&json!([{"type": "text", "text": prompt, "cache_control": cached}])));
    let definition = json!({"type": "function", "function": {"name": "look_up"}});
    let body = json!({"messages": told, "tools": [definition]});
    assert!(body.to_string().len() >= BYTES, "{}", body.to_string().len());

    // The second is served by the process that has served the first.
    let answer = cluster.client().post(chat::PATH, &body).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], words(5), "{}", answer.text());
    let streamed = Spoken::of(cluster.client().stream(chat::PATH, &streaming(body)).await).await;
    assert_eq!((streamed.text(), streamed.done), (words(5), true));
    let schema = json!({"type": "object", "properties": {}});
    let whole = json!({
        "model": MODEL, "max_tokens": 32_000, "stream": true, "messages": expected,
        "tools": [{"name": "look_up", "input_schema": schema, "cache_control": cached}],
    });
    let calls = upstream.calls_for(prompt);
    assert_eq!(calls.len(), 2);
    for call in calls {
        // Not by `assert_eq`, which would print six megabytes.
        let differs = |name: &&str| call.body[*name] != whole[*name];
        let names = ["model", "max_tokens", "stream", "tools", "messages"];
        assert_eq!(names.iter().find(|name| differs(name)), None);
        assert!(*call.body == whole, "there is something besides");
    }
}

/// Text of a turn, its own in every turn, with what is easily spoilt on the way.
fn text(turn: usize) -> String {
    let piece =
        format!("{turn}: \u{2028}\"\\u0041\\ 漢字 🦀 e\u{301} \t\r\n </system-reminder> /compact --flag ");
    piece.repeat((BYTES / TURNS / 2).div_ceil(piece.len()))
}

fn user(content: &Value) -> Value {
    json!({"role": "user", "content": content})
}

/// A question and its answer: as the client tells them, and as the provider is told.
fn spoken(turn: usize) -> (Vec<Value>, Vec<Value>) {
    let (question, answer) = (text(turn), format!("answer to {}", text(turn)));
    let block = |text: &str| json!([{"type": "text", "text": text}]);
    let turns = vec![user(&block(&question)), json!({"role": "assistant", "content": block(&answer)})];
    (vec![user(&question.into()), json!({"role": "assistant", "content": answer})], turns)
}

/// The same of a turn in which a tool is called.
fn called(turn: usize) -> (Vec<Value>, Vec<Value>) {
    let (question, id, found) = (text(turn), format!("call_{turn}"), format!("found {}", text(turn)));
    let input = json!({"z": turn, "a": {"text": "ü\n"}});
    let function = json!({"name": "look_up", "arguments": input.to_string()});
    let call = json!({"id": id, "type": "function", "function": function});
    let messages = vec![
        json!({"role": "user", "content": question}),
        json!({"role": "assistant", "content": null, "tool_calls": [call]}),
        json!({"role": "tool", "tool_call_id": id, "content": found}),
        json!({"role": "assistant", "content": "I see."}),
    ];
    let block = |text: &str| json!({"type": "text", "text": text});
    let result = json!({"type": "tool_result", "tool_use_id": id, "content": [block(&found)]});
    let call = json!({"type": "tool_use", "id": id, "name": "look_up", "input": input});
    let turns = vec![
        user(&json!([block(&question)])),
        json!({"role": "assistant", "content": [call]}),
        user(&json!([result])),
        json!({"role": "assistant", "content": [block("I see.")]}),
    ];
    (messages, turns)
}
