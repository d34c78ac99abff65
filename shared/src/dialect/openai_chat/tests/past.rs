//! A history told as messages, and read again.

use serde_json::{Value, json};

use super::accepted;
use crate::dialect::openai_chat::messages_of;

#[test]
fn what_was_read_is_told_and_read_again() {
    let image = "data:image/gif;base64,R0lGODlh";
    let pdf = "data:application/pdf;base64,JVBERi0xLjc=";
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "look", "arguments": "{\"z\":1,\"a\":[2]}"}});
    let told = json!([
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": [
            {"type": "text", "text": "Look: "},
            {"type": "image_url", "image_url": {"url": image}},
            {"type": "file", "file": {"file_data": pdf, "filename": "a.pdf"}},
            {"type": "file", "file": {"file_data": "data:text/plain;base64,R3LDvGV6aQ=="}},
        ]},
        {"role": "assistant", "content": "I look.", "tool_calls": [call("1"), call("2")]},
        {"role": "tool", "tool_call_id": "2", "content": ""},
        {"role": "tool", "tool_call_id": "1", "content": [
            {"type": "text", "text": "this"}, {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
        ]},
        {"role": "user", "content": "and?"},
        {"role": "assistant", "content": null, "tool_calls": [call("3")]},
        {"role": "tool", "tool_call_id": "3", "content": "that"},
    ]);
    let turns = accepted(&json!({"model": "m", "messages": told}).to_string()).spec.turns;
    let again: Vec<Value> = turns.iter().flat_map(messages_of).collect();
    assert_eq!(Value::from(again.clone()), told);
    let counted: u64 = turns.iter().map(crate::schema::Turn::messages).sum();
    assert_eq!(usize::try_from(counted), Ok(again.len()));
    assert_eq!(accepted(&json!({"model": "m", "messages": again}).to_string()).spec.turns, turns);
}
