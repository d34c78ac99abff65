//! A request against what was said in its session.

use std::collections::HashSet;

use drover_shared::dialect::{Rejection, Request};
use drover_shared::schema::history::fresh;
use drover_shared::schema::{Page, Part, Role, Session, SessionId, Turn};
use drover_shared::store::Store;

use crate::error::Problem;

/// Refuses a chat's request that does not answer the calls with which the session's last turn has ended, or answers
/// others.
pub(super) async fn check(store: &dyn Store, session: &Session, request: &Request) -> Result<(), Problem> {
    let last = turns(store, session.id, true, 1).await?.pop();
    let calls: HashSet<&str> = last.iter().flat_map(calls).collect();
    if request.answered.is_empty() {
        if calls.is_empty() {
            return Ok(());
        }
        // Who sends all that was said sends the answers after the calls.
        let said = turns(store, session.id, false, u32::MAX).await?;
        let sends_all = fresh(&said, &request.spec.turns).len() < request.spec.turns.len();
        return if sends_all { Ok(()) } else { Err(unanswered().into()) };
    }
    for answered in &request.answered {
        if !calls.contains(answered.id.as_str()) {
            let path = &answered.path;
            let message = format!("Invalid value for '{path}'. The session's last turn made no such call.");
            return Err(Rejection::invalid("invalid_value", path.as_str(), message).into());
        }
    }
    // Each is answered once, so that as many are all.
    if request.answered.len() < calls.len() { Err(unanswered().into()) } else { Ok(()) }
}

fn calls(turn: &Turn) -> impl Iterator<Item = &str> {
    let parts = if turn.role == Role::Assistant { &turn.parts[..] } else { &[] };
    parts.iter().filter_map(|part| match part {
        Part::ToolUse { id, .. } => Some(id.as_str()),
        _ => None,
    })
}

fn unanswered() -> Rejection {
    let message = "Invalid value for 'messages'. The session's last turn made calls, each of which must be answered by a \
                   message of role 'tool' before anybody else speaks.";
    Rejection::invalid("invalid_value", "messages", message)
}

/// Leaves an agent's request with the user's new message, where the client has sent all that was said.
pub(super) async fn take_new(
    store: &dyn Store,
    session: &Session,
    request: &mut Request,
) -> Result<(), Problem> {
    if request.spec.turns.len() == 1 {
        return Ok(());
    }
    let said = turns(store, session.id, false, u32::MAX).await?;
    let new = fresh(&said, &request.spec.turns);
    if new.len() != 1 {
        let message = "Invalid value for 'messages'. An agent's session keeps what was said; send only the user's new \
                       message, or before it all that was said and nothing else.";
        return Err(Rejection::invalid("invalid_value", "messages", message).into());
    }
    request.spec.turns = new;
    Ok(())
}

async fn turns(
    store: &dyn Store,
    session: SessionId,
    newest_first: bool,
    limit: u32,
) -> Result<Vec<Turn>, Problem> {
    let page = Page { newest_first, after: None, skip: 0, limit };
    Ok(store.history(session, &page).await?.into_iter().map(|past| past.turn).collect())
}
