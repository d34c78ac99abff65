//! The messages that a stored completion answers.

use serde_json::{Value, json};

use super::super::listing::{self, Item, OLDEST_FIRST, Page};
use super::super::{past, wire};
use crate::dialect::Rejection;
use crate::schema::{JobId, JobSpec};

/// Which of them are asked for.
pub struct Messages(Page);

impl Messages {
    /// Reads the query.
    pub fn query(parameters: &[(String, String)]) -> Result<Self, Rejection> {
        let mut page = Page::first(OLDEST_FIRST);
        for (name, value) in parameters {
            if !page.take(name, value, OLDEST_FIRST)? {
                return Err(Rejection::unknown_parameter(name));
            }
        }
        Ok(Self(page))
    }
}

/// The body of the page of them that was asked for.
pub fn messages(job: JobId, spec: &JobSpec, query: &Messages) -> Result<Vec<u8>, Rejection> {
    let Page { after, limit, latest_first } = &query.0;
    let completion = wire::completion_id(job);
    let system = Some(&spec.system).filter(|system| !system.is_empty());
    let system = system.map(|text| json!({"role": "system", "content": text}));
    let all = system.into_iter().chain(spec.turns.iter().flat_map(past::messages_of));
    let mut all: Vec<Item> =
        all.enumerate().map(|(number, message)| stored(format!("{completion}-{number}"), message)).collect();
    if *latest_first {
        all.reverse();
    }
    let begin = match after {
        Some(id) => {
            let at = all.iter().position(|message| message.id == *id);
            1 + at.ok_or_else(|| Rejection::invalid_value("after", "It is no message of this completion."))?
        }
        None => 0,
    };
    let limit = usize::try_from(*limit).unwrap_or(usize::MAX);
    let has_more = all.len() - begin > limit;
    let page: Vec<Item> = all.into_iter().skip(begin).take(limit).collect();
    Ok(listing::body(&page, has_more))
}

/// A message with what OpenAI adds to stored ones: an identifier, and parts in a place of their own.
fn stored(id: String, mut message: Value) -> Item {
    for name in ["refusal", "name", "content_parts"] {
        message[name] = Value::Null;
    }
    if message["content"].is_array() {
        message["content_parts"] = message["content"].take();
    }
    message["id"] = id.as_str().into();
    Item::new(id, &message)
}
