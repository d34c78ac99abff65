//! The history of a session: what a job adds to it, and how a conversation goes on from it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::event::{Block, Event};
use super::spec::{Part, Role, Turn};
use super::tool::Tool;

/// What of `given` the history does not hold yet. A client sends all that was said, or only what is new: if the
/// history is the beginning of what it sent, the rest is new, else everything.
///
/// A client may have identifiers of its own for the calls of tools, as the older form of the `OpenAI` API has none;
/// what it says of calls in the history comes back with the history's identifiers.
#[must_use]
pub fn fresh(history: &[Turn], given: &[Turn]) -> Vec<Turn> {
    let mut names = Names::default();
    let is_beginning = history.len() <= given.len()
        && history.iter().zip(given).all(|(known, turn)| names.same_turn(known, turn));
    if !is_beginning {
        return given.to_vec();
    }
    given[history.len()..].iter().map(|turn| names.translate(turn)).collect()
}

/// The conversation that a job goes on with: the history, and what of `given` is new.
#[must_use]
pub fn join(mut history: Vec<Turn>, given: &[Turn]) -> Vec<Turn> {
    let fresh = fresh(&history, given);
    history.extend(fresh);
    history
}

/// The identifiers of the history's calls, by the client's.
#[derive(Default)]
struct Names<'a>(HashMap<&'a str, &'a str>);

impl<'a> Names<'a> {
    fn same_turn(&mut self, known: &'a Turn, given: &'a Turn) -> bool {
        known.role == given.role
            && known.parts.len() == given.parts.len()
            && known.parts.iter().zip(&given.parts).all(|(known, given)| self.same_part(known, given))
    }

    fn same_part(&mut self, known: &'a Part, given: &'a Part) -> bool {
        match (known, given) {
            (
                Part::ToolUse { id, name, input },
                Part::ToolUse { id: given_id, name: given_name, input: given_input },
            ) => {
                self.0.insert(given_id, id);
                name == given_name && input == given_input
            }
            (
                Part::ToolResult { tool_use_id, content, is_error },
                Part::ToolResult { tool_use_id: given_id, content: given_content, is_error: given_error },
            ) => {
                self.0.get(given_id.as_str()) == Some(&tool_use_id.as_str())
                    && content == given_content
                    && is_error == given_error
            }
            _ => known == given,
        }
    }

    fn translate(&self, turn: &Turn) -> Turn {
        let mut turn = turn.clone();
        for part in &mut turn.parts {
            if let Part::ToolResult { tool_use_id, .. } = part
                && let Some(known) = self.0.get(tool_use_id.as_str())
            {
                (*known).clone_into(tool_use_id);
            }
        }
        turn
    }
}

/// What the model has said in a job, as clients are told it and send it back: its text in one piece, then its calls of
/// the client's tools. Thinking is not kept, nor a call whose arguments broke off: no client can answer it. `None`
/// where nothing is left.
pub fn answer<'a>(events: impl IntoIterator<Item = &'a Event>) -> Option<Turn> {
    let mut said = Said::default();
    events.into_iter().for_each(|event| said.take(event));
    let text = (!said.text.is_empty()).then_some(Part::Text { text: said.text });
    let calls = said.calls.into_iter().filter_map(Call::into_part);
    let parts: Vec<Part> = text.into_iter().chain(calls).collect();
    (!parts.is_empty()).then_some(Turn { role: Role::Assistant, parts })
}

/// Whether the answer calls a tool that its client does not have. Such an answer is an error to the client, who could
/// not go on from it.
pub fn calls_a_stranger(answer: &Turn, tools: &[Tool]) -> bool {
    let is_known = |called: &str| tools.iter().any(|tool| tool.name == called);
    answer.parts.iter().any(|part| matches!(part, Part::ToolUse { name, .. } if !is_known(name)))
}

#[derive(Default)]
struct Said {
    text: String,
    calls: Vec<Call>,
}

struct Call {
    block: u32,
    id: String,
    name: String,
    arguments: String,
}

impl Said {
    fn take(&mut self, event: &Event) {
        match event {
            // What an attempt said that was given up is not part of the answer.
            Event::AttemptStarted { .. } => *self = Self::default(),
            Event::BlockStarted { index, block: Block::ToolUse { id, name } } => {
                let (id, name) = (id.clone(), name.clone());
                self.calls.push(Call { block: *index, id, name, arguments: String::new() });
            }
            Event::TextDelta { text, .. } => self.text.push_str(text),
            Event::ToolInputDelta { index, partial_json } => {
                // The latest call wins: blocks are counted anew in every message.
                if let Some(call) = self.calls.iter_mut().rfind(|call| call.block == *index) {
                    call.arguments.push_str(partial_json);
                }
            }
            Event::Routed { .. }
            | Event::MessageStarted { .. }
            | Event::BlockStarted { .. }
            | Event::ThinkingDelta { .. }
            | Event::SignatureDelta { .. }
            | Event::BlockStopped { .. }
            | Event::MessageStopped { .. }
            | Event::ToolStarted { .. }
            | Event::ToolFinished { .. }
            | Event::FilesChanged(_)
            | Event::Notice { .. }
            | Event::Unrecognised { .. }
            // A session goes on from one answer; who wants several gets them outside of sessions.
            | Event::Choice { .. }
            | Event::Completed { .. }
            | Event::Failed { .. }
            | Event::Cancelled { .. }
            | Event::Expired => {}
        }
    }
}

impl Call {
    fn into_part(self) -> Option<Part> {
        let input: Map<String, Value> = if self.arguments.is_empty() {
            Map::new()
        } else {
            serde_json::from_str(&self.arguments).ok()?
        };
        Some(Part::ToolUse { id: self.id, name: self.name, input })
    }
}

#[cfg(test)]
mod tests;
