//! Events to `chat.completion.chunk` frames.

use serde::Serialize;

use super::ending::{self, Ending, finish_reason};
use super::{error, wire};
use crate::dialect::shape::Shape;
use crate::dialect::{Answer, Form, Rejection, StreamEncoder, UsageWish};
use crate::schema::{Block, Event, StopReason, Usage, limits};

/// Writes the chunks of one answer. The first one goes out with the first content, never before: until
/// then a failure can still have an HTTP status of its own.
pub(super) struct ChunkEncoder {
    /// What every chunk begins with, up to the content of `choices`.
    head: Vec<u8>,
    usage: UsageWish,
    form: Form,
    begun: bool,
    /// What the answer is held against at its end, and its text so far.
    shape: Option<(Shape, String)>,
    /// The tool calls so far; a call's place in here is its `index` on the wire.
    calls: Vec<Call>,
}

struct Call {
    block: u32,
    has_arguments: bool,
}

#[derive(Serialize)]
struct Head<'a> {
    id: String,
    object: &'static str,
    created: i64,
    model: &'a str,
    system_fingerprint: Option<&'a str>,
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

/// The delta of the chunk that tells why the model stopped.
#[derive(Serialize)]
struct Nothing {}

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

impl StreamEncoder for ChunkEncoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::BlockStarted { index, block: Block::ToolUse { id, name } } => {
                self.open_call(*index, id, name, out);
            }
            Event::BlockStarted { .. } => self.begin(out),
            Event::TextDelta { text, .. } => {
                self.note(text);
                self.delta(&Delta::Content(text), text, out);
            }
            Event::ThinkingDelta { thinking, .. } => {
                self.delta(&Delta::ReasoningContent(thinking), thinking, out);
            }
            Event::ToolInputDelta { index, partial_json } => self.arguments(*index, partial_json, out),
            Event::BlockStopped { index } => self.close_call(*index, out),
            Event::Completed { .. } | Event::Failed { .. } | Event::Cancelled { .. } | Event::Expired => {
                self.end(event, out);
            }
            Event::AttemptStarted { .. }
            | Event::Routed { .. }
            | Event::MessageStarted { .. }
            | Event::SignatureDelta { .. }
            | Event::MessageStopped { .. }
            | Event::ToolStarted { .. }
            | Event::ToolFinished { .. }
            | Event::Notice { .. }
            | Event::Unrecognised { .. } => {}
        }
    }
}

impl ChunkEncoder {
    /// An encoder that has written nothing yet.
    pub(super) fn new(answer: &Answer) -> Self {
        let mut head = b"data: ".to_vec();
        let fields = Head {
            id: wire::completion_id(answer),
            object: "chat.completion.chunk",
            created: answer.created_s,
            model: &answer.model,
            system_fingerprint: None,
        };
        wire::json(&fields, &mut head);
        head.pop();
        head.extend_from_slice(b",\"choices\":[");
        // The request was refused if its shape cannot be checked.
        let shape = Shape::of(answer.form.output.as_ref()).ok().flatten().map(|shape| (shape, String::new()));
        Self { head, usage: answer.usage, form: answer.form.clone(), begun: false, shape, calls: Vec::new() }
    }

    /// The chunk that names the role, unless it has gone out.
    fn begin(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            let opening = Opening { role: "assistant", content: Some(""), refusal: None, call: None };
            self.chunk(&opening, None, out);
        }
    }

    /// One chunk per piece; an empty piece gives none.
    fn delta(&mut self, delta: &Delta, piece: &str, out: &mut Vec<u8>) {
        self.begin(out);
        if !piece.is_empty() {
            self.chunk(delta, None, out);
        }
    }

    /// The first chunk of a tool call. An answer that begins with one has no content so far, not an empty one. The
    /// older form knows one call; the model is told to make no more.
    fn open_call(&mut self, block: u32, id: &str, name: &str, out: &mut Vec<u8>) {
        if self.form.older_calls && !self.calls.is_empty() {
            return;
        }
        let function = Function { name: Some(name), arguments: "" };
        let call = self.call(self.calls.len(), Some(id), function);
        self.calls.push(Call { block, has_arguments: false });
        if self.begun {
            return self.chunk(&call, None, out);
        }
        self.begun = true;
        let opening = Opening { role: "assistant", content: None, refusal: None, call: Some(call) };
        self.chunk(&opening, None, out);
    }

    fn arguments(&mut self, block: u32, piece: &str, out: &mut Vec<u8>) {
        // The latest call wins: blocks are counted anew in every message.
        let Some(index) = self.calls.iter().rposition(|call| call.block == block) else {
            return;
        };
        self.calls[index].has_arguments |= !piece.is_empty();
        let delta = self.call(index, None, Function { name: None, arguments: piece });
        self.delta(&delta, piece, out);
    }

    /// A piece of a call, in the form that the client knows. Only the first has an identifier and a type.
    fn call<'a>(&self, index: usize, id: Option<&'a str>, function: Function<'a>) -> Delta<'a> {
        if self.form.older_calls {
            return Delta::FunctionCall(function);
        }
        Delta::ToolCalls([ToolCall { index, id, r#type: id.map(|_| "function"), function }])
    }

    /// Clients parse the arguments as JSON, so a call without any gets an empty object.
    fn close_call(&mut self, block: u32, out: &mut Vec<u8>) {
        if self.calls.last().is_some_and(|call| call.block == block && !call.has_arguments) {
            self.arguments(block, "{}", out);
        }
    }

    fn end(&mut self, event: &Event, out: &mut Vec<u8>) {
        match ending::of(event) {
            Some(Ending::Answer { stop, usage }) => self.finish(stop, &usage, out),
            Some(Ending::Error(rejection)) => fail(&rejection, out),
            None => {}
        }
    }

    /// Keeps what is to be checked; of a text that is too long for that, enough to know that it is.
    fn note(&mut self, piece: &str) {
        if let Some((_, text)) = &mut self.shape
            && text.len() <= limits::CHECKED_ANSWER_BYTES
        {
            text.push_str(piece);
        }
    }

    fn finish(&mut self, stop: StopReason, usage: &Usage, out: &mut Vec<u8>) {
        let checked = self.shape.as_ref().map_or(Ok(()), |(shape, text)| shape.check(text, stop));
        if let Err(rejection) = checked {
            return fail(&rejection, out);
        }
        self.begin(out);
        self.chunk(&Nothing {}, Some(finish_reason(stop, &self.form)), out);
        if self.usage.streamed {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(b"],\"usage\":");
            wire::json(&wire::Usage::new(usage, self.usage.cost), out);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn chunk(&self, delta: &impl Serialize, finish_reason: Option<&str>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"{\"index\":0,\"delta\":");
        wire::json(delta, out);
        out.extend_from_slice(b",\"logprobs\":null,\"finish_reason\":");
        wire::json(&finish_reason, out);
        out.extend_from_slice(if self.usage.streamed { b"}],\"usage\":null}\n\n" } else { b"}]}\n\n" });
    }
}

/// The frame that ends a stream with an error.
fn fail(rejection: &Rejection, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    error::write(rejection, out);
    out.extend_from_slice(b"\n\n");
}
