//! One of an answer's choices, on its way into chunks.

use serde::Serialize;

use super::activity;
use super::stream::Frame;
use crate::dialect::Rejection;
use crate::dialect::promises::Noted;
use crate::schema::{Block, Event, StopReason};

/// What a choice has said so far, as far as later chunks depend on it.
pub(super) struct Choice {
    pub(super) index: u32,
    /// Why the model stopped, where this is one of several; of an only one the job's end tells.
    pub(super) stop: Option<StopReason>,
    begun: bool,
    /// Whether the reasoning so far ends within a line.
    within_line: bool,
    /// What it is held against its promises with at its end.
    noted: Noted,
    /// The tool calls so far; a call's place in here is its `index` on the wire.
    calls: Vec<Call>,
}

struct Call {
    block: u32,
    has_arguments: bool,
}

/// The delta of the first chunk.
#[derive(Serialize)]
struct Opening<'a> {
    role: &'static str,
    content: Option<&'static str>,
    refusal: Option<&'static str>,
    #[serde(flatten)]
    call: Option<Delta<'a>>,
}

/// The delta of any later chunk.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Delta<'a> {
    Content(&'a str),
    ReasoningContent(&'a str),
    ToolCalls([ToolCall<'a>; 1]),
    FunctionCall(Function<'a>),
}

#[derive(Serialize)]
struct ToolCall<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

impl Choice {
    /// One that has said nothing yet.
    pub(super) fn new(index: u32) -> Self {
        Self {
            index,
            stop: None,
            begun: false,
            within_line: false,
            noted: Noted::default(),
            calls: Vec::new(),
        }
    }

    /// Writes what an event that ends nothing says.
    pub(super) fn take(&mut self, event: &Event, frame: &Frame, out: &mut Vec<u8>) {
        frame.promises.note(&mut self.noted, event);
        match event {
            Event::BlockStarted { index, block: Block::ToolUse { id, name } } => {
                if frame.promises.knows(name) {
                    self.open_call(*index, id, name, frame, out);
                }
            }
            Event::BlockStarted { .. } => self.begin(frame, out),
            Event::TextDelta { text, .. } => self.delta(&Delta::Content(text), text, frame, out),
            Event::ThinkingDelta { thinking, .. } => self.think(thinking, frame, out),
            Event::ToolStarted { name, title, .. } if frame.form.activity => {
                let line = activity::line(self.within_line, name, title.as_deref());
                self.think(&line, frame, out);
            }
            Event::ToolInputDelta { index, partial_json } => self.arguments(*index, partial_json, frame, out),
            Event::BlockStopped { index } => self.close_call(*index, frame, out),
            Event::AttemptStarted { .. }
            | Event::Routed { .. }
            | Event::MessageStarted { .. }
            | Event::MessageStopped { .. }
            | Event::SignatureDelta { .. }
            | Event::ToolStarted { .. }
            | Event::ToolFinished { .. }
            | Event::FilesChanged(_)
            | Event::Notice { .. }
            | Event::Unrecognised { .. }
            | Event::Choice { .. }
            | Event::Completed { .. }
            | Event::Failed { .. }
            | Event::Cancelled { .. }
            | Event::Expired => {}
        }
    }

    fn think(&mut self, piece: &str, frame: &Frame, out: &mut Vec<u8>) {
        self.within_line = if piece.is_empty() { self.within_line } else { !piece.ends_with('\n') };
        self.delta(&Delta::ReasoningContent(piece), piece, frame, out);
    }

    /// The chunk that names the role, unless it has gone out.
    fn begin(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            let opening = Opening { role: "assistant", content: Some(""), refusal: None, call: None };
            frame.chunk(self.index, &opening, None, out);
        }
    }

    /// Whether the whole of it is what was asked for. `stop` tells why the model stopped, unless it is known of this
    /// choice.
    pub(super) fn check(&self, stop: StopReason, frame: &Frame) -> Result<(), Rejection> {
        frame.promises.judge(&self.noted, self.stop.unwrap_or(stop))
    }

    /// One chunk per piece; an empty piece gives none.
    fn delta(&mut self, delta: &Delta, piece: &str, frame: &Frame, out: &mut Vec<u8>) {
        self.begin(frame, out);
        if !piece.is_empty() {
            frame.chunk(self.index, delta, None, out);
        }
    }

    /// The first chunk of a tool call. A choice that begins with one has no content so far, not an empty one. The
    /// older form knows one call; the model is told to make no more.
    fn open_call(&mut self, block: u32, id: &str, name: &str, frame: &Frame, out: &mut Vec<u8>) {
        if frame.form.older_calls && !self.calls.is_empty() {
            return;
        }
        let function = Function { name: Some(name), arguments: "" };
        let call = call(self.calls.len(), Some(id), function, frame);
        self.calls.push(Call { block, has_arguments: false });
        if self.begun {
            return frame.chunk(self.index, &call, None, out);
        }
        self.begun = true;
        let opening = Opening { role: "assistant", content: None, refusal: None, call: Some(call) };
        frame.chunk(self.index, &opening, None, out);
    }

    fn arguments(&mut self, block: u32, piece: &str, frame: &Frame, out: &mut Vec<u8>) {
        // The latest call wins: blocks are counted anew in every message.
        let Some(index) = self.calls.iter().rposition(|call| call.block == block) else {
            return;
        };
        self.calls[index].has_arguments |= !piece.is_empty();
        let delta = call(index, None, Function { name: None, arguments: piece }, frame);
        self.delta(&delta, piece, frame, out);
    }

    /// Clients parse the arguments as JSON, so a call without any gets an empty object.
    fn close_call(&mut self, block: u32, frame: &Frame, out: &mut Vec<u8>) {
        if self.calls.last().is_some_and(|call| call.block == block && !call.has_arguments) {
            self.arguments(block, "{}", frame, out);
        }
    }

    /// Writes what a whole choice lacks: a beginning, and arguments of calls that were never closed.
    pub(super) fn complete(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        self.begin(frame, out);
        for index in 0..self.calls.len() {
            if !std::mem::replace(&mut self.calls[index].has_arguments, true) {
                let delta = call(index, None, Function { name: None, arguments: "{}" }, frame);
                frame.chunk(self.index, &delta, None, out);
            }
        }
    }
}

/// A piece of a call, in the form that the client knows. Only the first has an identifier and a type.
fn call<'a>(index: usize, id: Option<&'a str>, function: Function<'a>, frame: &Frame) -> Delta<'a> {
    if frame.form.older_calls {
        return Delta::FunctionCall(function);
    }
    Delta::ToolCalls([ToolCall { index, id, r#type: id.map(|_| "function"), function }])
}
