//! What a message says: `content`, and an assistant's `refusal`.

use super::admission::{Ignored, admit};
use super::media;
use super::messages::Author;
use super::parameters::Scope;
use super::reader::Node;
use crate::dialect::Rejection;
use crate::schema::Part;

/// The parts of a message; texts that are empty are left out. `may_be_silent` is whether it needs no content.
pub(super) fn read(
    message: &Node,
    author: Author,
    may_be_silent: bool,
    ignored: &mut Ignored,
) -> Result<Vec<Part>, Rejection> {
    let refusal = message.get("refusal");
    let mut parts = match (message.get("content"), &refusal) {
        (Some(content), _) => of(&content, author, ignored)?,
        (None, Some(_)) => Vec::new(),
        (None, None) if may_be_silent => Vec::new(),
        (None, None) => return Err(message.required("content")?.invalid_type("a string or array")),
    };
    if let Some(refusal) = refusal {
        parts.push(refused(&refusal, author)?);
    }
    parts.retain(|part| !matches!(part, Part::Text { text } if text.is_empty()));
    Ok(parts)
}

fn of(content: &Node, author: Author, ignored: &mut Ignored) -> Result<Vec<Part>, Rejection> {
    match content.value().as_str() {
        Some(text) => Ok(vec![Part::Text { text: text.to_owned() }]),
        None => content.items()?.map(|item| part(&item, author, ignored)).collect(),
    }
}

fn part(item: &Node, author: Author, ignored: &mut Ignored) -> Result<Part, Rejection> {
    let kind = item.of_object()?.required("type")?;
    let kind_name = kind.text()?;
    if kind_name == "input_audio" {
        return Err(kind.unsupported("Nobody listens here; send text, images or documents."));
    }
    admit(item, Scope::Part, ignored)?;
    match kind_name {
        "text" => Ok(Part::Text { text: item.required("text")?.text()?.to_owned() }),
        "refusal" => refused(&item.required("refusal")?, author),
        "image_url" | "file" if matches!(author, Author::System | Author::Assistant) => {
            Err(kind.invalid_value("Only users and tools show images and documents."))
        }
        "image_url" => media::image(item, ignored),
        "file" => media::file(item, ignored),
        _ => Err(kind.invalid_value(
            "It must be 'text', 'image_url', 'file', or in an assistant's message 'refusal'.",
        )),
    }
}

fn refused(field: &Node, author: Author) -> Result<Part, Rejection> {
    match author {
        Author::Assistant => Ok(Part::Text { text: field.text()?.to_owned() }),
        Author::System | Author::User | Author::Tool | Author::Function => {
            Err(field.invalid_value("Only an assistant refuses."))
        }
    }
}
