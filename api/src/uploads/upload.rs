//! `POST /v1/files`: a form with a file, which goes into the store in pieces as it comes.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use drover_shared::dialect::Rejection;
use drover_shared::dialect::openai_chat::files;
use drover_shared::schema::{FileId, Owner, StoredFile, limits};
use drover_shared::store::PieceAdded;
use multer::{Constraints, Field, Multipart, SizeLimit};
use tokio::time::timeout;
use uuid::Uuid;

use super::tell;
use crate::app::App;
use crate::auth::Caller;
use crate::error::Problem;

pub(crate) async fn upload(
    State(app): State<Arc<App>>,
    Caller { owner, .. }: Caller,
    request: Request,
) -> Result<Response, Problem> {
    if app.shutdown.is_cancelled() {
        return Err(Problem::leaving());
    }
    let id = FileId::from_uuid(Uuid::now_v7());
    let received = timeout(app.settings.body_timeout, receive(&app, &owner, id, request)).await;
    let received = received.unwrap_or_else(|_| Err(Problem::slow_body()));
    if received.is_err() {
        // If this fails too, or the client has left, what is there goes with those that were never finished.
        if let Err(error) = app.store.files().delete(&owner, id).await {
            tracing::warn!(%error, "a file that was not finished could not be deleted");
        }
    }
    received.map(|file| tell(&file))
}

async fn receive(app: &App, owner: &Owner, id: FileId, request: Request) -> Result<StoredFile, Problem> {
    let now = app.clock.now_ms();
    let mut form = files::Form::default();
    let mut file: Option<(String, u64)> = None;
    let mut parts = parts(request)?;
    while let Some(mut field) = parts.next_field().await.map_err(unreadable)? {
        match field.name().map(str::to_owned).as_deref() {
            Some("file") if file.is_some() => {
                return Err(Rejection::invalid_value("file", "It stands here twice.").into());
            }
            Some("file") => {
                let name = files::name(field.file_name())?;
                app.store.files().begin(owner, id, now).await?;
                file = Some((name, take(app, id, &mut field).await?));
            }
            Some(name) => form.take(name, field.text().await.map_err(unreadable)?)?,
            None => {
                let message = "A part of the form has no name.";
                return Err(Rejection::new(400, "invalid_form", message).into());
            }
        }
    }
    let (name, bytes) = file.ok_or_else(|| Rejection::missing("file"))?;
    let wish = form.read()?;
    let file = StoredFile {
        id,
        owner: owner.clone(),
        name,
        purpose: wish.purpose,
        bytes,
        created_at_ms: now,
        expires_at_ms: wish.seconds.map(|seconds| now + 1_000 * seconds),
    };
    // Gone is what took so long that it was thought abandoned.
    if app.store.files().finish(&file).await? { Ok(file) } else { Err(Problem::slow_body()) }
}

fn parts(request: Request) -> Result<Multipart<'static>, Problem> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(kind).map_err(|_| {
        Rejection::new(400, "invalid_form", "The request body must be a form, `multipart/form-data`.")
    })?;
    let fields = limits::FORM_FIELD_BYTES;
    let sizes = SizeLimit::new()
        .whole_stream(limits::FILE_BYTES + limits::FORM_BYTES)
        .per_field(fields)
        .for_field("file", limits::FILE_BYTES);
    let constraints = Constraints::new().size_limit(sizes);
    Ok(Multipart::with_constraints(request.into_body().into_data_stream(), boundary, constraints))
}

/// Stores the file's content; its size.
async fn take(app: &App, id: FileId, field: &mut Field<'_>) -> Result<u64, Problem> {
    let mut piece = Vec::with_capacity(limits::FILE_PIECE_BYTES);
    let (mut number, mut bytes) = (0, 0);
    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            let (fits, more) = rest.split_at(rest.len().min(limits::FILE_PIECE_BYTES - piece.len()));
            piece.extend_from_slice(fits);
            rest = more;
            if piece.len() == limits::FILE_PIECE_BYTES {
                bytes += store(app, id, number, &piece).await?;
                number += 1;
                piece.clear();
            }
        }
    }
    if !piece.is_empty() {
        bytes += store(app, id, number, &piece).await?;
    }
    if bytes == 0 {
        return Err(Rejection::invalid_value("file", "It must not be empty.").into());
    }
    Ok(bytes)
}

async fn store(app: &App, id: FileId, number: u32, piece: &[u8]) -> Result<u64, Problem> {
    match app.store.files().add(id, number, piece, limits::FILES_BYTES).await? {
        PieceAdded::Stored => Ok(u64::try_from(piece.len()).unwrap_or(u64::MAX)),
        PieceAdded::QuotaFull => {
            let message = format!("Your files would hold more than {} bytes together.", limits::FILES_BYTES);
            Err(Rejection::invalid("file_quota_exceeded", "file", message).into())
        }
        PieceAdded::Gone => Err(Problem::slow_body()),
    }
}

/// What is wrong with a form that cannot be read. The reader's own words may quote the body.
fn unreadable(error: multer::Error) -> Problem {
    let rejection = match error {
        multer::Error::FieldSizeExceeded { field_name: Some(name), .. } if name != "file" => {
            Rejection::invalid_value(&name, "It is too long.")
        }
        multer::Error::FieldSizeExceeded { .. } | multer::Error::StreamSizeExceeded { .. } => {
            let message =
                format!("The file is larger than {} bytes, which is the limit.", limits::FILE_BYTES);
            Rejection { status: 413, ..Rejection::invalid("request_too_large", "file", message) }
        }
        _ => Rejection::new(400, "invalid_form", "The request body is no form that can be read."),
    };
    rejection.into()
}
