//! `/v1/jobs/{id}`: what has become of a job, and calling it off.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::HeaderMap;
use drover_shared::schema::{CancelReason, Failure, Job, JobId, JobState, Usage};
use serde::Serialize;

use crate::app::App;
use crate::envelope::Ticket;
use crate::error::Problem;

/// A job as clients see it. Times are whole seconds since the Unix epoch.
#[derive(Debug, Serialize)]
pub(crate) struct JobBody {
    id: JobId,
    object: &'static str,
    status: JobState,
    model: String,
    attempts: u32,
    created_at: i64,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    worker: Option<String>,
    error: Option<ErrorBody>,
    usage: Option<Usage>,
}

#[derive(Debug, Serialize)]
struct ErrorBody {
    code: &'static str,
    message: String,
}

impl From<Job> for JobBody {
    fn from(job: Job) -> Self {
        let seconds = |ms: i64| ms.div_euclid(1_000);
        Self {
            id: job.id,
            object: "job",
            status: job.state,
            model: job.model,
            attempts: job.attempts,
            created_at: seconds(job.created_at_ms),
            started_at: job.started_at_ms.map(seconds),
            finished_at: job.finished_at_ms.map(seconds),
            worker: job.worker.map(|worker| worker.0),
            error: job.failure.map(|Failure { kind, message, .. }| ErrorBody { code: kind.code(), message }),
            usage: job.usage,
        }
    }
}

/// `GET /v1/jobs/{id}`
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Extension(ticket): Extension<Arc<Ticket>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<JobBody>, Problem> {
    Ok(Json(find(&app, &ticket, &id, &headers).await?.into()))
}

/// `POST /v1/jobs/{id}/cancel`. Answers with the job as it is then: a queued one is cancelled at once, a
/// running one as soon as its worker has stopped it, one that has ended stays as it is.
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    Extension(ticket): Extension<Arc<Ticket>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<JobBody>, Problem> {
    let job = find(&app, &ticket, &id, &headers).await?;
    app.store.cancel(job.id, CancelReason::Requested, app.clock.now_ms()).await?;
    let job = app.store.job(job.id).await?.ok_or_else(|| Problem::no_such_job(&id))?;
    Ok(Json(job.into()))
}

/// The job of that id, if it belongs to who is asking. Whether others have one of that id is not told.
pub(crate) async fn find(app: &App, ticket: &Ticket, id: &str, headers: &HeaderMap) -> Result<Job, Problem> {
    let owner = app.keys.owner(headers)?;
    let unknown = || Problem::no_such_job(id);
    let job_id: JobId = id.parse().map_err(|_| unknown())?;
    let job = app.store.job(job_id).await?.filter(|job| job.owner == owner).ok_or_else(unknown)?;
    ticket.concerns(job.id);
    Ok(job)
}
