//! Turns of a history back to messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::schema::media::Source;
use crate::schema::{Part, Role, Turn};

/// The messages of a turn, such that reading them gives the turn again: the results of tools, one each, and one for
/// all else.
#[must_use]
pub fn messages_of(turn: &Turn) -> Vec<Value> {
    let (results, rest): (Vec<&Part>, Vec<&Part>) =
        turn.parts.iter().partition(|part| matches!(part, Part::ToolResult { .. }));
    let mut messages: Vec<Value> = results.into_iter().filter_map(result).collect();
    if !rest.is_empty() {
        messages.push(match turn.role {
            Role::User => json!({ "role": "user", "content": content(rest) }),
            Role::Assistant => assistant(rest),
        });
    }
    messages
}

fn result(part: &Part) -> Option<Value> {
    let Part::ToolResult { tool_use_id, content, .. } = part else { return None };
    Some(json!({ "role": "tool", "tool_call_id": tool_use_id, "content": self::content(content) }))
}

fn assistant(parts: Vec<&Part>) -> Value {
    let (calls, said): (Vec<&Part>, Vec<&Part>) =
        parts.into_iter().partition(|part| matches!(part, Part::ToolUse { .. }));
    let mut message = json!({ "role": "assistant" });
    message["content"] = if said.is_empty() { Value::Null } else { content(said) };
    if !calls.is_empty() {
        message["tool_calls"] = calls.into_iter().filter_map(call).collect();
    }
    message
}

fn call(part: &Part) -> Option<Value> {
    let Part::ToolUse { id, name, input } = part else { return None };
    let function = json!({ "name": name, "arguments": arguments(input) });
    Some(json!({ "id": id, "type": "function", "function": function }))
}

fn arguments(input: &Map<String, Value>) -> String {
    serde_json::to_string(input).expect("a map of JSON is JSON")
}

/// One text as it is, anything else as parts.
fn content<'a>(parts: impl IntoIterator<Item = &'a Part>) -> Value {
    let parts: Vec<&Part> = parts.into_iter().collect();
    match parts[..] {
        [] => "".into(),
        [Part::Text { text }] => text.as_str().into(),
        _ => parts.into_iter().filter_map(piece).collect(),
    }
}

fn piece(part: &Part) -> Option<Value> {
    match part {
        Part::Text { text } => Some(json!({ "type": "text", "text": text })),
        Part::Image { source } => Some(json!({ "type": "image_url", "image_url": { "url": url(source) } })),
        Part::Document { source, title } => {
            let mut file = json!({ "file_data": url(source) });
            if let Some(title) = title {
                file["filename"] = title.as_str().into();
            }
            Some(json!({ "type": "file", "file": file }))
        }
        Part::ToolUse { .. } | Part::ToolResult { .. } => None,
    }
}

fn url(source: &Source) -> String {
    match source {
        Source::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
        Source::Text { data } => format!("data:text/plain;base64,{}", STANDARD.encode(data)),
        Source::Url { url } => url.clone(),
    }
}
