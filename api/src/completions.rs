//! `/v1/chat/completions/{id}`: completions that are stored.

use std::sync::Arc;

use axum::extract::{Extension, Path, RawQuery, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use drover_shared::dialect::openai_chat::listing::{self, Item};
use drover_shared::dialect::openai_chat::stored;
use drover_shared::schema::{JobId, KeptAnswer, Owner, limits};

use crate::app::App;
use crate::auth::Caller;
use crate::envelope::Ticket;
use crate::error::Problem;
use crate::resource::body;
use crate::resource::parameters::parameters;

/// `GET /v1/chat/completions`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    Caller { owner, .. }: Caller,
) -> Result<Response, Problem> {
    let mut query = stored::query(owner, &parameters(query.as_deref())?)?;
    let wanted = query.limit;
    let mut items = Vec::new();
    // What was answered and then refused is nobody's completion, so a page may need more than one look.
    let has_more = loop {
        query.limit = wanted - u32::try_from(items.len()).unwrap_or(wanted);
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let mut kept = app.store.answers().list(&query).await?;
        let has_more = kept.len() > limit;
        kept.truncate(limit);
        for answer in &kept {
            items.extend(told(&app, answer).await?);
        }
        query.after = kept.last().map(|answer| answer.job).or(query.after);
        if !has_more || items.len() >= wanted as usize {
            break has_more;
        }
    };
    Ok(json(listing::body(&items, has_more)))
}

/// `GET /v1/chat/completions/{id}`
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Extension(ticket): Extension<Arc<Ticket>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
) -> Result<Response, Problem> {
    let kept = find(&app, &ticket, &owner, &id).await?;
    tell(&app, &id, &kept).await
}

/// `POST /v1/chat/completions/{id}`: other labels.
pub(crate) async fn label(
    State(app): State<Arc<App>>,
    Extension(ticket): Extension<Arc<Ticket>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let mut kept = find(&app, &ticket, &owner, &id).await?;
    let body = body::read(&app.settings, limits::RESOURCE_BODY_BYTES, request).await?;
    kept.keep.metadata = stored::update(&body)?;
    let answers = app.store.answers();
    if !answers.label(&owner, stored::DIALECT, kept.job, &kept.keep.metadata).await? {
        return Err(stored::not_found(&id).into());
    }
    tell(&app, &id, &kept).await
}

/// `DELETE /v1/chat/completions/{id}`: with all of its job but what it has cost.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Extension(ticket): Extension<Arc<Ticket>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
) -> Result<Response, Problem> {
    let job = asked(&ticket, &id)?;
    if !app.store.answers().forget(&owner, stored::DIALECT, job).await? {
        return Err(stored::not_found(&id).into());
    }
    Ok(json(stored::deleted(job)))
}

/// `GET /v1/chat/completions/{id}/messages`: what it answers.
pub(crate) async fn messages(
    State(app): State<Arc<App>>,
    Extension(ticket): Extension<Arc<Ticket>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    Caller { owner, .. }: Caller,
) -> Result<Response, Problem> {
    let kept = find(&app, &ticket, &owner, &id).await?;
    let query = stored::Messages::query(&parameters(query.as_deref())?)?;
    let spec = app.store.answers().spec(kept.job).await?.ok_or_else(|| stored::not_found(&id))?;
    Ok(json(stored::messages(kept.job, &spec, &query)?))
}

/// Which job's answer is asked for.
fn asked(ticket: &Ticket, id: &str) -> Result<JobId, Problem> {
    let job = stored::job(id)?;
    ticket.concerns(job);
    Ok(job)
}

async fn find(app: &App, ticket: &Ticket, owner: &Owner, id: &str) -> Result<KeptAnswer, Problem> {
    let kept = app.store.answers().find(owner, stored::DIALECT, asked(ticket, id)?).await?;
    Ok(kept.ok_or_else(|| stored::not_found(id))?)
}

async fn tell(app: &App, id: &str, kept: &KeptAnswer) -> Result<Response, Problem> {
    let item = told(app, kept).await?.ok_or_else(|| stored::not_found(id))?;
    Ok(json(item.body.get().to_owned().into_bytes()))
}

async fn told(app: &App, kept: &KeptAnswer) -> Result<Option<Item>, Problem> {
    let events = app.store.events(kept.job, 0, u32::MAX).await?;
    Ok(stored::completion(kept, &events))
}

fn json(body: Vec<u8>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
