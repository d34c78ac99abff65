//! `/v1/projects`: workspaces, in the manner of the earlier Python gateways. Every key sees its own.

pub(crate) mod files;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, Request, State};
use drover_shared::dialect::Rejection;
use drover_shared::schema::{Owner, Project, ProjectChange, ProjectId, limits};
use drover_shared::store::Removed;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::App;
use crate::auth::Caller;
use crate::clock::rfc3339;
use crate::error::{Problem, try_again_ms};
use crate::resource::parameters::invalid;
use crate::resource::{Fields, page};

/// `POST /v1/projects`
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Caller { owner, .. }: Caller,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let change = read(Fields::of(&app, request).await?)?;
    let Some(name) = change.name else {
        return Err(Rejection::missing("name").into());
    };
    let project = Project {
        name,
        description: change.description.unwrap_or_default(),
        network: change.network.unwrap_or_default(),
        ..Project::new(ProjectId::from_uuid(Uuid::now_v7()), owner, app.clock.now_ms())
    };
    app.store.create_project(&project).await?;
    Ok(Json(tell(&project)))
}

/// `GET /v1/projects`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    Caller { owner, .. }: Caller,
) -> Result<Json<Value>, Problem> {
    let asked = page::read(query.as_deref(), true, &[])?;
    let listed = app.store.projects(&owner, &asked.page).await?;
    Ok(Json(page::answer(&asked, &listed, tell)))
}

/// `GET /v1/projects/{id}`
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
) -> Result<Json<Value>, Problem> {
    Ok(Json(tell(&find(&app, &owner, &id).await?)))
}

/// `PATCH /v1/projects/{id}`, and `POST` for clients that know no `PATCH`.
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let project = find(&app, &owner, &id).await?;
    let change = read(Fields::of(&app, request).await?)?;
    let changed = app.store.change_project(project.id, &change, app.clock.now_ms()).await?;
    Ok(Json(tell(&changed.ok_or_else(Problem::no_such_project)?)))
}

/// `DELETE /v1/projects/{id}`: it is gone at once, for everybody; its files go as soon as no process stands in them.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
) -> Result<Json<Value>, Problem> {
    let project = find(&app, &owner, &id).await?;
    match app.store.delete_project(project.id, app.clock.now_ms()).await? {
        Removed::Gone => Ok(Json(json!({
            "id": project.id,
            "object": "project.deleted",
            "deleted": true,
            "project_id": project.id,
            "status": "deleted",
        }))),
        Removed::Busy => {
            let message = "A job of this project waits or runs. Wait for it, or cancel it.";
            Err(Rejection::new(409, "project_busy", message).retry_after_ms(try_again_ms()).into())
        }
        Removed::Unknown => Err(Problem::no_such_project()),
    }
}

/// The project of that id, if it belongs to who is asking. Whether others have one of that id is not told.
pub(crate) async fn find(app: &App, owner: &Owner, id: &str) -> Result<Project, Problem> {
    let id: ProjectId = id.parse().map_err(|_| Problem::no_such_project())?;
    let found = app.store.project(id).await?.filter(|project| project.owner == *owner);
    found.ok_or_else(Problem::no_such_project)
}

fn read(mut fields: Fields) -> Result<ProjectChange, Rejection> {
    // Earlier gateways let clients choose a directory of the server.
    fields.refuse("path", "Where a project lies on the server is the server's affair.")?;
    let name = fields.line("name")?;
    if name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(invalid("name", "It must not be empty."));
    }
    let description = fields.text("description", limits::DESCRIPTION_CHARS)?.map(Option::unwrap_or_default);
    let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if description.as_ref().is_some_and(|text| text.chars().any(is_odd)) {
        return Err(invalid("description", "It must not hold control characters."));
    }
    let network = fields.hosts("network")?;
    fields.done()?;
    Ok(ProjectChange { name, description, network })
}

/// A project as clients see it.
fn tell(project: &Project) -> Value {
    json!({
        "id": project.id,
        "object": "project",
        "name": project.name,
        "description": project.description,
        "path": null,
        "network": project.network,
        "created_at": rfc3339(project.created_at_ms),
        "updated_at": rfc3339(project.updated_at_ms),
        "is_active": true,
    })
}
