//! The fields that name a session, and what goes with one. They are Drover's own, and the earlier Python gateways'.

use super::reader::Node;
use crate::dialect::{Rejection, SESSION_HEADER, SessionWish};
use crate::schema::id::NotAnId;
use crate::schema::{IfBusy, JobSpec, SessionId};

/// The word for a session that is to begin.
const NEW: &str = "new";

/// The session that is named, in the body or by the header.
pub(super) fn read(body: &Node, header: Option<&str>) -> Result<Option<SessionWish>, Rejection> {
    let field = body.get("session_id");
    let named = match (&field, header) {
        (None, None) => None,
        (None, Some(header)) => Some(known(header).map_err(|_| wrong_header())?),
        (Some(field), header) => {
            let text = field.text()?;
            if header.is_some_and(|header| header != text) {
                return Err(
                    field.invalid_value(format!("The header {SESSION_HEADER} names another session."))
                );
            }
            let wrong = |_| field.invalid_value("It is neither a session's identifier nor 'new'.");
            Some(known(text).map_err(wrong)?)
        }
    };
    Ok(named.map(|known| SessionWish { known, if_busy: IfBusy::Wait }))
}

/// The session of that identifier, or a new one; nothing else is a name.
fn known(text: &str) -> Result<Option<SessionId>, NotAnId> {
    if text == NEW { Ok(None) } else { text.parse().map(Some) }
}

fn wrong_header() -> Rejection {
    let message =
        format!("Invalid value for '{SESSION_HEADER}'. It is neither a session's identifier nor 'new'.");
    Rejection::invalid("invalid_value", SESSION_HEADER, message)
}

/// What is to become of the request if its session is busy. `has_session`: it continues or begins one.
pub(super) fn if_busy(body: &Node, has_session: bool) -> Result<IfBusy, Rejection> {
    let Some(field) = body.get("session_busy") else { return Ok(IfBusy::Wait) };
    if !has_session {
        return Err(field.invalid_value("It is only allowed with a session."));
    }
    match field.text()? {
        "wait" => Ok(IfBusy::Wait),
        "refuse" => Ok(IfBusy::Refuse),
        _ => Err(field.invalid_value("It must be 'wait' or 'refuse'.")),
    }
}

/// The system prompt: that of the messages, or the field that earlier gateways have for it.
pub(super) fn system(body: &Node, of_messages: String) -> Result<String, Rejection> {
    let Some(field) = body.get("system_prompt") else { return Ok(of_messages) };
    let text = field.text()?;
    match (text.is_empty(), of_messages.is_empty()) {
        (true, _) => Ok(of_messages),
        (false, true) => Ok(text.to_owned()),
        (false, false) => Err(field.invalid_value("A system message is given as well; send one of the two.")),
    }
}

/// A session goes on from one answer.
pub(super) fn has_one_answer(body: &Node, spec: &JobSpec) -> Result<(), Rejection> {
    match spec.choices {
        Some(_) => Err(body.required("n")?.unsupported("A session goes on with one answer.")),
        None => Ok(()),
    }
}
