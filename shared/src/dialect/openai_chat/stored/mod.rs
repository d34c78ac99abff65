//! Stored chat completions (OpenAI API reference, "Chat Completions": list, get, messages, update, delete).
//!
//! They are folded from their jobs whenever they are asked for; kept with a job is only what it does not hold itself.

mod labels;
mod messages;

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::listing::{Item, OLDEST_FIRST, Page};
use super::{whole, wire};
use crate::dialect::{Answer, Rejection};
use crate::schema::{JobId, KeptAnswer, KeptQuery, Metadata, Owner, SeqEvent};

pub(super) use labels::asked;
pub use labels::update;
pub use messages::{Messages, messages};

/// The dialect that they are told in.
pub const DIALECT: &str = super::NAME;

const PREFIX: &str = "chatcmpl-";

/// The job whose answer has this identifier.
pub fn job(id: &str) -> Result<JobId, Rejection> {
    let hex = id.strip_prefix(PREFIX).filter(|hex| hex.len() == 32);
    let uuid = hex.and_then(|hex| Uuid::try_parse(hex).ok());
    uuid.map(JobId::from_uuid).ok_or_else(|| not_found(id))
}

/// 404: there is none, it is not whole, or it is another key's.
pub fn not_found(id: &str) -> Rejection {
    let id: String = id.chars().take(64).collect();
    let message = format!("No chat completion found with id '{id}'.");
    Rejection {
        param: Some("completion_id".to_owned()),
        ..Rejection::new(404, "completion_not_found", message)
    }
}

/// Reads the query of a list.
pub fn query(owner: Owner, parameters: &[(String, String)]) -> Result<KeptQuery, Rejection> {
    let mut page = Page::first(OLDEST_FIRST);
    let (mut model, mut metadata) = (None, Metadata::new());
    for (name, value) in parameters {
        if page.take(name, value, OLDEST_FIRST)? {
            continue;
        }
        let label = name.strip_prefix("metadata[").and_then(|rest| rest.strip_suffix(']'));
        match (name.as_str(), label) {
            ("model", _) => model = Some(value.clone()),
            (_, Some(label)) => {
                metadata.insert(label.to_owned(), value.clone());
            }
            _ => return Err(Rejection::unknown_parameter(name)),
        }
    }
    let after = page.after.map(|id| {
        job(&id).map_err(|_| Rejection::invalid_value("after", "It is no completion's identifier."))
    });
    Ok(KeptQuery {
        owner,
        dialect: DIALECT.to_owned(),
        model,
        metadata,
        after: after.transpose()?,
        latest_first: page.latest_first,
        limit: page.limit,
    })
}

/// A completion with its labels; `None` if there is no answer, as where it had not the shape that was asked for.
pub fn completion(kept: &KeptAnswer, events: &[SeqEvent]) -> Option<Item> {
    #[derive(Serialize)]
    struct Labels<'a> {
        metadata: &'a Metadata,
    }
    let answer = Answer::kept(&kept.keep)?;
    let mut body = whole::fold(&answer, events).ok()?;
    // The labels become the object's last field.
    let mut labels = Vec::new();
    wire::json(&Labels { metadata: &kept.keep.metadata }, &mut labels);
    body.pop();
    body.push(b',');
    body.extend_from_slice(&labels[1..]);
    let body = RawValue::from_string(String::from_utf8(body).ok()?).ok()?;
    Some(Item { id: wire::completion_id(kept.job), body })
}

/// What is answered once one has been deleted.
pub fn deleted(job: JobId) -> Vec<u8> {
    #[derive(Serialize)]
    struct Gone {
        id: String,
        object: &'static str,
        deleted: bool,
    }
    let mut out = Vec::new();
    let deleted = Gone { id: wire::completion_id(job), object: "chat.completion.deleted", deleted: true };
    wire::json(&deleted, &mut out);
    out
}
