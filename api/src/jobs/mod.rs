//! `/v1/jobs`: what has become of a key's jobs, calling them off, repeating and deleting them.

mod body;
mod list;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::response::Response;
use drover_shared::schema::{CancelReason, Dimension, Job, JobId, Owner, UsageQuery};
use drover_shared::store::Removed;
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Caller;
use crate::envelope::Ticket;
use crate::error::Problem;
use crate::generate::{again, replay};
use crate::resource::Fields;
use crate::results::not_finished;

pub(crate) use self::body::{Entry, JobBody};
pub(crate) use self::list::{Listing, list};

/// `GET /v1/jobs/{id}`
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Extension(ticket): Extension<Arc<Ticket>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
) -> Result<Json<JobBody>, Problem> {
    let job = find(&app, &ticket, &owner, &id).await?;
    Ok(Json(tell(&app, job).await?))
}

/// `POST /v1/jobs/{id}/cancel`. Answers with the job as it is then: a queued one is cancelled at once, a
/// running one as soon as its worker has stopped it, one that has ended stays as it is.
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    Extension(ticket): Extension<Arc<Ticket>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
) -> Result<Json<JobBody>, Problem> {
    let job = find(&app, &ticket, &owner, &id).await?;
    Ok(Json(call_off(&app, job.id).await?))
}

/// `POST /v1/jobs/{id}/retry`: the same once more, as a job of its own in the background.
pub(crate) async fn retry(
    State(app): State<Arc<App>>,
    Extension(ticket): Extension<Arc<Ticket>>,
    Path(id): Path<String>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    if app.shutdown.is_cancelled() {
        return Err(Problem::leaving());
    }
    let key = replay::header(request.headers())?;
    let job = owned(&app, &caller.owner, &id).await?;
    Fields::of(&app, request).await?.done()?;
    let key = key.map(|key| replay::of_retry(key, job.id));
    if let Some(replayed) = replay::answer(&app, &ticket, &caller.owner, key.as_ref()).await? {
        return Ok(replayed);
    }
    if !job.state.is_terminal() {
        return Err(not_finished().into());
    }
    again::answer(&app, &ticket, &caller, job, key).await
}

/// `DELETE /v1/jobs/{id}`: with all that it has said, but not what it has cost.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Extension(ticket): Extension<Arc<Ticket>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
) -> Result<Json<Value>, Problem> {
    let job = id.parse::<JobId>().map_err(|_| Problem::no_such_job(&id))?;
    match app.store.jobs().delete(&owner, job).await? {
        Removed::Gone => {
            ticket.concerns(job);
            Ok(Json(json!({ "id": job, "object": "job.deleted", "deleted": true })))
        }
        Removed::Busy => Err(not_finished().into()),
        Removed::Unknown => Err(Problem::no_such_job(&id)),
    }
}

/// Calls the job off, and tells how it stands then.
pub(crate) async fn call_off(app: &App, id: JobId) -> Result<JobBody, Problem> {
    app.store.cancel(id, CancelReason::Requested, app.clock.now_ms()).await?;
    look(app, id).await
}

/// How the job stands now.
pub(crate) async fn look(app: &App, id: JobId) -> Result<JobBody, Problem> {
    let job = app.store.job(id).await?.ok_or_else(|| Problem::no_such_job(&id.to_string()))?;
    tell(app, job).await
}

/// The job as clients see it, with what its calls to providers have cost.
pub(crate) async fn tell(app: &App, job: Job) -> Result<JobBody, Problem> {
    let calls = app.store.calls(job.id).await?;
    // Added up apart: only so many calls are told, but all of them cost.
    let all = UsageQuery {
        until_ms: i64::MAX,
        only: vec![(Dimension::Job, job.id.to_string())],
        limit: 1,
        ..UsageQuery::default()
    };
    let sum = app.store.usage(&all).await?.into_iter().next().unwrap_or_default();
    Ok(JobBody::new(job, calls, sum.usage.cost_microusd))
}

/// The job that a request is about.
pub(crate) async fn find(app: &App, ticket: &Ticket, owner: &Owner, id: &str) -> Result<Job, Problem> {
    let job = owned(app, owner, id).await?;
    ticket.concerns(job.id);
    Ok(job)
}

/// The job of that id, if it belongs to who is asking. Whether others have one of that id is not told.
pub(crate) async fn owned(app: &App, owner: &Owner, id: &str) -> Result<Job, Problem> {
    let unknown = || Problem::no_such_job(id);
    let job_id: JobId = id.parse().map_err(|_| unknown())?;
    app.store.job(job_id).await?.filter(|job| job.owner == *owner).ok_or_else(unknown)
}
