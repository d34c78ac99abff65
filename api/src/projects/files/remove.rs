//! `DELETE /v1/projects/{id}/files/{*path}`

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use drover_shared::workspace::FileError;
use serde_json::{Value, json};

use super::{EntryBody, Target, known, with_files};
use crate::app::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::resource::parameters::{boolean, parameters, unknown};

/// A file, or an empty directory; with `recursive=true` a directory with all that it holds.
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    target: Target,
    RawQuery(query): RawQuery,
    Caller { owner, .. }: Caller,
) -> Result<Json<Value>, Problem> {
    let project = known(&app, &owner, &target.project).await?;
    let path = target.file()?;
    let mut recursive = false;
    for (name, value) in parameters(query.as_deref())? {
        match name.as_str() {
            "recursive" => recursive = boolean(&name, &value)?,
            _ => return Err(unknown(&name).into()),
        }
    }
    let removed = with_files(&app, move |homes| {
        let tree = homes.find(project)?.ok_or(FileError::NotFound)?;
        let meta = tree.meta(&path)?;
        tree.remove(&path, recursive, &homes.incoming(project)?)?;
        Ok(EntryBody::new(path.bytes(), meta))
    });
    let EntryBody { path, encoded, .. } = removed.await?;
    let mut body = json!({"object": "project.file.deleted", "path": path, "deleted": true});
    if encoded {
        body["encoded"] = true.into();
    }
    Ok(Json(body))
}
