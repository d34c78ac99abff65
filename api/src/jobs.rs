//! `/v1/jobs/{id}`: what has become of a job, and calling it off.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use drover_shared::schema::{
    Call, CancelReason, Changes, Dimension, Failure, Job, JobId, JobState, Owner, Usage, UsageQuery,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::App;
use crate::auth::Caller;
use crate::envelope::Ticket;
use crate::error::Problem;
use crate::usage::{Figures, dollars};

/// A job as clients see it. Times are whole seconds since the Unix epoch.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Job")]
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
    /// What an agent has done to the files of its project.
    #[serde(skip_serializing_if = "Option::is_none")]
    files_changed: Option<Changes>,
    /// Its first calls to providers that are over, and what all of them cost together, also those that failed.
    calls: Vec<CallBody>,
    cost_microusd: u64,
    /// US dollars, exactly.
    cost_usd: String,
}

/// A call to a provider on behalf of the job.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ProviderCall")]
struct CallBody {
    attempt: u32,
    provider: String,
    model: String,
    outcome: &'static str,
    first_byte_ms: Option<u32>,
    took_ms: u32,
    usage: Figures,
}

impl From<Call> for CallBody {
    fn from(call: Call) -> Self {
        Self {
            attempt: call.attempt,
            provider: call.provider,
            model: call.upstream_model,
            outcome: call.outcome.code(),
            first_byte_ms: call.first_byte_ms,
            took_ms: call.took_ms,
            usage: call.usage.into(),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "JobError")]
struct ErrorBody {
    code: &'static str,
    message: String,
}

impl JobBody {
    fn new(job: Job, calls: Vec<Call>, cost_microusd: u64) -> Self {
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
            files_changed: job.changes,
            calls: calls.into_iter().map(CallBody::from).collect(),
            cost_microusd,
            cost_usd: dollars(cost_microusd),
        }
    }
}

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
    app.store.cancel(job.id, CancelReason::Requested, app.clock.now_ms()).await?;
    let job = app.store.job(job.id).await?.ok_or_else(|| Problem::no_such_job(&id))?;
    Ok(Json(tell(&app, job).await?))
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

/// The job of that id, if it belongs to who is asking. Whether others have one of that id is not told.
pub(crate) async fn find(app: &App, ticket: &Ticket, owner: &Owner, id: &str) -> Result<Job, Problem> {
    let unknown = || Problem::no_such_job(id);
    let job_id: JobId = id.parse().map_err(|_| unknown())?;
    let job = app.store.job(job_id).await?.filter(|job| job.owner == *owner).ok_or_else(unknown)?;
    ticket.concerns(job.id);
    Ok(job)
}
