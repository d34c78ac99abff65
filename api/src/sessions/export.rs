//! `GET /v1/sessions/{id}/export`: a session as one document.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use drover_shared::dialect::{Rejection, openai_chat};
use drover_shared::schema::{Page, Part, PastTurn, Role, Session};
use serde_json::json;

use super::{find, tell};
use crate::app::App;
use crate::auth::Caller;
use crate::clock::rfc3339;
use crate::error::Problem;
use crate::resource::parameters::{invalid, parameters, unknown};

pub(crate) async fn export(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    Caller { owner, .. }: Caller,
) -> Result<Response, Problem> {
    let session = find(&app, &owner, &id).await?;
    let as_markdown = wants_markdown(query.as_deref())?;
    // As much as a session may hold.
    let all = Page { newest_first: false, after: None, skip: 0, limit: u32::MAX };
    let turns = app.store.history(session.id, &all).await?;
    if !as_markdown {
        let messages = turns.iter().flat_map(|past| openai_chat::messages_of(&past.turn));
        return Ok(Json(json!({
            "object": "session.export",
            "exported_at": rfc3339(app.clock.now_ms()),
            "session": tell(&session),
            "messages": messages.collect::<Vec<_>>(),
        }))
        .into_response());
    }
    let mut response = Response::new(Body::from(markdown(&session, &turns)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/markdown; charset=utf-8"));
    if let Ok(name) = HeaderValue::try_from(format!("attachment; filename=\"{}.md\"", session.id)) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

fn wants_markdown(query: Option<&str>) -> Result<bool, Rejection> {
    let mut markdown = false;
    for (name, value) in parameters(query)? {
        markdown = match (name.as_str(), value.as_str()) {
            ("format", "json") => false,
            ("format", "markdown") => true,
            ("format", _) => return Err(invalid(&name, "It must be 'json' or 'markdown'.")),
            _ => return Err(unknown(&name)),
        };
    }
    Ok(markdown)
}

/// For people: what is text as it is, of everything else what it is.
fn markdown(session: &Session, turns: &[PastTurn]) -> String {
    let title = if session.title.is_empty() { session.id.to_string() } else { session.title.clone() };
    let mut out = format!("# {title}\n");
    if let Some(system) = &session.system {
        section(&mut out, "System", system);
    }
    for past in turns {
        for part in &past.turn.parts {
            match part {
                Part::Text { text } => {
                    let who = if past.turn.role == Role::User { "User" } else { "Assistant" };
                    section(&mut out, who, text);
                }
                Part::Image { .. } => section(&mut out, "User", "*an image*"),
                Part::Document { title, .. } => {
                    section(
                        &mut out,
                        "User",
                        &format!("*a document: {}*", title.as_deref().unwrap_or("untitled")),
                    );
                }
                Part::ToolUse { name, input, .. } => {
                    let input = serde_json::to_string_pretty(input).unwrap_or_default();
                    section(&mut out, &format!("Call of {name}"), &fenced(&input));
                }
                Part::ToolResult { content, .. } => {
                    let texts = content.iter().filter_map(Part::text).collect::<Vec<_>>();
                    section(&mut out, "Result", &fenced(&texts.join("\n")));
                }
            }
        }
    }
    out
}

fn section(out: &mut String, head: &str, text: &str) {
    // A string takes everything.
    let _ = write!(out, "\n## {head}\n\n{text}\n");
}

/// The text between fences that are longer than any in it.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(3.max(longest + 1));
    format!("{fence}\n{text}\n{fence}")
}

#[cfg(test)]
mod tests {
    use drover_shared::schema::{JobId, Owner, SessionId, Turn};
    use serde_json::Map;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_was_said_is_told_for_people() {
        let id = SessionId::from_uuid(Uuid::nil());
        let session = Session { title: "Wetter".to_owned(), ..Session::new(id, Owner::anonymous(), None, 0) };
        let text = |text: &str| Part::Text { text: text.to_owned() };
        let call = Part::ToolUse { id: "t".to_owned(), name: "look".to_owned(), input: Map::new() };
        let result = vec![text("warm ```")];
        let result = Part::ToolResult { tool_use_id: "t".to_owned(), content: result, is_error: false };
        let turn = |role, parts| PastTurn {
            seq: 1,
            job: JobId::from_uuid(Uuid::nil()),
            at_ms: 0,
            turn: Turn { role, parts },
        };
        let turns = [
            turn(Role::User, vec![text("How is it?")]),
            turn(Role::Assistant, vec![text("I look."), call]),
            turn(Role::User, vec![result]),
        ];
        assert_eq!(
            markdown(&session, &turns),
            "# Wetter\n\n## User\n\nHow is it?\n\n## Assistant\n\nI look.\n\n## Call of look\n\n```\n{}\n```\n\n\
             ## Result\n\n````\nwarm ```\n````\n"
        );
    }

    #[test]
    fn the_form_is_asked_for_by_name() {
        assert_eq!(wants_markdown(None), Ok(false));
        assert_eq!(wants_markdown(Some("format=markdown")), Ok(true));
        assert!(wants_markdown(Some("format=pdf")).is_err() && wants_markdown(Some("form=json")).is_err());
    }
}
