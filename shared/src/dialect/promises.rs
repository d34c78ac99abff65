//! What a client may rely on in an answer: its shape, and that it can run the calls in it. An answer is noted as it is
//! made and judged when it is whole, in the same way for one that is streamed and for one in one piece.

use std::sync::Arc;

use super::shape::Shape;
use super::{Form, Rejection};
use crate::schema::{Block, Event, StopReason, Tool, limits};

/// What answers of one form have to keep.
pub(super) struct Promises {
    /// The client's tools.
    tools: Arc<[Tool]>,
    /// What the text is held against.
    shape: Option<Shape>,
}

/// What one answer has said so far of what there is to judge.
#[derive(Default)]
pub(super) struct Noted {
    text: String,
    calls: Vec<Call>,
    /// It has called a tool that the client does not have.
    called_a_stranger: bool,
}

/// A call of a tool whose arguments have to match.
struct Call {
    block: u32,
    shape: Shape,
    arguments: String,
}

impl Promises {
    /// Of answers of this form. The request was refused if they cannot be checked.
    pub(super) fn of(form: &Form) -> Self {
        Self { tools: Arc::clone(&form.tools), shape: Shape::of(form.output.as_ref()).ok().flatten() }
    }

    /// Whether the client has a tool of that name. Calls of others are never shown to it: it could only fail.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.tool(name).is_some()
    }

    fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// Notes of an event what has to be judged.
    pub(super) fn note(&self, noted: &mut Noted, event: &Event) {
        match event {
            Event::BlockStarted { index, block: Block::ToolUse { name, .. } } => match self.tool(name) {
                Some(tool) => noted.calls.extend(Call::to(tool, *index)),
                None => noted.called_a_stranger = true,
            },
            Event::TextDelta { text, .. } if self.shape.is_some() => keep(&mut noted.text, text),
            Event::ToolInputDelta { index, partial_json } => {
                if let Some(call) = noted.calls.iter_mut().rfind(|call| call.block == *index) {
                    keep(&mut call.arguments, partial_json);
                }
            }
            Event::TextDelta { .. }
            | Event::AttemptStarted { .. }
            | Event::Routed { .. }
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
            | Event::Choice { .. }
            | Event::Completed { .. }
            | Event::Failed { .. }
            | Event::Cancelled { .. }
            | Event::Expired => {}
        }
    }

    /// Whether an answer that has stopped so is what the client may rely on. One that was cut off need not be.
    pub(super) fn judge(&self, noted: &Noted, stop: StopReason) -> Result<(), Rejection> {
        match stop {
            StopReason::EndTurn | StopReason::ToolUse => noted.calls()?,
            StopReason::MaxTokens
            | StopReason::StopSequence
            | StopReason::PauseTurn
            | StopReason::Refusal
            | StopReason::ContextWindowExceeded => {}
        }
        self.shape.as_ref().map_or(Ok(()), |shape| shape.check(&noted.text, stop))
    }
}

impl Noted {
    fn calls(&self) -> Result<(), Rejection> {
        if self.called_a_stranger {
            return Err(Rejection::invalid_output(
                "The model called a tool that the request does not define.",
            ));
        }
        self.calls.iter().try_for_each(Call::check)
    }
}

impl Call {
    /// `None` if it may have any arguments: they are the client's to read, as the model has written them.
    fn to(tool: &Tool, block: u32) -> Option<Self> {
        let shape = Shape::of_arguments(tool).ok().flatten()?;
        Some(Self { block, shape, arguments: String::new() })
    }

    fn check(&self) -> Result<(), Rejection> {
        // No arguments are an empty object.
        let arguments = if self.arguments.is_empty() { "{}" } else { &self.arguments };
        self.shape.matches(arguments).map_err(|why| {
            Rejection::invalid_output(format!("The model called a strict tool with other arguments: {why}."))
        })
    }
}

/// Keeps what is to be judged; of what is too long for that, enough to know that it is.
fn keep(text: &mut String, piece: &str) {
    if text.len() <= limits::CHECKED_ANSWER_BYTES {
        text.push_str(piece);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(name: &str, strict: bool) -> Tool {
        let schema =
            json!({ "type": "object", "required": ["city"], "properties": { "city": { "type": "string" } } });
        let input_schema = schema.as_object().cloned().expect("an object");
        Tool { name: name.to_owned(), description: None, input_schema, strict }
    }

    /// Why an answer that makes these calls and stops so is none.
    fn judged(calls: &[(&str, &[&str])], stop: StopReason) -> Result<(), String> {
        let form = Form { tools: [tool("loose", false), tool("strict", true)].into(), ..Form::default() };
        let promises = Promises::of(&form);
        let mut noted = Noted::default();
        for ((name, pieces), index) in calls.iter().zip(0..) {
            let block = Block::ToolUse { id: format!("t{index}"), name: (*name).to_owned() };
            promises.note(&mut noted, &Event::BlockStarted { index, block });
            for piece in *pieces {
                let partial_json = (*piece).to_owned();
                promises.note(&mut noted, &Event::ToolInputDelta { index, partial_json });
            }
        }
        promises.judge(&noted, stop).map_err(|rejection| {
            let told = (rejection.status, rejection.code, rejection.should_retry);
            assert_eq!(told, (502, "invalid_output", Some(false)));
            rejection.message
        })
    }

    #[test]
    fn calls_are_of_the_clients_tools_and_strict_ones_match() {
        use StopReason::{EndTurn, MaxTokens, Refusal, ToolUse};
        for (calls, stop, why) in [
            (&[][..], EndTurn, None),
            (&[("strict", &[r#"{"ci"#, r#"ty":"Bern"}"#][..])][..], ToolUse, None),
            (&[("loose", &[]), ("loose", &["no JSON"]), ("loose", &[r#"{"city":5}"#])], ToolUse, None),
            (
                &[("strict", &[r#"{"city":"Bern"}"#]), ("strict", &[r#"{"city":5}"#])],
                ToolUse,
                Some("at '/city'."),
            ),
            (&[("strict", &[r#"{"city":5}"#])], EndTurn, Some("at '/city'.")),
            (&[("strict", &[])], ToolUse, Some("does not match the schema.")),
            (&[("strict", &[r#"{"city":"#])], ToolUse, Some("it is no JSON.")),
            (&[("strict", &[r#"["city"]"#])], ToolUse, Some("does not match the schema.")),
            // What was cut off cannot match.
            (&[("strict", &[r#"{"city":"#])], MaxTokens, None),
            (&[("strict", &[r#"{"city":"#])], Refusal, None),
            (&[("loose", &[]), ("stranger", &["{}"])], ToolUse, Some("does not define.")),
            (&[("stranger", &[])], EndTurn, Some("does not define.")),
            (&[("stranger", &[])], MaxTokens, None),
        ] {
            let told = judged(calls, stop);
            match why {
                None => assert_eq!(told, Ok(()), "{calls:?}"),
                Some(why) => {
                    assert!(told.as_ref().is_err_and(|told| told.ends_with(why)), "{calls:?}: {told:?}");
                }
            }
        }
        let long = "x".repeat(limits::CHECKED_ANSWER_BYTES + 1);
        assert!(judged(&[("strict", &[&long, &long])], ToolUse).is_err_and(|why| why.contains("too long")));
    }
}
