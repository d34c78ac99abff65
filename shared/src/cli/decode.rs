//! What a line of the CLI's standard output means. Total: every line means something, none can fail.

use std::borrow::Cow;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::agent;
use super::result::TurnEnd;
use super::stream::{self, Message};
use crate::schema::Event;
use crate::schema::limits::{CLI_KIND_BYTES, CLI_MESSAGE_BYTES};

/// One line, understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// Something happened in the job; never empty.
    Events(Vec<Event>),
    /// The CLI answered one of our control requests.
    Control {
        /// Which one.
        request_id: String,
        /// Why it was refused, if it was; bounded.
        error: Option<String>,
        /// The session that a claim has begun.
        session_id: Option<String>,
    },
    /// The CLI begins with the turn of a user frame.
    TurnBegan {
        /// The MCP servers that it could not start.
        failed_servers: Vec<String>,
    },
    /// What the session's transcript has got (agents only): entries as the CLI wrote them, one JSON text each,
    /// never empty. See [`transcript`](super::transcript).
    Mirror(Vec<String>),
    /// The turn that a user frame began is over; the process waits for the next frame.
    TurnEnded(TurnEnd),
    /// Known, and of no interest.
    Quiet,
}

/// Reads the lines of one process, in order. Holds only what ties a message's parts together, so a decoder may
/// serve one turn after another.
#[derive(Debug, Default)]
pub struct Decoder {
    message: Message,
}

/// The outer object of every line. The order of fields is free, and fields of the same name differ between
/// kinds (`event` is a text in `system/ui_invalidate`), so that they stay unread until the kind is known.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    subtype: Option<Text<'a>>,
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(borrow, default)]
    request: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    entries: Option<&'a RawValue>,
    #[serde(borrow, default)]
    mcp_servers: Option<&'a RawValue>,
    /// Set on what a subagent says.
    #[serde(borrow, default)]
    parent_tool_use_id: Option<Text<'a>>,
}

/// A text that is borrowed unless it holds an escape (serde borrows a bare `Cow`, but no `Option<Cow>`).
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

#[derive(Deserialize)]
struct ControlResponse<'a> {
    #[serde(borrow)]
    request_id: Text<'a>,
    #[serde(borrow, default)]
    error: Option<Text<'a>>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

/// Of an answer, what is of use.
#[derive(Default, Deserialize)]
struct Answer {
    #[serde(default)]
    session_id: Option<String>,
}

#[derive(Deserialize)]
struct ControlRequest<'a> {
    #[serde(borrow)]
    subtype: Text<'a>,
}

impl Decoder {
    /// A decoder for a chat process that has said nothing yet. The tools that the model calls are the client's.
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder for an agent process that has said nothing yet. The tools that the model calls are its own:
    /// they come out as [`Event::ToolStarted`], once a call is complete, and [`Event::ToolFinished`]. A turn
    /// is many messages, so [`Event::MessageStopped`] never comes out: the answer is whole when the turn has
    /// ended, and [`TurnEnd::stop`] tells why its last message stopped. Of subagents nothing is heard.
    pub fn agent() -> Self {
        Self { message: Message::of_agent() }
    }

    /// Says where the agent works, so that its tools are told of from there.
    pub fn works_in(&mut self, root: &Path) {
        self.message.works_in(root.to_string_lossy().into_owned());
    }

    /// What this line means. Without or with its newline.
    pub fn line(&mut self, line: &[u8]) -> Line {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Line::Quiet;
        }
        self.parse(line).unwrap_or_else(|| match without_lone_surrogates(line) {
            Some(repaired) => self.parse(&repaired).unwrap_or_else(|| unrecognised("json")),
            None => unrecognised("json"),
        })
    }

    /// `None` where the line, or the part of it that its kind promises, is no JSON of that shape.
    fn parse(&mut self, line: &[u8]) -> Option<Line> {
        let envelope: Envelope = serde_json::from_slice(line).ok()?;
        let subtype = envelope.subtype.as_ref().map_or("", |subtype| &subtype.0);
        let agent = self.message.is_agents();
        match &*envelope.kind.0 {
            "stream_event" | "user" if envelope.parent_tool_use_id.is_some() => Some(Line::Quiet),
            "stream_event" => stream::read(envelope.event?, &mut self.message),
            "result" => TurnEnd::read(line, self.message.end_turn()).map(Line::TurnEnded),
            "user" if agent => agent::results(envelope.message?),
            "transcript_mirror" if agent => agent::mirrored(envelope.entries?),
            "control_response" => control_response(envelope.response?),
            "control_request" => asked(envelope.request?),
            "system" if subtype == "init" => Some(began(envelope.mcp_servers)),
            "system" if QUIET_SYSTEM.contains(&subtype) => Some(Line::Quiet),
            "system" if agent && QUIET_AGENT_SYSTEM.contains(&subtype) => Some(Line::Quiet),
            kind if QUIET.contains(&kind) => Some(Line::Quiet),
            kind if subtype.is_empty() => Some(unrecognised(kind)),
            kind => Some(unrecognised(&format!("{kind}/{subtype}"))),
        }
    }
}

/// Kinds that change nothing in an answer. Closed, so that a new one is noticed. `assistant` and `user` repeat
/// what `stream_event` and `result` tell.
const QUIET: [&str; 11] = [
    "assistant",
    "auth_status",
    "command_lifecycle",
    "control_cancel_request",
    "keep_alive",
    "prompt_suggestion",
    "rate_limit_event",
    "tool_progress",
    "tool_use_summary",
    "transcript_mirror",
    "user",
];

/// Subtypes of `system` that change nothing in an answer.
const QUIET_SYSTEM: [&str; 21] = [
    "api_error",
    "api_retry",
    "background_tasks_changed",
    "commands_changed",
    "compact_boundary",
    "informational",
    "instruction_size_warning",
    "local_command",
    "model_fallback",
    "model_refusal_fallback",
    "model_refusal_no_fallback",
    "notification",
    "permission_denied",
    "session_metadata",
    "session_state_changed",
    "session_title_changed",
    "status",
    "thinking_tokens",
    "turn_duration",
    "turn_starting",
    "ui_invalidate",
];

/// The same, where there are tools and the project's hooks.
const QUIET_AGENT_SYSTEM: [&str; 8] = [
    "hook_progress",
    "hook_response",
    "hook_started",
    "mirror_error",
    "task_notification",
    "task_progress",
    "task_started",
    "task_updated",
];

/// How a server of the CLI's does.
#[derive(Deserialize)]
struct ServerState {
    name: String,
    status: String,
}

fn began(servers: Option<&RawValue>) -> Line {
    let servers: Option<Vec<ServerState>> = servers.and_then(|all| serde_json::from_str(all.get()).ok());
    let failed = servers.unwrap_or_default().into_iter().filter(|server| server.status == "failed");
    Line::TurnBegan { failed_servers: failed.map(|server| server.name).collect() }
}

fn control_response(response: &RawValue) -> Option<Line> {
    let response: ControlResponse = serde_json::from_str(response.get()).ok()?;
    let answer: Option<Answer> = response.response.and_then(|answer| serde_json::from_str(answer.get()).ok());
    Some(Line::Control {
        request_id: response.request_id.0.into_owned(),
        error: response.error.map(|error| bounded(&error.0, CLI_MESSAGE_BYTES)),
        session_id: answer.unwrap_or_default().session_id,
    })
}

/// The CLI asks us something. A process without tools, hooks and servers has nothing to ask, so this is
/// something this version does not know.
fn asked(request: &RawValue) -> Option<Line> {
    let request: ControlRequest = serde_json::from_str(request.get()).ok()?;
    Some(unrecognised(&format!("control_request/{}", request.subtype.0)))
}

pub(super) fn unrecognised(kind: &str) -> Line {
    Line::Events(vec![Event::Unrecognised { kind: bounded(kind, CLI_KIND_BYTES) }])
}

/// The beginning of `text`, at most `max_bytes` long, cut between characters.
pub(super) fn bounded(text: &str, max_bytes: usize) -> String {
    text[..text.floor_char_boundary(max_bytes)].to_owned()
}

/// The line with every `\uD800`–`\uDFFF` that has no partner replaced by U+FFFD, or `None` if it holds none.
/// A provider that cuts its deltas between the halves of a pair makes the CLI write such escapes; they are no
/// text to Rust, and a character must not cost the answer.
fn without_lone_surrogates(line: &[u8]) -> Option<Vec<u8>> {
    let mut repaired = line.to_vec();
    let mut found = false;
    let mut at = 0;
    while at + 1 < repaired.len() {
        at += match (repaired[at], escaped_unit(&repaired[at..])) {
            (_, Some(0xD800..=0xDBFF))
                if matches!(repaired.get(at + 6..).and_then(escaped_unit), Some(0xDC00..=0xDFFF)) =>
            {
                12
            }
            (_, Some(0xD800..=0xDFFF)) => {
                repaired[at + 2..at + 6].copy_from_slice(b"fffd");
                found = true;
                6
            }
            (b'\\', _) => 2,
            _ => 1,
        };
    }
    found.then_some(repaired)
}

/// The number in a `\uXXXX` that `text` begins with.
fn escaped_unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Line {
        Decoder::new().line(line.as_bytes())
    }

    #[test]
    fn what_is_no_line_of_the_cli_is_unrecognised() {
        for line in
            ["x", "{}", "[]", "{\"type\":1}", "{\"type\":\"stream_event\"}", "{\"type\":\"system\"", "\u{1}"]
        {
            assert_eq!(one(line), unrecognised("json"), "{line}");
        }
        assert_eq!(Decoder::new().line(b"\xff\xfe{"), unrecognised("json"));
        assert_eq!(one("{\"type\":\"news\"}"), unrecognised("news"));
        assert_eq!(one("{\"subtype\":\"big\",\"type\":\"system\"}"), unrecognised("system/big"));
        assert_eq!(one(" \r\n"), Line::Quiet);
    }

    #[test]
    fn a_kind_is_bounded_between_characters() {
        let Line::Events(events) = one(&format!("{{\"type\":\"{}\"}}", "語".repeat(99))) else {
            panic!("no events");
        };
        let [Event::Unrecognised { kind }] = &events[..] else { panic!("{events:?}") };
        assert!(kind.len() <= CLI_KIND_BYTES && kind.len() > CLI_KIND_BYTES - 3, "{kind}");
    }

    #[test]
    fn a_refused_control_request_carries_its_reason() {
        assert_eq!(
            one(
                r#"{"type":"control_response","response":{"subtype":"error","request_id":"a","error":"No \"x\""}}"#
            ),
            Line::Control { request_id: "a".into(), error: Some("No \"x\"".into()), session_id: None },
        );
    }

    #[test]
    fn a_question_of_the_cli_is_noticed() {
        assert_eq!(
            one(r#"{"type":"control_request","request_id":"a","request":{"subtype":"can_use_tool"}}"#),
            unrecognised("control_request/can_use_tool"),
        );
    }

    #[test]
    fn a_subagent_is_not_heard() {
        let line = r#"{"type":"stream_event","event":{"type":"content_block_stop","index":0},"parent_tool_use_id":"t"}"#;
        assert_eq!(one(line), Line::Quiet);
    }

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_kept() {
        let repaired = |text: &str| {
            without_lone_surrogates(text.as_bytes()).map(|bytes| String::from_utf8(bytes).expect("ASCII"))
        };
        assert_eq!(repaired(r#""\ud83d""#).as_deref(), Some(r#""\ufffd""#));
        assert_eq!(
            repaired(r#""\uDE00\ud83d\ude00\ud83d\ud83d\ude00""#).as_deref(),
            Some(r#""\ufffd\ud83d\ude00\ufffd\ud83d\ude00""#)
        );
        assert_eq!(repaired(r#""\ud83d\ude00 \\ud83d \n""#), None);
    }
}
