//! Bodies of the Responses API on the path of chats, as Cursor sends them.

use drover_tests::chat::{self, Spoken};
use drover_tests::client::Answer;
use drover_tests::harness::{ClaudeKind, Cluster, MODEL};
use drover_tests::upstream::Upstream;
use serde_json::{Value, json};

const PROMPT: &str =
    r#"until told say "Let me see." then call read_file {"path":"a.rs"} or say "It is empty.""#;
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

/// A turn of Cursor's.
fn body(input: &Value) -> Value {
    json!({
        "model": MODEL,
        "user": "someone",
        "instructions": "You are a coder.",
        "input": input,
        "tools": [{"type": "function", "name": "read_file", "description": "Reads a file.", "strict": false,
            "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}}],
        "tool_choice": "auto",
        "max_output_tokens": 4_000,
        "reasoning": {"summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": false,
        "stream": true,
        "stream_options": {"include_usage": true},
    })
}

#[tokio::test]
async fn a_conversation_in_items_goes_up_as_turns_and_comes_back_in_chunks() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().claude(ClaudeKind::Native).upstream(&upstream).start().await;
    let question = json!({"role": "user", "content": [
        {"type": "input_image", "image_url": format!("data:image/png;base64,{PIXEL}")},
        {"type": "input_text", "text": PROMPT},
    ]});
    let stream = cluster.client().stream(chat::PATH, &body(&json!([question]))).await;
    assert_eq!(stream.header("x-drover-ignored-parameters"), Some("include"));
    let spoken = Spoken::of(stream).await;
    assert_eq!((spoken.text().as_str(), spoken.done, spoken.usage.is_some()), ("Let me see.", true, true));
    assert_eq!(spoken.finish_reason.as_deref(), Some("tool_calls"));
    let deltas =
        spoken.chunks.iter().map(|frame| frame.json()["choices"][0]["delta"]["tool_calls"][0].clone());
    let call = deltas.into_iter().find(|call| call["id"].is_string()).expect("a call");

    let input = json!([
        question,
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
        {"type": "function_call", "call_id": call["id"], "name": "read_file", "arguments": "{\"path\":\"a.rs\"}"},
        {"type": "function_call_output", "call_id": call["id"], "output": "(nothing)"},
    ]);
    let spoken = Spoken::of(cluster.client().stream(chat::PATH, &body(&input)).await).await;
    assert_eq!((spoken.text().as_str(), spoken.finish_reason.as_deref()), ("It is empty.", Some("stop")));

    let [_, second] = &upstream.calls_for(PROMPT)[..] else { panic!("two calls for two jobs") };
    let mark = json!({"type": "ephemeral"});
    let tool = &body(&input)["tools"][0];
    assert_eq!(
        *second.body,
        json!({
            "model": MODEL, "max_tokens": 4_000, "stream": true, "metadata": {"user_id": "someone"},
            "system": [{"type": "text", "text": "You are a coder.", "cache_control": mark}],
            "tools": [{"name": "read_file", "description": "Reads a file.", "input_schema": tool["parameters"]}],
            "tool_choice": {"type": "auto"},
            "messages": [
                {"role": "user", "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                    {"type": "text", "text": PROMPT},
                ]},
                {"role": "assistant", "content": [
                    {"type": "text", "text": "Let me see."},
                    {"type": "tool_use", "id": call["id"], "name": "read_file", "input": {"path": "a.rs"}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": call["id"],
                        "content": [{"type": "text", "text": "(nothing)"}], "cache_control": mark},
                ]},
            ],
        })
    );
}

#[tokio::test]
async fn what_is_wrong_with_an_item_reaches_no_model() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().upstream(&upstream).start().await;
    for (input, param) in [
        (
            json!([{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]),
            "input[0].content[0].image_url",
        ),
        (json!([{"type": "function_call_output", "call_id": "c", "output": ""}]), "input[0].call_id"),
    ] {
        let answer: Answer = cluster.client().post(chat::PATH, &body(&input)).await;
        assert_eq!(answer.status, 400);
        assert_eq!(chat::ErrorBody::of(&answer.json()).param.as_deref(), Some(param));
    }
    assert!(upstream.calls().is_empty(), "the model is not called");
}
