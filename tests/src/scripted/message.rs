//! A message while it is being read, and the conversation that it joins.

use serde_json::{Value, json};

/// A message as far as it was read.
#[derive(Default)]
pub(super) struct Message {
    pub(super) head: Value,
    pub(super) request_id: Option<String>,
    pub(super) blocks: Vec<Value>,
    /// Arguments of the open tool call.
    pub(super) arguments: String,
    pub(super) open: bool,
    pub(super) finished: u32,
    /// What an `error` event said.
    pub(super) error: Value,
    pub(super) stop_reason: Option<String>,
    pub(super) usage: Value,
    pub(super) whole: bool,
    pub(super) deltas: u32,
    /// The events, kept only by the fault that prints them twice.
    pub(super) spoken: Vec<String>,
}

impl Message {
    pub(super) fn take(&mut self, event: &Value) {
        match event["type"].as_str() {
            Some("message_start") => self.head = event["message"].clone(),
            Some("content_block_start") => {
                self.blocks.push(event["content_block"].clone());
                self.arguments.clear();
                self.open = true;
            }
            Some("content_block_delta") => {
                self.deltas += 1;
                self.take_delta(&event["delta"]);
            }
            Some("content_block_stop") => {
                self.open = false;
                self.finished += 1;
            }
            Some("message_delta") => {
                self.stop_reason = event["delta"]["stop_reason"].as_str().map(str::to_owned);
                self.usage = event["usage"].clone();
            }
            Some("message_stop") => self.whole = true,
            _ => {}
        }
    }

    fn take_delta(&mut self, delta: &Value) {
        if let Some(part) = delta["partial_json"].as_str() {
            self.arguments.push_str(part);
        }
        let Some(block) = self.blocks.last_mut() else { return };
        for field in ["text", "thinking", "signature"] {
            if let (Some(part), Some(Value::String(text))) = (delta[field].as_str(), block.get_mut(field)) {
                text.push_str(part);
            }
        }
    }
}

/// Adds a message, or its blocks to the last one of the same role.
pub(super) fn add(messages: &mut Vec<Value>, role: &str, mut content: Value) {
    let Some(blocks) = content.as_array_mut().filter(|blocks| !blocks.is_empty()) else { return };
    match messages
        .last_mut()
        .filter(|last| last["role"] == role)
        .and_then(|last| last["content"].as_array_mut())
    {
        Some(last) => last.append(blocks),
        None => messages.push(json!({"role": role, "content": content})),
    }
}

pub(super) fn no_such_tool(call: &Value) -> Value {
    let name = call["name"].as_str().unwrap_or_default();
    json!({
        "type": "tool_result", "is_error": true, "tool_use_id": call["id"],
        "content": format!("<tool_use_error>Error: No such tool available: {name}</tool_use_error>"),
    })
}
