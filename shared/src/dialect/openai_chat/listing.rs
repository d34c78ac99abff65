//! Lists in pages, as OpenAI's API gives them: `after`, `limit` and `order` in the query, `has_more` in the answer.

use serde::Serialize;
use serde_json::value::RawValue;

use super::wire;
use crate::dialect::Rejection;
use crate::schema::limits;

/// Which page of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Behind the item of this identifier.
    pub after: Option<String>,
    /// So many items at most.
    pub limit: u32,
    /// The latest first.
    pub latest_first: bool,
}

/// How a list is paged unless the query says otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    pub(super) limit: u32,
    pub(super) most: u32,
    pub(super) latest_first: bool,
}

/// Of 1 to 100 items, 20 as a rule, the oldest first: as stored completions and their messages are listed.
pub(super) const OLDEST_FIRST: Usual =
    Usual { limit: limits::LISTED_USUALLY, most: limits::LISTED, latest_first: false };

impl Page {
    /// The first page.
    pub(super) fn first(usual: Usual) -> Self {
        Self { after: None, limit: usual.limit, latest_first: usual.latest_first }
    }

    /// Takes a parameter of the query in; `false`: it says nothing of pages.
    pub(super) fn take(&mut self, name: &str, value: &str, usual: Usual) -> Result<bool, Rejection> {
        match name {
            "after" => self.after = Some(value.to_owned()),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=usual.most).contains(limit));
                self.limit = limit.ok_or_else(|| {
                    Rejection::invalid_value(
                        name,
                        &format!("It must be an integer from 1 to {}.", usual.most),
                    )
                })?;
            }
            "order" => {
                self.latest_first = match value {
                    "asc" => false,
                    "desc" => true,
                    _ => return Err(Rejection::invalid_value(name, "It must be 'asc' or 'desc'.")),
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: &'a [&'a RawValue],
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
    has_more: bool,
}

/// An item of a list: its identifier, and its JSON.
pub struct Item {
    /// By which the next page is asked for.
    pub id: String,
    /// What stands in the list.
    pub body: Box<RawValue>,
}

impl Item {
    /// An item that is this value.
    pub(super) fn new(id: String, value: &impl Serialize) -> Self {
        let body = serde_json::value::to_raw_value(value).expect("no map here has odd keys");
        Self { id, body }
    }
}

/// The body of a page of a list.
pub fn body(items: &[Item], has_more: bool) -> Vec<u8> {
    let list = List {
        object: "list",
        data: &items.iter().map(|item| &*item.body).collect::<Vec<_>>(),
        first_id: items.first().map(|item| item.id.as_str()),
        last_id: items.last().map(|item| item.id.as_str()),
        has_more,
    };
    let mut out = Vec::new();
    wire::json(&list, &mut out);
    out
}
