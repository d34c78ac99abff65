//! A job as clients see it.

use drover_shared::schema::{
    Call, Changes, Delivery, Failure, Job, JobId, JobState, NewJob, Priority, ProjectId, SessionId, Usage,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::usage::{Figures, dollars};

/// A job as clients see it. Times are whole seconds since the Unix epoch.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Job")]
pub(crate) struct JobBody {
    #[serde(flatten)]
    entry: Entry,
    /// Its first calls to providers that are over, and what all of them cost together, also those that failed.
    calls: Vec<CallBody>,
    cost_microusd: u64,
    /// US dollars, exactly.
    cost_usd: String,
}

/// What a list tells of a job: all that its row says.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ListedJob")]
pub(crate) struct Entry {
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
    session_id: Option<SessionId>,
    project_id: Option<ProjectId>,
    background: bool,
    priority: Priority,
    run_at: Option<i64>,
    deadline: i64,
    tags: Vec<String>,
    /// The job that it repeats.
    retry_of: Option<JobId>,
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
    /// A job that has just been added, as far as that is known without asking the store.
    pub(crate) fn added(job: &NewJob) -> Self {
        Self::new(job.row(), Vec::new(), 0)
    }

    pub(super) fn new(job: Job, calls: Vec<Call>, cost_microusd: u64) -> Self {
        Self {
            entry: job.into(),
            calls: calls.into_iter().map(CallBody::from).collect(),
            cost_microusd,
            cost_usd: dollars(cost_microusd),
        }
    }
}

impl From<Job> for Entry {
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
            files_changed: job.changes,
            session_id: job.session,
            project_id: job.project,
            background: job.terms.delivery == Delivery::Background,
            priority: job.terms.priority,
            run_at: job.terms.run_at_ms.map(seconds),
            deadline: seconds(job.deadline_at_ms),
            tags: job.terms.tags,
            retry_of: job.terms.retry_of,
        }
    }
}
