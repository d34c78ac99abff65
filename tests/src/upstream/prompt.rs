//! What in a request's body is the prompt.

use serde_json::Value;

/// The last user text of a body: the last text block of the last user message that has any. The CLI puts
/// texts of its own into blocks before it.
pub(super) fn last_user_text(body: &Value) -> String {
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let texts =
        messages.iter().rev().filter(|message| message["role"] == "user").map(|m| text(&m["content"]));
    texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
}

/// Whether the last thing that the model is told is a tool's result.
pub(super) fn ends_with_result(body: &Value) -> bool {
    let last = body["messages"].as_array().and_then(|messages| messages.last());
    let block = last.and_then(|message| message["content"].as_array()?.last());
    block.is_some_and(|block| block["type"] == "tool_result")
}

fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            blocks.iter().rev().find_map(|block| block["text"].as_str()).unwrap_or_default().to_owned()
        }
        _ => String::new(),
    }
}

/// How many words the body's system prompt and messages hold; the upstream bills by it.
pub(super) fn word_count(body: &Value) -> u32 {
    let count = strings(&body["system"]) + strings(&body["messages"]);
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn strings(value: &Value) -> usize {
    match value {
        Value::String(text) => text.split_whitespace().count(),
        Value::Array(values) => values.iter().map(strings).sum(),
        Value::Object(fields) => {
            fields.iter().filter(|(name, _)| *name != "type").map(|(_, v)| strings(v)).sum()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_prompt_is_the_last_user_text() {
        let body = json!({"messages": [
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "no"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "18C"}]},
        ]});
        assert_eq!(last_user_text(&body), "b");
        assert!(
            ends_with_result(&body)
                && !ends_with_result(&json!({"messages": [{"role": "user", "content": "b"}]}))
        );
        assert_eq!(last_user_text(&json!({"messages": 3})), "");
    }
}
