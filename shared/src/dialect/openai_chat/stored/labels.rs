//! A completion's labels: `metadata`, and whether it is to be stored with them.

use super::super::admission::Ignored;
use super::super::json;
use super::super::parameters::Scope;
use super::super::reader::Node;
use crate::dialect::Rejection;
use crate::schema::{Metadata, limits};

/// The labels of a completion that is to be stored. Of one that is not they mean nothing.
pub(in super::super) fn asked(body: &Node, ignored: &mut Ignored) -> Result<Option<Metadata>, Rejection> {
    let metadata = body.get("metadata").map(|field| read(&field)).transpose()?;
    if body.get("store").map(|field| field.boolean()).transpose()?.unwrap_or(false) {
        return Ok(Some(metadata.unwrap_or_default()));
    }
    if metadata.is_some() {
        ignored.add(Scope::Body, "metadata");
    }
    Ok(None)
}

/// The body of an update: the labels that are to replace what a completion has.
pub fn update(body: &[u8]) -> Result<Metadata, Rejection> {
    let body = json::read(body)?;
    let body = Node::body(&body);
    body.closed(&["metadata"])?;
    body.get("metadata").map_or_else(|| Err(body.missing("metadata")), |field| read(&field))
}

fn read(field: &Node) -> Result<Metadata, Rejection> {
    let mut metadata = Metadata::new();
    for (name, value) in field.fields()? {
        let text = value.text()?;
        let long = |text: &str, most| text.chars().count() > most;
        if long(name, limits::LABEL_NAME_CHARS) {
            let most = limits::LABEL_NAME_CHARS;
            return Err(field.invalid_value(format!("A name in it is longer than {most} characters.")));
        }
        if long(text, limits::LABEL_CHARS) {
            return Err(value.invalid_value(format!("It is longer than {} characters.", limits::LABEL_CHARS)));
        }
        metadata.insert(name.to_owned(), text.to_owned());
    }
    if metadata.len() > limits::LABELS {
        return Err(field.invalid_value(format!("It holds more than {} pairs.", limits::LABELS)));
    }
    Ok(metadata)
}
