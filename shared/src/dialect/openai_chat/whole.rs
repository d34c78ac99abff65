//! All events of a job to one `chat.completion` object.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::ending::{self, Ending, finish_reason};
use super::{activity, wire};
use crate::dialect::promises::{Noted, Promises};
use crate::dialect::{Answer, Form, Rejection};
use crate::schema::{Block, Changes, Event, SeqEvent, StopReason, Usage};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChatCompletion")]
pub(super) struct Completion<'a> {
    id: String,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: Vec<Choice>,
    usage: wire::Usage,
    system_fingerprint: Option<&'a str>,
    /// Of an agent's answer only.
    #[serde(skip_serializing_if = "Option::is_none")]
    files_changed: Option<&'a Changes>,
    #[serde(flatten)]
    place: wire::Place,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChatChoice")]
struct Choice {
    index: u32,
    message: Message,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChatAnswer")]
struct Message {
    role: &'static str,
    content: Option<String>,
    refusal: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    reasoning_content: String,
    annotations: [(); 0],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Function>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChatToolCall")]
struct ToolCall {
    #[serde(skip)]
    block: u32,
    id: String,
    r#type: &'static str,
    function: Function,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChatFunctionCall")]
struct Function {
    name: String,
    arguments: String,
}

/// What one of the answers has said so far.
#[derive(Default)]
struct Said {
    text: String,
    thinking: String,
    calls: Vec<ToolCall>,
    noted: Noted,
    /// Why the model stopped, where this is one of several answers; of an only one the job's end tells.
    stop: Option<StopReason>,
}

/// The body of the answer, or why there is none.
pub(super) fn fold(answer: &Answer, events: &[SeqEvent]) -> Result<Vec<u8>, Rejection> {
    let promises = Promises::of(&answer.form);
    let mut said = BTreeMap::from([(0, Said::default())]);
    let mut changes = None;
    for SeqEvent { event, .. } in events {
        match ending::of(event) {
            Some(Ending::Answer { stop, usage }) => {
                return completion(answer, &promises, said, changes, stop, &usage);
            }
            Some(Ending::Error(rejection)) => return Err(rejection),
            None => {}
        }
        // What an attempt said that was given up is not part of the answer.
        if matches!(event, Event::AttemptStarted { .. }) {
            said = BTreeMap::from([(0, Said::default())]);
        }
        if let Event::FilesChanged(told) = event {
            changes = Some(told);
        }
        let (several, event) = event.split();
        let choice = said.entry(several.unwrap_or(0)).or_default();
        choice.take(event, &answer.form, &promises);
        if let (Some(_), Event::MessageStopped { stop, .. }) = (several, event) {
            choice.stop = Some(*stop);
        }
    }
    Err(Rejection::new(500, "internal_error", "The job has not ended."))
}

fn completion(
    answer: &Answer,
    promises: &Promises,
    said: BTreeMap<u32, Said>,
    files_changed: Option<&Changes>,
    stop: StopReason,
    usage: &Usage,
) -> Result<Vec<u8>, Rejection> {
    let mut choices = Vec::with_capacity(said.len());
    for (index, said) in said {
        let stop = said.stop.unwrap_or(stop);
        promises.judge(&said.noted, stop)?;
        let message = said.message(&answer.form);
        choices.push(Choice {
            index,
            message,
            logprobs: None,
            finish_reason: finish_reason(stop, &answer.form),
        });
    }
    let completion = Completion {
        id: wire::completion_id(answer.job),
        object: "chat.completion",
        created: answer.created_s,
        model: &answer.model,
        choices,
        usage: wire::Usage::new(usage, answer.usage.cost),
        system_fingerprint: None,
        files_changed,
        place: wire::Place::of(answer),
    };
    let mut out = Vec::new();
    wire::json(&completion, &mut out);
    Ok(out)
}

impl Said {
    fn take(&mut self, event: &Event, form: &Form, promises: &Promises) {
        promises.note(&mut self.noted, event);
        match event {
            Event::BlockStarted { index, block: Block::ToolUse { id, name } } if promises.knows(name) => {
                let function = Function { name: name.clone(), arguments: String::new() };
                self.calls.push(ToolCall { block: *index, id: id.clone(), r#type: "function", function });
            }
            Event::TextDelta { text, .. } => self.text.push_str(text),
            Event::ThinkingDelta { thinking, .. } => self.thinking.push_str(thinking),
            Event::ToolStarted { name, title, .. } if form.activity => {
                let within_line = !self.thinking.is_empty() && !self.thinking.ends_with('\n');
                self.thinking.push_str(&activity::line(within_line, name, title.as_deref()));
            }
            Event::ToolInputDelta { index, partial_json } => {
                // The latest call wins: blocks are counted anew in every message.
                if let Some(call) = self.calls.iter_mut().rfind(|call| call.block == *index) {
                    call.function.arguments.push_str(partial_json);
                }
            }
            // As a stream tells it, in which nothing can be taken back that comes behind a block's end.
            Event::BlockStopped { index } => {
                let call = self.calls.last_mut().filter(|call| call.block == *index);
                if let Some(call) = call.filter(|call| call.function.arguments.is_empty()) {
                    call.function.arguments.push_str("{}");
                }
            }
            Event::AttemptStarted { .. }
            | Event::Routed { .. }
            | Event::MessageStarted { .. }
            | Event::BlockStarted { .. }
            | Event::SignatureDelta { .. }
            | Event::MessageStopped { .. }
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

    fn message(mut self, form: &Form) -> Message {
        // Clients parse the arguments as JSON, so a call without any gets an empty object.
        for call in self.calls.iter_mut().filter(|call| call.function.arguments.is_empty()) {
            call.function.arguments.push_str("{}");
        }
        let silent = self.text.is_empty() && !self.calls.is_empty();
        // The older form knows one call; the model is told to make no more.
        let older = if form.older_calls { std::mem::take(&mut self.calls) } else { Vec::new() };
        Message {
            role: "assistant",
            content: (!silent).then_some(self.text),
            refusal: None,
            reasoning_content: self.thinking,
            annotations: [],
            tool_calls: self.calls,
            function_call: older.into_iter().next().map(|call| call.function),
        }
    }
}
