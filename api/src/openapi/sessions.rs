//! Sessions: conversations that later requests continue.

use drover_shared::schema::{ProjectId, SessionId};
use serde_json::json;

use super::bodies::{integer, listed, maybe, message, moment, paged, session, session_change, text};
use super::operation::{Operation, Tag};
use super::schemas::{Schemas, deleted, object, page};

pub(super) fn operations(schemas: &mut Schemas) -> Vec<Operation> {
    let session = session(schemas);
    let id = schemas.of::<SessionId>();
    let project = schemas.of::<ProjectId>();
    let plain = |method, route, name, summary| Operation::new(Tag::Sessions, method, route, name, summary);
    let one =
        |method, route, name, summary| plain(method, route, name, summary).path_is("id", &id).refuses(&[404]);
    let change = |method, name| {
        one(
            method,
            "/v1/sessions/{id}",
            name,
            "Changes a session: what is absent stays, what is null is cleared.",
        )
        .takes(&session_change(None), false, &json!({ "title": "Weather" }))
        .answers(200, "The session.", &session)
    };
    vec![
        paged(plain("get", "/v1/sessions", "list_sessions", "Sessions."), &id)
            .query("project_id", &project, "Only those of this project.")
            .refuses(&[404])
            .answers(200, "The sessions.", &page(&session)),
        plain(
            "post",
            "/v1/sessions",
            "create_session",
            "Begins a session: an agent's with a project, else a chat's.",
        )
        .takes(&session_change(Some(project.clone())), false, &json!({ "title": "Weather" }))
        .refuses(&[404])
        .answers(200, "The session.", &session),
        plain("get", "/v1/sessions/stats", "sum_sessions", "All sessions, added up.").answers(
            200,
            "The sums.",
            &object(&json!({
                "object": { "const": "session.stats" },
                "active_sessions": integer(),
                "agent_sessions": integer(),
                "chat_sessions": integer(),
                "total_messages": integer(),
                "total_tokens": integer(),
                "total_cost": { "type": "number" },
            })),
        ),
        one("get", "/v1/sessions/{id}", "show_session", "A session.").answers(200, "The session.", &session),
        change("patch", "change_session"),
        change("post", "change_session_by_post"),
        one("delete", "/v1/sessions/{id}", "delete_session", "Deletes a session and its history.")
            .refuses(&[409])
            .answers(200, "It is gone.", &deleted("session.deleted", &id)),
        listed(
            one("get", "/v1/sessions/{id}/history", "read_session", "What was said in a session."),
            &json!({ "type": "string", "pattern": "^msg_[1-9][0-9]*_(0|[1-9][0-9]*)$" }),
            drover_shared::schema::limits::PAGE,
            drover_shared::schema::limits::PAGE_USUAL,
        )
        .answers(200, "The messages.", &history(&id)),
        one("get", "/v1/sessions/{id}/export", "export_session", "A session as one document.")
            .query("format", &json!({ "enum": ["json", "markdown"] }), "For machines or for people.")
            .answers_content(
                200,
                "The document.",
                &json!({
                    "application/json": { "schema": object(&json!({
                        "object": { "const": "session.export" },
                        "exported_at": moment(),
                        "session": session,
                        "messages": { "type": "array", "items": message() },
                    })) },
                    "text/markdown": { "schema": text() },
                }),
            ),
        one(
            "post",
            "/v1/sessions/{id}/fork",
            "fork_session",
            "Begins a session with the history of another.",
        )
        .takes(
            &json!({
                "type": "object",
                "properties": {
                    "title": session_change(None)["properties"]["title"],
                    "project_id": maybe(&project),
                },
                "additionalProperties": false,
            }),
            false,
            &json!({ "title": "Another way" }),
        )
        .refuses(&[409])
        .answers(200, "The new session.", &session),
    ]
}

fn history(session: &serde_json::Value) -> serde_json::Value {
    let mut list = super::schemas::list(&message());
    list["properties"]["session_id"] = session.clone();
    list
}
