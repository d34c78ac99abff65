//! The conversation: `messages` to a system prompt and turns.

use super::admission::{Ignored, admit};
use super::parameters::Scope;
use super::reader::Node;
use crate::dialect::Rejection;
use crate::schema::{Part, Role, Turn, limits};

/// What `messages` hold. Texts are kept byte for byte.
#[derive(Default)]
pub(super) struct Conversation {
    /// All system and developer texts, in order, separated by blank lines.
    pub(super) system: String,
    /// What user and assistant said; the last turn is the user's.
    pub(super) turns: Vec<Turn>,
}

/// Who a message is from.
#[derive(Clone, Copy, PartialEq)]
enum Author {
    System,
    User,
    Assistant,
}

/// Reads `messages`.
pub(super) fn read(messages: &Node, ignored: &mut Ignored) -> Result<Conversation, Rejection> {
    let items = messages.items()?;
    if items.len() == 0 {
        return Err(messages.invalid_value("It must hold at least one message."));
    }
    if items.len() > limits::MESSAGES {
        return Err(messages.invalid_value(format!("It holds more than {} messages.", limits::MESSAGES)));
    }
    let mut conversation = Conversation::default();
    let mut last_turn = None;
    for message in items {
        if conversation.add(&message, ignored)? {
            last_turn = Some(message);
        }
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
    /// Takes one message in; true if it became a turn.
    fn add(&mut self, message: &Node, ignored: &mut Ignored) -> Result<bool, Rejection> {
        let author = author(message)?;
        admit(message, Scope::Message, ignored)?;
        let texts = texts(message, author, ignored)?;
        let role = match author {
            Author::System => {
                for text in &texts {
                    self.add_system(text);
                }
                return Ok(false);
            }
            Author::User if texts.is_empty() => {
                return Err(message
                    .required("content")?
                    .invalid_value("A user's message must not be empty."));
            }
            // An assistant that was interrupted before its first word said nothing.
            Author::Assistant if texts.is_empty() => return Ok(false),
            Author::User => Role::User,
            Author::Assistant => Role::Assistant,
        };
        let parts = texts.into_iter().map(|text| Part::Text { text }).collect();
        self.turns.push(Turn { role, parts });
        Ok(true)
    }

    fn add_system(&mut self, text: &str) {
        if !self.system.is_empty() {
            self.system.push_str("\n\n");
        }
        self.system.push_str(text);
    }
}

fn author(message: &Node) -> Result<Author, Rejection> {
    if !message.value().is_object() {
        return Err(message.invalid_type("an object"));
    }
    let role = message.required("role")?;
    match role.text()? {
        "system" | "developer" => Ok(Author::System),
        "user" => Ok(Author::User),
        "assistant" => Ok(Author::Assistant),
        "tool" | "function" => Err(role.unsupported("Tools are not supported.")),
        _ => Err(role.invalid_value("It must be 'system', 'developer', 'user' or 'assistant'.")),
    }
}

/// The texts of a message that are not empty.
fn texts(message: &Node, author: Author, ignored: &mut Ignored) -> Result<Vec<String>, Rejection> {
    let refusal = message.get("refusal");
    let mut texts = match (message.get("content"), &refusal) {
        (Some(content), _) => content_texts(&content, author, ignored)?,
        (None, Some(_)) => Vec::new(),
        (None, None) => return Err(message.required("content")?.invalid_type("a string or array")),
    };
    if let Some(refusal) = refusal {
        texts.push(refusal_text(&refusal, author)?);
    }
    texts.retain(|text| !text.is_empty());
    Ok(texts)
}

fn content_texts(content: &Node, author: Author, ignored: &mut Ignored) -> Result<Vec<String>, Rejection> {
    match content.value().as_str() {
        Some(text) => Ok(vec![text.to_owned()]),
        None => content.items()?.map(|part| part_text(&part, author, ignored)).collect(),
    }
}

fn part_text(part: &Node, author: Author, ignored: &mut Ignored) -> Result<String, Rejection> {
    if !part.value().is_object() {
        return Err(part.invalid_type("an object"));
    }
    let kind = part.required("type")?;
    let kind_name = kind.text()?;
    if matches!(kind_name, "image_url" | "input_audio" | "file") {
        return Err(kind.unsupported("Conversations are text."));
    }
    admit(part, Scope::Part, ignored)?;
    match kind_name {
        "text" => Ok(part.required("text")?.text()?.to_owned()),
        "refusal" => refusal_text(&part.required("refusal")?, author),
        _ => Err(kind.invalid_value("It must be 'text', or in an assistant's message 'refusal'.")),
    }
}

fn refusal_text(field: &Node, author: Author) -> Result<String, Rejection> {
    match author {
        Author::Assistant => Ok(field.text()?.to_owned()),
        Author::System | Author::User => Err(field.invalid_value("Only an assistant refuses.")),
    }
}
