//! `PUT /v1/projects/{id}/files/{*path}` and `POST /v1/projects/{id}/files`: one file as it is, or several as a form.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use drover_shared::dialect::Rejection;
use drover_shared::schema::{ProjectId, limits};
use drover_shared::workspace::FilePath;
use serde_json::{Value, json};

use super::receive::{Broken, Room, begin, in_time, place, stage, write};
use super::trouble::invalid_path;
use super::{EntryBody, Target, known};
use crate::app::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::resource::parameters::{parameters, unknown};

/// The body is the file. Directories on the way are made.
pub(crate) async fn upload(
    State(app): State<Arc<App>>,
    target: Target,
    Caller { owner, .. }: Caller,
    request: Request,
) -> Result<(StatusCode, Json<EntryBody>), Problem> {
    let project = known(&app, &owner, &target.project).await?;
    let path = target.file()?;
    let mut room = begin(&app, project).await?;
    if let Some(bytes) = declared(request.headers()) {
        room.may_hold(bytes)?;
    }
    let staged = stage(&app, project).await?;
    let pieces = request.into_body().into_data_stream();
    in_time(write(&app, &staged, &mut room, pieces)).await?;
    let placed = place(&app, project, staged, path.clone()).await?;
    let status = if placed.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(EntryBody::new(path.bytes(), placed.meta))))
}

fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Each part of the form that has a file name is put there, below the directory that the query's `path` names. What
/// is whole is kept if a later part fails.
pub(crate) async fn upload_several(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    Caller { owner, .. }: Caller,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let project = known(&app, &owner, &id).await?;
    let below = below(query.as_deref())?;
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(kind).map_err(|_| no_form())?;
    let room = begin(&app, project).await?;
    if let Some(bytes) = declared(request.headers()) {
        room.may_hold(bytes)?;
    }
    let parts = multer::Multipart::new(request.into_body().into_data_stream(), boundary);
    let data = in_time(receive(&app, project, below, room, parts)).await?;
    Ok(Json(json!({"object": "list", "data": data})))
}

async fn receive(
    app: &App,
    project: ProjectId,
    below: Option<String>,
    mut room: Room,
    mut parts: multer::Multipart<'static>,
) -> Result<Vec<EntryBody>, Problem> {
    let mut placed = Vec::new();
    while let Some(part) = next(app, &mut parts).await? {
        let name = part.file_name().filter(|name| !name.is_empty()).ok_or_else(nameless)?;
        let path = below.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join("/");
        let path = FilePath::parse(path.as_bytes()).map_err(|error| invalid_path("filename", error))?;
        if placed.len() >= limits::UPLOADED_FILES {
            return Err(too_many());
        }
        let staged = stage(app, project).await?;
        write(app, &staged, &mut room, part).await?;
        let put = place(app, project, staged, path.clone()).await?;
        placed.push(EntryBody::new(path.bytes(), put.meta));
    }
    if placed.is_empty() {
        return Err(nameless());
    }
    Ok(placed)
}

async fn next(
    app: &App,
    parts: &mut multer::Multipart<'static>,
) -> Result<Option<multer::Field<'static>>, Problem> {
    let part = tokio::time::timeout(app.settings.upload_stall, parts.next_field()).await;
    part.map_err(|_| super::receive::too_slow())?.map_err(|error| Broken::from(error).into())
}

fn below(query: Option<&str>) -> Result<Option<String>, Problem> {
    let mut below = None;
    for (name, value) in parameters(query)? {
        match name.as_str() {
            "path" => below = Some(value).filter(|path| !path.is_empty()),
            _ => return Err(unknown(&name).into()),
        }
    }
    Ok(below)
}

fn no_form() -> Problem {
    let message = "Send the files as multipart/form-data, or one file as the body of PUT …/files/{path}.";
    Problem(Rejection::new(415, "unsupported_media_type", message))
}

fn nameless() -> Problem {
    let message = "Each part of the form must be a file with a name: its path in the project.";
    Problem(Rejection::invalid("missing_required_parameter", "filename", message))
}

fn too_many() -> Problem {
    let message = format!("At most {} files can be uploaded at once.", limits::UPLOADED_FILES);
    Problem(Rejection::new(413, "too_many_files", message).final_())
}
