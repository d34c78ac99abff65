//! Uploaded files that a request shows.

use axum::body::Bytes;
use drover_shared::dialect::{Dialect, Rejection, Upload, Uploads};
use drover_shared::schema::{FileId, Owner, limits};

use super::aside;
use crate::app::App;
use crate::error::Problem;

/// The files that the body refers to, as far as they are the owner's and not too large together: what is missing is
/// told by who reads the body.
pub(super) async fn load(
    app: &App,
    owner: &Owner,
    dialect: &'static dyn Dialect,
    body: &Bytes,
) -> Result<Uploads, Problem> {
    let mut uploads = Uploads::new();
    let (size, body) = (body.len(), body.clone());
    let mut left = u64::try_from(limits::FILES_SHOWN_BYTES).unwrap_or(u64::MAX);
    for id in aside(size, move || dialect.files(&body)).await? {
        let Some(file) = app.store.files().find(owner, id, app.clock.now_ms()).await? else { continue };
        left = left.checked_sub(file.bytes).ok_or_else(too_large)?;
        uploads.insert(id, Upload { name: file.name, content: content(app, id).await? });
    }
    Ok(uploads)
}

fn too_large() -> Rejection {
    let most = limits::FILES_SHOWN_BYTES;
    let message = format!("The files of a request hold at most {most} bytes together.");
    Rejection::new(413, "request_too_large", message)
}

async fn content(app: &App, id: FileId) -> Result<Vec<u8>, Problem> {
    let mut content = Vec::new();
    for number in 0.. {
        let Some(piece) = app.store.files().piece(id, number).await? else { break };
        content.extend_from_slice(&piece);
    }
    Ok(content)
}
