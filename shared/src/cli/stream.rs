//! The Messages API's own streaming events, as the CLI passes them on in `stream_event` lines.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::activity;
use super::decode::{Line, Text, bounded, unrecognised};
use crate::schema::limits::{CLI_KIND_BYTES, TOOL_INPUT_BYTES};
use crate::schema::{Block, Event, StopReason};

/// What is kept of the message that now streams, and of the turn that it belongs to.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// The model's tools are the agent's own.
    agents: bool,
    /// Why this message has stopped, as its `message_delta` told.
    stop: Option<Stop>,
    /// The agent's call that now streams. Blocks come one after another, so there is one at most.
    call: Option<Call>,
    /// Why the turn's last whole message stopped.
    last: Option<StopReason>,
    /// Where the agent works.
    root: Option<String>,
}

#[derive(Debug)]
struct Stop {
    reason: Option<StopReason>,
    unknown: Option<String>,
    sequence: Option<String>,
}

#[derive(Debug)]
struct Call {
    index: u32,
    id: String,
    name: String,
    /// The beginning of its arguments.
    input: String,
}

impl Message {
    pub(super) fn of_agent() -> Self {
        Self { agents: true, ..Self::default() }
    }

    pub(super) fn works_in(&mut self, root: String) {
        self.root = Some(root);
    }

    pub(super) fn is_agents(&self) -> bool {
        self.agents
    }

    /// Forgets the turn; why its last whole message stopped.
    pub(super) fn end_turn(&mut self) -> Option<StopReason> {
        let last = self.last;
        *self = Self { agents: self.agents, root: self.root.take(), ..Self::default() };
        last
    }
}

/// Every streaming event, with all fields that any of them has; which ones count is the kind's say.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    index: u32,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    thinking: Option<String>,
    #[serde(default)]
    signature: Option<String>,
    #[serde(default)]
    partial_json: Option<String>,
}

#[derive(Deserialize)]
struct ContentBlock<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    data: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
struct Started {
    #[serde(default)]
    id: String,
    #[serde(default)]
    model: String,
}

#[derive(Deserialize)]
struct MessageDelta<'a> {
    #[serde(borrow, default)]
    stop_reason: Option<Text<'a>>,
    #[serde(default)]
    stop_sequence: Option<String>,
}

/// What one streaming event means. `None` where the event has not the shape of its kind.
pub(super) fn read(event: &RawValue, message: &mut Message) -> Option<Line> {
    let raw: Raw = serde_json::from_str(event.get()).ok()?;
    let index = raw.index;
    match &*raw.kind {
        "content_block_delta" if message.call.as_ref().is_some_and(|call| call.index == index) => {
            note_input(message.call.as_mut()?, raw.delta?);
            Some(Line::Quiet)
        }
        "content_block_delta" => delta(index, raw.delta?),
        "content_block_start" => block(index, raw.content_block?, message),
        "content_block_stop" => Some(Line::Events(vec![block_stopped(index, message)])),
        "message_start" => {
            (message.stop, message.call) = (None, None);
            let started: Started = serde_json::from_str(raw.message?.get()).ok()?;
            Some(Line::Events(vec![Event::MessageStarted { message_id: started.id, model: started.model }]))
        }
        "message_delta" => {
            note(&mut message.stop, serde_json::from_str(raw.delta?.get()).ok()?);
            Some(Line::Quiet)
        }
        "message_stop" => Some(stopped(message)),
        "ping" => Some(Line::Quiet),
        kind => Some(unrecognised(&format!("stream_event/{kind}"))),
    }
}

/// An agent's call is complete with the end of its block; the CLI then runs it.
fn block_stopped(index: u32, message: &mut Message) -> Event {
    match message.call.take_if(|call| call.index == index) {
        Some(Call { id, name, input, .. }) => {
            let title = activity::title(&name, &input, message.root.as_deref());
            Event::ToolStarted { id, name, title }
        }
        None => Event::BlockStopped { index },
    }
}

/// Keeps the beginning of a call's arguments.
fn note_input(call: &mut Call, delta: &RawValue) {
    let more = serde_json::from_str(delta.get()).ok().and_then(|delta: Delta| delta.partial_json);
    if call.input.len() < TOOL_INPUT_BYTES {
        call.input.push_str(&more.unwrap_or_default());
    }
}

fn delta(index: u32, delta: &RawValue) -> Option<Line> {
    let delta: Delta = serde_json::from_str(delta.get()).ok()?;
    let event = match &*delta.kind {
        "text_delta" => Event::TextDelta { index, text: delta.text? },
        "thinking_delta" => Event::ThinkingDelta { index, thinking: delta.thinking? },
        "signature_delta" => Event::SignatureDelta { index, signature: delta.signature? },
        "input_json_delta" => Event::ToolInputDelta { index, partial_json: delta.partial_json? },
        kind => return Some(unrecognised(&format!("stream_event/content_block_delta/{kind}"))),
    };
    Some(Line::Events(vec![event]))
}

/// The opening of a block. Text or arguments that it might carry already are left out, as the CLI itself leaves
/// them out: the Messages API sends them empty, and all content as deltas.
fn block(index: u32, block: &RawValue, message: &mut Message) -> Option<Line> {
    let block: ContentBlock = serde_json::from_str(block.get()).ok()?;
    let block = match &*block.kind {
        "text" => Block::Text,
        "thinking" => Block::Thinking,
        "redacted_thinking" => Block::RedactedThinking { data: block.data? },
        "tool_use" if message.agents => {
            message.call = Some(Call { index, id: block.id?, name: block.name?, input: String::new() });
            return Some(Line::Quiet);
        }
        "tool_use" => Block::ToolUse { id: block.id?, name: block.name? },
        kind => return Some(unrecognised(&format!("stream_event/content_block_start/{kind}"))),
    };
    Some(Line::Events(vec![Event::BlockStarted { index, block }]))
}

/// Keeps the stop reason, which some providers send in another `message_delta` than the last.
fn note(stop: &mut Option<Stop>, delta: MessageDelta) {
    let Some(name) = delta.stop_reason else { return };
    let reason = stop_reason(&name.0);
    let unknown = reason.is_none().then(|| bounded(&name.0, CLI_KIND_BYTES));
    *stop = Some(Stop { reason, unknown, sequence: delta.stop_sequence });
}

/// The end of a message. Without a stop reason the message did not end: after an interrupt or an upstream that
/// broke off, the native CLI closes the block and the message itself, with `stop_reason: null` and
/// `abandoned_blocks`. A stop reason that nobody knows yet still ends the message.
fn stopped(message: &mut Message) -> Line {
    let Some(Stop { reason, unknown, sequence }) = message.stop.take() else { return Line::Quiet };
    let stop = reason.unwrap_or(StopReason::EndTurn);
    message.last = Some(stop);
    let mut events = Vec::with_capacity(2);
    if let Some(name) = unknown {
        events.push(Event::Unrecognised { kind: bounded(&format!("stop_reason/{name}"), CLI_KIND_BYTES) });
    }
    if !message.agents {
        events.push(Event::MessageStopped { stop, stop_sequence: sequence });
    }
    if events.is_empty() { Line::Quiet } else { Line::Events(events) }
}

fn stop_reason(name: &str) -> Option<StopReason> {
    match name {
        "end_turn" => Some(StopReason::EndTurn),
        "max_tokens" => Some(StopReason::MaxTokens),
        "stop_sequence" => Some(StopReason::StopSequence),
        "tool_use" => Some(StopReason::ToolUse),
        "pause_turn" => Some(StopReason::PauseTurn),
        "refusal" => Some(StopReason::Refusal),
        "model_context_window_exceeded" => Some(StopReason::ContextWindowExceeded),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Decoder;

    fn events(decoder: &mut Decoder, event: &str) -> Line {
        decoder.line(
            format!("{{\"event\":{event},\"type\":\"stream_event\",\"parent_tool_use_id\":null}}").as_bytes(),
        )
    }

    #[test]
    fn an_unknown_stop_reason_ends_the_message_and_is_noticed() {
        let decoder = &mut Decoder::new();
        assert_eq!(
            events(decoder, r#"{"type":"message_delta","delta":{"stop_reason":"bored"},"usage":{}}"#),
            Line::Quiet,
        );
        assert_eq!(
            events(decoder, r#"{"type":"message_stop"}"#),
            Line::Events(vec![
                Event::Unrecognised { kind: "stop_reason/bored".into() },
                Event::MessageStopped { stop: StopReason::EndTurn, stop_sequence: None },
            ]),
        );
    }

    #[test]
    fn a_message_that_was_abandoned_does_not_stop() {
        let decoder = &mut Decoder::new();
        events(decoder, r#"{"type":"message_delta","delta":{"stop_reason":null,"stop_sequence":null}}"#);
        assert_eq!(events(decoder, r#"{"type":"message_stop"}"#), Line::Quiet);
    }

    #[test]
    fn a_stop_reason_belongs_to_one_message_only() {
        let decoder = &mut Decoder::new();
        events(decoder, r#"{"type":"message_delta","delta":{"stop_reason":"refusal"}}"#);
        events(decoder, r#"{"type":"message_start","message":{"id":"m","model":"x"}}"#);
        assert_eq!(events(decoder, r#"{"type":"message_stop"}"#), Line::Quiet);
    }

    #[test]
    fn new_kinds_within_the_stream_are_named() {
        let decoder = &mut Decoder::new();
        for (event, kind) in [
            (r#"{"type":"news"}"#, "stream_event/news"),
            (
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"news"}}"#,
                "stream_event/content_block_delta/news",
            ),
            (
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"news"}}"#,
                "stream_event/content_block_start/news",
            ),
        ] {
            assert_eq!(events(decoder, event), unrecognised(kind));
        }
    }
}
