//! `POST /v1/sessions/{id}/fork`: a new session with the same history.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use drover_shared::dialect::Rejection;
use drover_shared::schema::{ProjectId, Session, SessionId};
use drover_shared::store::Forked;
use serde_json::Value;
use uuid::Uuid;

use super::{find, tell};
use crate::admission;
use crate::app::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::resource::Fields;
use crate::resource::parameters::invalid;

pub(crate) async fn fork(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let from = find(&app, &owner, &id).await?;
    let mut fields = Fields::of(&app, request).await?;
    let title = fields.line("title")?;
    let project = fields.id::<ProjectId>("project_id", "project")?;
    fields.done()?;
    if project.is_some() && project != from.project {
        let why = "A session's history speaks of the files of its own project, where its fork has to be too.";
        return Err(invalid("project_id", why).into());
    }
    let fork = Session {
        title: title.unwrap_or_else(|| from.title.clone()),
        model: from.model.clone(),
        system: from.system.clone(),
        ..Session::new(SessionId::from_uuid(Uuid::now_v7()), owner, from.project, app.clock.now_ms())
    };
    match app.store.fork_session(from.id, &fork).await? {
        Forked::Made => {}
        Forked::Busy => return Err(admission::session_busy().into()),
        Forked::NotWhole => return Err(not_whole().into()),
        Forked::Unknown => return Err(Problem::no_such_session()),
    }
    let made = app.store.session(fork.id).await?.ok_or_else(Problem::no_such_session)?;
    Ok(Json(tell(&made)))
}

/// 409: only one process knows how the session went.
fn not_whole() -> Rejection {
    let message =
        "This session has grown too long: it goes on in the process that knows it, and nowhere else.";
    Rejection::new(409, "session_too_long", message).final_()
}
