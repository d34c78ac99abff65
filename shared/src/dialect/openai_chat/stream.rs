//! Events to `chat.completion.chunk` frames.

use serde::Serialize;

use super::choice::Choice;
use super::ending::{self, Ending, finish_reason};
use super::{error, wire};
use crate::dialect::promises::Promises;
use crate::dialect::{Answer, Form, Rejection, StreamEncoder, UsageWish};
use crate::schema::{Changes, Event, StopReason, Usage};

/// Writes the chunks of an answer. The first one goes out with the first content, never before: until then a
/// failure can still have an HTTP status of its own.
pub(super) struct ChunkEncoder {
    frame: Frame,
    choices: Vec<Choice>,
}

/// What all chunks of an answer have in common.
pub(super) struct Frame {
    /// What every chunk begins with, up to the content of `choices`.
    head: Vec<u8>,
    usage: UsageWish,
    pub(super) form: Form,
    pub(super) promises: Promises,
    /// What an agent has done to files, told with the end.
    changes: Option<Changes>,
}

#[derive(Serialize)]
struct Head<'a> {
    id: String,
    object: &'static str,
    created: i64,
    model: &'a str,
    system_fingerprint: Option<&'a str>,
    #[serde(flatten)]
    place: wire::Place,
}

/// The delta of the chunk that tells why the model stopped.
#[derive(Serialize)]
struct Nothing {}

impl StreamEncoder for ChunkEncoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        match ending::of(event) {
            Some(Ending::Answer { stop, usage }) => self.finish(stop, &usage, out),
            Some(Ending::Error(rejection)) => fail(&rejection, out),
            None => {
                if let Event::FilesChanged(changes) = event {
                    self.frame.changes = Some(changes.clone());
                }
                let (several, event) = event.split();
                let at = self.place(several.unwrap_or(0));
                let choice = &mut self.choices[at];
                choice.take(event, &self.frame, out);
                if let (Some(_), Event::MessageStopped { stop, .. }) = (several, event) {
                    choice.stop = Some(*stop);
                }
            }
        }
    }
}

impl ChunkEncoder {
    /// An encoder that has written nothing yet.
    pub(super) fn new(answer: &Answer) -> Self {
        let mut head = b"data: ".to_vec();
        let fields = Head {
            id: wire::completion_id(answer.job),
            object: "chat.completion.chunk",
            created: answer.created_s,
            model: &answer.model,
            system_fingerprint: None,
            place: wire::Place::of(answer),
        };
        wire::json(&fields, &mut head);
        head.pop();
        head.extend_from_slice(b",\"choices\":[");
        let (form, promises) = (answer.form.clone(), Promises::of(&answer.form));
        let frame = Frame { head, usage: answer.usage, form, promises, changes: None };
        Self { frame, choices: vec![Choice::new(0)] }
    }

    /// Where the choice of that index is; it is made if this is the first of it.
    fn place(&mut self, index: u32) -> usize {
        let known = self.choices.iter().position(|choice| choice.index == index);
        known.unwrap_or_else(|| {
            self.choices.push(Choice::new(index));
            self.choices.len() - 1
        })
    }

    fn finish(&mut self, stop: StopReason, usage: &Usage, out: &mut Vec<u8>) {
        let Self { frame, choices } = self;
        choices.sort_by_key(|choice| choice.index);
        if let Some(rejection) = choices.iter().find_map(|choice| choice.check(stop, frame).err()) {
            return fail(&rejection, out);
        }
        for choice in choices {
            choice.complete(frame, out);
            let reason = finish_reason(choice.stop.unwrap_or(stop), &frame.form);
            frame.chunk(choice.index, &Nothing {}, Some(reason), out);
        }
        if frame.usage.streamed {
            out.extend_from_slice(&frame.head);
            out.extend_from_slice(b"],\"usage\":");
            wire::json(&wire::Usage::new(usage, frame.usage.cost), out);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

impl Frame {
    /// Writes one chunk of one choice.
    pub(super) fn chunk(
        &self,
        index: u32,
        delta: &impl Serialize,
        finish_reason: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"{\"index\":");
        wire::json(&index, out);
        out.extend_from_slice(b",\"delta\":");
        wire::json(delta, out);
        out.extend_from_slice(b",\"logprobs\":null,\"finish_reason\":");
        wire::json(&finish_reason, out);
        out.extend_from_slice(b"}]");
        if self.usage.streamed {
            out.extend_from_slice(b",\"usage\":null");
        }
        if let Some(changes) = self.changes.as_ref().filter(|_| finish_reason.is_some()) {
            out.extend_from_slice(b",\"files_changed\":");
            wire::json(changes, out);
        }
        out.extend_from_slice(b"}\n\n");
    }
}

/// The frame that ends a stream with an error.
fn fail(rejection: &Rejection, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    error::write(rejection, out);
    out.extend_from_slice(b"\n\n");
}
