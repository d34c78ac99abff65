//! The parts of a message's content.

use serde_json::{Value, json};

use super::super::admission::{Ignored, admit};
use super::super::origins::Origins;
use super::super::parameters::Scope;
use super::super::reader::Node;
use crate::dialect::Rejection;

/// Content for a chat's message, which will stand at `place`.
pub(super) fn content(
    content: &Node,
    place: &str,
    origins: &mut Origins,
    ignored: &mut Ignored,
) -> Result<Value, Rejection> {
    // What is neither text nor a list is refused by who reads it.
    if !content.value().is_array() {
        return Ok(content.value().clone());
    }
    let mut parts = Vec::new();
    for (number, item) in content.items()?.enumerate() {
        parts.push(part(&item, &format!("{place}[{number}]"), origins, ignored)?);
    }
    Ok(Value::Array(parts))
}

fn part(part: &Node, place: &str, origins: &mut Origins, ignored: &mut Ignored) -> Result<Value, Rejection> {
    let kind = part.of_object()?.required("type")?;
    let written = part.path();
    origins.add(place.to_owned(), written.clone());
    match kind.text()? {
        "input_text" | "output_text" => {
            admit(part, Scope::InputPart, ignored)?;
            Ok(json!({"type": "text", "text": part.required("text")?.text()?}))
        }
        "input_image" => {
            admit(part, Scope::InputPart, ignored)?;
            origins.add(format!("{place}.image_url"), written.clone());
            origins.add(format!("{place}.image_url.url"), format!("{written}.image_url"));
            Ok(
                json!({"type": "image_url", "image_url": only(part, &[("image_url", "url"), ("file_id", "file_id")])}),
            )
        }
        "input_file" => {
            admit(part, Scope::InputPart, ignored)?;
            origins.add(format!("{place}.file"), written);
            let file = only(part, &["file_data", "file_id", "filename"].map(|name| (name, name)));
            Ok(json!({"type": "file", "file": file}))
        }
        // A chat's own part, or none.
        _ => Ok(part.value().clone()),
    }
}

/// An object of these fields of a part, under the names that they have in a chat.
fn only(part: &Node, names: &[(&str, &str)]) -> Value {
    let mut fields = json!({});
    for (name, in_chats) in names {
        if let Some(field) = part.get(name) {
            fields[*in_chats] = field.value().clone();
        }
    }
    fields
}
