//! The client's conversation, in the words of the Messages API.

use serde_json::{Value, json};

use crate::schema::media::Source;
use crate::schema::{Part, Role, Turn};

/// The client's turns. Where the conversation has been answered before, its end is worth caching: the next request
/// repeats it. A one-shot prompt would pay the provider's surcharge for nothing.
pub(super) fn messages(turns: &[Turn]) -> Vec<Value> {
    let answered_before = turns.iter().any(|turn| turn.role == Role::Assistant);
    let last = turns.len().saturating_sub(1);
    turns.iter().enumerate().map(|(at, turn)| message(turn, answered_before && at == last)).collect()
}

/// Whether the model is to go on with the results of tools that it has called.
pub(super) fn goes_on(turns: &[Turn]) -> bool {
    let last = turns.last().into_iter().flat_map(|turn| &turn.parts);
    last.into_iter().any(|part| matches!(part, Part::ToolResult { .. }))
}

fn message(turn: &Turn, cache: bool) -> Value {
    let role = match turn.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let mut blocks: Vec<Value> = turn.parts.iter().map(block).collect();
    if cache && let Some(block) = blocks.pop() {
        blocks.push(cached(block));
    }
    json!({ "role": role, "content": blocks })
}

fn block(part: &Part) -> Value {
    match part {
        Part::Text { text } => text_block(text),
        Part::Image { source } => json!({ "type": "image", "source": origin(source) }),
        Part::Document { source, title } => {
            let mut block = json!({ "type": "document", "source": origin(source) });
            if let Some(title) = title {
                block["title"] = title.as_str().into();
            }
            block
        }
        Part::ToolUse { id, name, input } => {
            json!({ "type": "tool_use", "id": id, "name": name, "input": input })
        }
        Part::ToolResult { tool_use_id, content, is_error } => {
            let mut block = json!({ "type": "tool_result", "tool_use_id": tool_use_id });
            if !content.is_empty() {
                block["content"] = content.iter().map(self::block).collect();
            }
            if *is_error {
                block["is_error"] = true.into();
            }
            block
        }
    }
}

fn origin(source: &Source) -> Value {
    match source {
        Source::Base64 { media_type, data } => {
            json!({ "type": "base64", "media_type": media_type, "data": data })
        }
        Source::Text { data } => json!({ "type": "text", "media_type": "text/plain", "data": data }),
        Source::Url { url } => json!({ "type": "url", "url": url }),
    }
}

pub(super) fn text_block(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

/// The same, up to which the provider is to keep the prompt. A body has four of these at most.
pub(super) fn cached(mut block: Value) -> Value {
    block["cache_control"] = json!({ "type": "ephemeral" });
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_documents_become_blocks() {
        let base64 =
            |media_type: &str| Source::Base64 { media_type: media_type.to_owned(), data: "QUJD".to_owned() };
        let document =
            |source, title: Option<&str>| Part::Document { source, title: title.map(str::to_owned) };
        let url = "https://a.example/b".to_owned();
        for (part, expected) in [
            (
                Part::Image { source: base64("image/png") },
                json!({ "type": "image",
                    "source": { "type": "base64", "media_type": "image/png", "data": "QUJD" } }),
            ),
            (
                Part::Image { source: Source::Url { url: url.clone() } },
                json!({ "type": "image", "source": { "type": "url", "url": url } }),
            ),
            (
                document(base64("application/pdf"), Some("a.pdf")),
                json!({ "type": "document", "title": "a.pdf",
                    "source": { "type": "base64", "media_type": "application/pdf", "data": "QUJD" } }),
            ),
            (
                document(Source::Text { data: "a".to_owned() }, None),
                json!({ "type": "document",
                    "source": { "type": "text", "media_type": "text/plain", "data": "a" } }),
            ),
        ] {
            assert_eq!(block(&part), expected);
        }
    }

    #[test]
    fn calls_and_results_become_blocks() {
        let input = json!({ "b": 1, "a": { "z": [2.5], "y": null } });
        let input = input.as_object().cloned().expect("an object");
        let call = |id: &str| Part::ToolUse { id: id.to_owned(), name: "f".to_owned(), input: input.clone() };
        let text = |text: &str| Part::Text { text: text.to_owned() };
        let result = |id: &str, content: Vec<Part>, is_error| Part::ToolResult {
            tool_use_id: id.to_owned(),
            content,
            is_error,
        };
        let turns = [
            Turn { role: Role::User, parts: vec![text("go")] },
            Turn { role: Role::Assistant, parts: vec![text("I call"), call("t1"), call("t2")] },
            Turn {
                role: Role::User,
                parts: vec![result("t2", vec![text("two")], false), result("t1", vec![], true)],
            },
        ];
        let sent = json!([
            { "role": "user", "content": [{ "type": "text", "text": "go" }] },
            { "role": "assistant", "content": [
                { "type": "text", "text": "I call" },
                { "type": "tool_use", "id": "t1", "name": "f", "input": input },
                { "type": "tool_use", "id": "t2", "name": "f", "input": input },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "t2", "content": [{ "type": "text", "text": "two" }] },
                { "type": "tool_result", "tool_use_id": "t1", "is_error": true,
                    "cache_control": { "type": "ephemeral" } },
            ] },
        ]);
        assert_eq!(Value::from(messages(&turns)), sent);
        assert!(messages(&turns)[1].to_string().contains(r#"{"b":1,"a":{"z":[2.5],"y":null}}"#));
        assert!(goes_on(&turns) && !goes_on(&turns[..2]) && !goes_on(&[]));
    }
}
