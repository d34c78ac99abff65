//! `GET /v1/sessions/{id}/history`: what was said, as messages of the Chat Completions API.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use drover_shared::dialect::openai_chat;
use drover_shared::schema::{Page, PastTurn};
use serde_json::{Value, json};

use super::find;
use crate::app::App;
use crate::auth::Caller;
use crate::clock::rfc3339;
use crate::error::Problem;
use crate::resource::page;
use crate::resource::parameters::invalid;

/// Where a message stands: in which turn of the session, and which of the turn's messages it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    turn: u64,
    message: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "msg_{}_{}", self.turn, self.message)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (turn, message) = text.strip_prefix("msg_").and_then(|rest| rest.split_once('_')).ok_or(())?;
        let place = Self { turn: turn.parse().map_err(drop)?, message: message.parse().map_err(drop)? };
        // One spelling for each.
        if place.to_string() == text && place.turn > 0 { Ok(place) } else { Err(()) }
    }
}

pub(crate) async fn history(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    Caller { owner, .. }: Caller,
) -> Result<Json<Value>, Problem> {
    let session = find(&app, &owner, &id).await?;
    let asked = page::read::<Place>(query.as_deref(), false, &[])?;
    if asked.page.skip > 0 {
        return Err(invalid("page", "A history is read with 'after'.").into());
    }
    let turns = app.store.history(session.id, &turns(&asked.page)).await?;
    let mut messages: Vec<(Place, Value)> = turns.iter().flat_map(tell).collect();
    messages.sort_by_key(|(place, _)| *place);
    if asked.page.newest_first {
        messages.reverse();
    }
    let follows = |place: Place| {
        asked
            .page
            .after
            .is_none_or(|after| if asked.page.newest_first { place < after } else { place > after })
    };
    messages.retain(|(place, _)| follows(*place));
    let limit = usize::try_from(asked.page.limit).unwrap_or(usize::MAX);
    let has_more = messages.len() > limit;
    messages.truncate(limit);
    let id = |message: Option<&(Place, Value)>| message.map(|(place, _)| place.to_string());
    Ok(Json(json!({
        "object": "list",
        "session_id": session.id,
        "first_id": id(messages.first()),
        "last_id": id(messages.last()),
        "has_more": has_more,
        "data": messages.into_iter().map(|(_, message)| message).collect::<Vec<_>>(),
    })))
}

/// The turns that hold so many messages, each of which has one at least: besides them the one that the last message
/// stood in, of which there may be more, and one to know whether any follow.
fn turns(page: &Page<Place>) -> Page<u64> {
    let beside = |turn: u64| if page.newest_first { turn.saturating_add(1) } else { turn.saturating_sub(1) };
    Page {
        newest_first: page.newest_first,
        after: page.after.map(|place| beside(place.turn)),
        skip: 0,
        limit: page.limit.saturating_add(2),
    }
}

/// A turn's messages.
fn tell(past: &PastTurn) -> Vec<(Place, Value)> {
    let messages = openai_chat::messages_of(&past.turn).into_iter().enumerate();
    messages
        .map(|(message, mut value)| {
            let place = Place { turn: past.seq, message };
            value["id"] = place.to_string().into();
            value["created_at"] = rfc3339(past.at_ms).into();
            value["job_id"] = past.job.to_string().into();
            (place, value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_spelling() {
        let place = Place { turn: 12, message: 3 };
        assert_eq!("msg_12_3".parse(), Ok(place));
        for wrong in ["", "msg_", "msg_1", "msg_01_0", "msg_0_0", "msg_1_+0", "msg_1_0_0", "12_3"] {
            assert_eq!(wrong.parse::<Place>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn a_page_of_messages_is_read_from_the_turns_around_it() {
        let page = |newest_first, after| Page { newest_first, after, skip: 0, limit: 5 };
        let place = Some(Place { turn: 7, message: 1 });
        assert_eq!(turns(&page(false, place)).after, Some(6));
        assert_eq!(turns(&page(true, place)), Page { newest_first: true, after: Some(8), skip: 0, limit: 7 });
        assert_eq!(turns(&page(false, None)).after, None);
    }
}
