//! Lines that only agent processes are heard for: results of tools, and the mirrored transcript.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::decode::{Line, Text};
use crate::schema::Event;

#[derive(Deserialize)]
struct User<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

/// A part of a user message. What the tool answered is not read: it is the agent's, not the client's.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    tool_use_id: Option<Text<'a>>,
    #[serde(default)]
    is_error: Option<bool>,
}

/// Of an entry, what tells whether it is kept.
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    uuid: Option<Text<'a>>,
    #[serde(default, rename = "isSidechain")]
    is_sidechain: bool,
}

/// A `user` line: the CLI hands results of tools to the model. `message` is the line's own.
pub(super) fn results(message: &RawValue) -> Option<Line> {
    let message: User = serde_json::from_str(message.get()).ok()?;
    // A text instead of parts is the CLI's own remark.
    let parts: Vec<Part> = match message.content {
        Some(content) if content.get().starts_with('[') => serde_json::from_str(content.get()).ok()?,
        _ => Vec::new(),
    };
    let events: Vec<Event> = parts
        .into_iter()
        .filter_map(|part| {
            let id = part.tool_use_id?.0.into_owned();
            Some(Event::ToolFinished { id, failed: part.is_error.unwrap_or_default() })
        })
        .collect();
    Some(if events.is_empty() { Line::Quiet } else { Line::Events(events) })
}

/// A `transcript_mirror` line: what the CLI has just written to a transcript. It says so at most about 100 ms
/// after it happened, and in any case before the turn's `result`.
///
/// Only what belongs to the main conversation counts. Subagents have files of their own; and what has no `uuid`
/// (queues, titles, modes) describes the process rather than the conversation.
pub(super) fn mirrored(entries: &RawValue) -> Option<Line> {
    let entries: Vec<&RawValue> = serde_json::from_str(entries.get()).ok()?;
    let kept: Vec<String> = entries
        .into_iter()
        .filter(|entry| {
            serde_json::from_str::<Entry>(entry.get())
                .is_ok_and(|entry| entry.uuid.is_some() && !entry.is_sidechain)
        })
        .map(|entry| entry.get().to_owned())
        .collect();
    Some(if kept.is_empty() { Line::Quiet } else { Line::Mirror(kept) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Decoder;

    #[test]
    fn results_of_tools_are_told_without_their_content() {
        let line = r#"{"type":"user","parent_tool_use_id":null,"message":{"role":"user","content":[
            {"type":"tool_result","tool_use_id":"a","content":"secret"},
            {"is_error":true,"type":"tool_result","tool_use_id":"b","content":[]},{"type":"text","text":"x"}]}}"#;
        let expected = [("a", false), ("b", true)]
            .map(|(id, failed)| Event::ToolFinished { id: id.into(), failed })
            .to_vec();
        assert_eq!(Decoder::agent().line(line.as_bytes()), Line::Events(expected));
        assert_eq!(Decoder::new().line(line.as_bytes()), Line::Quiet);
    }

    #[test]
    fn a_subagents_tools_and_a_remark_of_the_cli_are_not_told() {
        for line in [
            r#"{"type":"user","parent_tool_use_id":"t","message":{"content":[{"tool_use_id":"a"}]}}"#,
            r#"{"type":"user","message":{"role":"user","content":"[Request interrupted by user]"}}"#,
        ] {
            assert_eq!(Decoder::agent().line(line.as_bytes()), Line::Quiet, "{line}");
        }
    }

    #[test]
    fn only_the_main_conversation_is_mirrored_and_to_the_letter() {
        let entry = r#"{ "uuid":"1","isSidechain":false, "text":"\ud83d \u00e9" }"#;
        let line = format!(
            r#"{{"type":"transcript_mirror","entries":[{{"type":"mode"}},{entry},{{"uuid":"2","isSidechain":true}}]}}"#
        );
        assert_eq!(Decoder::agent().line(line.as_bytes()), Line::Mirror(vec![entry.to_owned()]));
        assert_eq!(Decoder::new().line(line.as_bytes()), Line::Quiet);
    }
}
