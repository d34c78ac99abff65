//! `/v1/files`: files that clients upload, to show them in chats.

mod upload;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use drover_shared::dialect::openai_chat::{files, listing};
use drover_shared::schema::{Owner, StoredFile};
use drover_shared::store::StoreError;
use futures_util::stream;

use crate::app::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::resource::parameters::parameters;

pub(crate) use upload::upload;

/// `GET /v1/files`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    Caller { owner, .. }: Caller,
) -> Result<Response, Problem> {
    let query = files::query(owner, &parameters(query.as_deref())?)?;
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let mut found = app.store.files().list(&query, app.clock.now_ms()).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let items: Vec<_> = found.iter().map(files::item).collect();
    Ok(json(listing::body(&items, has_more)))
}

/// `GET /v1/files/{id}`
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
) -> Result<Response, Problem> {
    Ok(tell(&find(&app, &owner, &id).await?))
}

/// `GET /v1/files/{id}/content`
pub(crate) async fn content(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
) -> Result<Response, Problem> {
    let file = find(&app, &owner, &id).await?;
    let (id, size) = (file.id, file.bytes);
    // One piece at a time. If the file is deleted meanwhile, the answer is shorter than it was said to be, which breaks
    // the connection.
    let pieces = stream::try_unfold(0, move |number| {
        let app = Arc::clone(&app);
        async move {
            let piece = app.store.files().piece(id, number).await?;
            Ok::<_, StoreError>(piece.map(|piece| (Bytes::from(piece), number + 1)))
        }
    });
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(size));
    Ok(response)
}

/// `DELETE /v1/files/{id}`
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
) -> Result<Response, Problem> {
    let file = find(&app, &owner, &id).await?;
    if !app.store.files().delete(&file.owner, file.id).await? {
        return Err(files::not_found(&id).into());
    }
    Ok(json(files::deleted(file.id)))
}

/// The file of that id, if it belongs to who is asking.
async fn find(app: &App, owner: &Owner, id: &str) -> Result<StoredFile, Problem> {
    let found = app.store.files().find(owner, files::id(id)?, app.clock.now_ms()).await?;
    Ok(found.ok_or_else(|| files::not_found(id))?)
}

fn tell(file: &StoredFile) -> Response {
    json(files::item(file).body.get().to_owned().into_bytes())
}

fn json(body: Vec<u8>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
