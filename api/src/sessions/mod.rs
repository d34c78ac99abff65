//! `/v1/sessions`: conversations that later requests continue, in the manner of the earlier Python gateways. Every key
//! sees its own.

mod export;
mod fork;
mod history;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, Request, State};
use drover_shared::dialect::Rejection;
use drover_shared::schema::dollars::as_dollars;
use drover_shared::schema::{Owner, ProjectId, Session, SessionChange, SessionId, limits};
use drover_shared::store::Removed;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::admission;
use crate::app::App;
use crate::auth::Caller;
use crate::clock::rfc3339;
use crate::error::Problem;
use crate::projects;
use crate::resource::parameters::invalid;
use crate::resource::{Fields, page};

pub(crate) use self::export::export;
pub(crate) use self::fork::fork;
pub(crate) use self::history::history;

/// `POST /v1/sessions`: an agent's with `project_id`, else a chat's.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Caller { owner, .. }: Caller,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let mut fields = Fields::of(&app, request).await?;
    let project = fields.id::<ProjectId>("project_id", "project")?;
    let change = read(fields)?;
    if let Some(id) = project {
        projects::find(&app, &owner, &id.to_string()).await?;
    }
    check_model(&app, &change).await?;
    let session = Session {
        title: change.title.unwrap_or_default(),
        model: change.model.flatten(),
        system: change.system.flatten(),
        ..Session::new(SessionId::from_uuid(Uuid::now_v7()), owner, project, app.clock.now_ms())
    };
    // Its project may have been deleted meanwhile.
    if !app.store.create_session(&session).await? {
        return Err(Problem::no_such_project());
    }
    Ok(Json(tell(&session)))
}

/// `GET /v1/sessions`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    Caller { owner, .. }: Caller,
) -> Result<Json<Value>, Problem> {
    let asked = page::read(query.as_deref(), true, &["project_id"])?;
    let project = match asked.besides.first() {
        Some((_, id)) => Some(projects::find(&app, &owner, id).await?.id),
        None => None,
    };
    let listed = app.store.sessions(&owner, project, &asked.page).await?;
    Ok(Json(page::answer(&asked, &listed, tell)))
}

/// `GET /v1/sessions/stats`: the key's sessions, added up.
pub(crate) async fn stats(
    State(app): State<Arc<App>>,
    Caller { owner, .. }: Caller,
) -> Result<Json<Value>, Problem> {
    let sums = app.store.session_sums(&owner).await?;
    Ok(Json(json!({
        "object": "session.stats",
        "active_sessions": sums.sessions,
        "agent_sessions": sums.agent_sessions,
        "chat_sessions": sums.sessions - sums.agent_sessions,
        "total_messages": sums.messages,
        "total_tokens": sums.total_tokens,
        "total_cost": as_dollars(sums.cost_microusd),
    })))
}

/// `GET /v1/sessions/{id}`
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
) -> Result<Json<Value>, Problem> {
    Ok(Json(tell(&find(&app, &owner, &id).await?)))
}

/// `PATCH /v1/sessions/{id}`, and `POST` for clients that know no `PATCH`.
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let session = find(&app, &owner, &id).await?;
    let change = read(Fields::of(&app, request).await?)?;
    check_model(&app, &change).await?;
    let changed = app.store.change_session(session.id, &change, app.clock.now_ms()).await?;
    Ok(Json(tell(&changed.ok_or_else(Problem::no_such_session)?)))
}

/// `DELETE /v1/sessions/{id}`
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
) -> Result<Json<Value>, Problem> {
    let session = find(&app, &owner, &id).await?;
    match app.store.delete_session(session.id).await? {
        Removed::Gone => Ok(Json(json!({
            "id": session.id,
            "object": "session.deleted",
            "deleted": true,
            "session_id": session.id,
            "status": "deleted",
        }))),
        Removed::Busy => Err(admission::session_busy().into()),
        Removed::Unknown => Err(Problem::no_such_session()),
    }
}

/// The session of that id, if it belongs to who is asking. Whether others have one of that id is not told.
async fn find(app: &App, owner: &Owner, id: &str) -> Result<Session, Problem> {
    let id: SessionId = id.parse().map_err(|_| Problem::no_such_session())?;
    let found = app.store.session(id).await?.filter(|session| session.owner == *owner);
    found.ok_or_else(Problem::no_such_session)
}

/// What a body says of a session, all of which may be changed later.
fn read(mut fields: Fields) -> Result<SessionChange, Rejection> {
    let title = fields.line("title")?;
    let model = fields.text("model", limits::MODEL_NAME_BYTES)?;
    let is_fit = |name: &str| !name.trim().is_empty() && !name.chars().any(char::is_control);
    if model.as_ref().and_then(Option::as_deref).is_some_and(|name| !is_fit(name)) {
        return Err(invalid("model", "It must not be empty, nor hold control characters."));
    }
    let system = fields.text("system_prompt", limits::RESOURCE_BODY_BYTES)?;
    let system = system.map(|text| text.filter(|text| !text.is_empty()));
    fields.done()?;
    Ok(SessionChange { title, model, system })
}

/// A model that nobody offers would fail every request that relies on it. Before the first worker has started nobody
/// can tell.
async fn check_model(app: &App, change: &SessionChange) -> Result<(), Problem> {
    let Some(Some(name)) = &change.model else { return Ok(()) };
    let view = app.fleet.get().await?;
    if !view.models.is_empty() {
        admission::model(&view, name)?;
    }
    Ok(())
}

/// A session as clients see it.
fn tell(session: &Session) -> Value {
    json!({
        "id": session.id,
        "object": "session",
        "project_id": session.project,
        "title": session.title,
        "model": session.model,
        "system_prompt": session.system,
        "created_at": rfc3339(session.created_at_ms),
        "updated_at": rfc3339(session.updated_at_ms),
        "is_active": true,
        "total_tokens": session.total_tokens,
        "total_cost": as_dollars(session.cost_microusd),
        "message_count": session.message_count,
    })
}
