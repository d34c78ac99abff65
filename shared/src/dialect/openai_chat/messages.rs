//! The conversation: `messages` to a system prompt and turns.

use super::admission::{Ignored, admit};
use super::calls::Calls;
use super::content;
use super::parameters::Scope;
use super::reader::Node;
use crate::dialect::{Answered, Rejection};
use crate::schema::{Part, Role, Turn, limits};

/// What `messages` hold. Texts are kept byte for byte.
#[derive(Default)]
pub(super) struct Conversation {
    /// All system and developer texts, in order, separated by blank lines.
    pub(super) system: String,
    /// What user and assistant said; the last turn is the user's. The results of tools are the user's too, and
    /// what he says right after them is of the same turn.
    pub(super) turns: Vec<Turn>,
    /// The calls that the first messages answer, if they are none of these messages'.
    pub(super) answered: Vec<Answered>,
    calls: Calls,
}

/// Who a message is from.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Author {
    System,
    User,
    Assistant,
    /// A tool of the client's.
    Tool,
    /// The same in its older form.
    Function,
}

/// Reads `messages`. `goes_on`: something was said before, of which the first ones may answer calls.
pub(super) fn read(messages: &Node, goes_on: bool, ignored: &mut Ignored) -> Result<Conversation, Rejection> {
    let items = messages.items()?;
    if items.len() == 0 {
        return Err(messages.invalid_value("It must hold at least one message."));
    }
    if items.len() > limits::MESSAGES {
        return Err(messages.invalid_value(format!("It holds more than {} messages.", limits::MESSAGES)));
    }
    let mut conversation = Conversation { calls: Calls::after(goes_on), ..Conversation::default() };
    let mut last_turn = None;
    for message in items {
        if conversation.add(&message, ignored)? {
            last_turn = Some(message);
        }
    }
    conversation.calls.close()?;
    conversation.answered = conversation.calls.take_answered();
    if conversation.images() > limits::IMAGES {
        return Err(
            messages.invalid_value(format!("It holds more than {} images and documents.", limits::IMAGES))
        );
    }
    match (conversation.turns.last().map(|turn| turn.role), last_turn) {
        (Some(Role::User), _) => Ok(conversation),
        (Some(Role::Assistant), Some(message)) => Err(message.invalid_value(
            "The last message must be the user's; an answer that the client begins cannot be continued.",
        )),
        _ => Err(messages.invalid_value("It must hold a message of role 'user'.")),
    }
}

impl Conversation {
    /// How many images and documents it holds.
    fn images(&self) -> usize {
        let is_shown = |part: &&Part| matches!(part, Part::Image { .. } | Part::Document { .. });
        let parts = self.turns.iter().flat_map(|turn| &turn.parts);
        let count = |part: &Part| match part {
            Part::ToolResult { content, .. } => content.iter().filter(is_shown).count(),
            part => usize::from(is_shown(&part)),
        };
        parts.map(count).sum()
    }

    /// Takes one message in; true if it became a turn, or a part of one.
    fn add(&mut self, message: &Node, ignored: &mut Ignored) -> Result<bool, Rejection> {
        let author = author(message)?;
        admit(message, Scope::Message, ignored)?;
        only_from(author, message)?;
        if author != Author::Function && message.get("name").is_some() {
            ignored.add(Scope::Message, "name");
        }
        match author {
            Author::System => {
                for part in content::read(message, author, false, ignored)? {
                    self.add_system(&part);
                }
                return Ok(false);
            }
            Author::User => {
                self.calls.close()?;
                let parts = content::read(message, author, false, ignored)?;
                if parts.is_empty() {
                    let content = message.required("content")?;
                    return Err(content.invalid_value("A user's message must not be empty."));
                }
                self.add_user(parts);
            }
            Author::Assistant => {
                self.calls.close()?;
                let calls = self.calls.open(message, ignored)?;
                let mut parts = content::read(message, author, !calls.is_empty(), ignored)?;
                parts.extend(calls);
                // An assistant that was interrupted before its first word said nothing.
                if parts.is_empty() {
                    return Ok(false);
                }
                self.turns.push(Turn { role: Role::Assistant, parts });
            }
            Author::Tool | Author::Function => {
                let tool_use_id = match author {
                    Author::Function => self.calls.older_answer(message)?,
                    _ => self.calls.answer(message)?,
                };
                let content = content::read(message, author, false, ignored)?;
                let result = Part::ToolResult { tool_use_id, content, is_error: false };
                self.add_user(vec![result]);
            }
        }
        Ok(true)
    }

    /// Adds to the user's turn if it is one of results, else a turn.
    fn add_user(&mut self, parts: Vec<Part>) {
        let is_result = |part: &Part| matches!(part, Part::ToolResult { .. });
        match self.turns.last_mut() {
            Some(turn) if turn.role == Role::User && turn.parts.last().is_some_and(is_result) => {
                turn.parts.extend(parts);
            }
            _ => self.turns.push(Turn { role: Role::User, parts }),
        }
    }

    fn add_system(&mut self, part: &Part) {
        let Part::Text { text } = part else { return };
        if !self.system.is_empty() {
            self.system.push_str("\n\n");
        }
        self.system.push_str(text);
    }
}

fn author(message: &Node) -> Result<Author, Rejection> {
    let role = message.of_object()?.required("role")?;
    match role.text()? {
        "system" | "developer" => Ok(Author::System),
        "user" => Ok(Author::User),
        "assistant" => Ok(Author::Assistant),
        "tool" => Ok(Author::Tool),
        "function" => Ok(Author::Function),
        _ => Err(role
            .invalid_value("It must be 'system', 'developer', 'user', 'assistant', 'tool' or 'function'.")),
    }
}

/// Calls are an assistant's, and answers to them a tool's.
fn only_from(author: Author, message: &Node) -> Result<(), Rejection> {
    let is_empty = |field: &Node| field.value().as_array().is_some_and(Vec::is_empty);
    for (name, of, whose) in [
        ("tool_calls", Author::Assistant, "an assistant's"),
        ("function_call", Author::Assistant, "an assistant's"),
        ("tool_call_id", Author::Tool, "a tool's"),
    ] {
        if let Some(field) = message.get(name).filter(|field| author != of && !is_empty(field)) {
            return Err(field.invalid_value(format!("It is only allowed in {whose} message.")));
        }
    }
    Ok(())
}
