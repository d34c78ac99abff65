//! Claiming: the next task, its job, and the lease, in one transaction.

use std::sync::Arc;

use sqlx::SqliteConnection;

use super::error::corrupt;
use super::{SqliteStore, allowance, history, hold, job, share, worker};
use crate::schema::history::join;
use crate::schema::{
    Event, Failure, FailureKind, JobId, JobSpec, JobState, LeaseToken, Origin, Owner, TraceParent, Usage,
    WorkerId, limits,
};
use crate::store::queue::{self, DueTask, TaskEnd};
use crate::store::{Claim, Lease, Millis, StoreError};

/// Claims the next job. Looks before it takes the write lock, so that idle polling locks nobody out. Goes on as long as it
/// finds jobs that only end, but lets others write in between.
pub(super) async fn claim(
    store: &SqliteStore,
    worker: &WorkerId,
    token: LeaseToken,
    now: Millis,
) -> Result<Option<Claim>, StoreError> {
    let by = Claimant { worker, token, now };
    for _ in 0..limits::CLAIM_ROUNDS {
        let mut reader = store.readers.acquire().await?;
        let is_idle = queue::due(&mut reader, worker, now).await?.is_none()
            && !queue::overdue(&mut reader, now).await?;
        drop(reader);
        if is_idle {
            return Ok(None);
        }
        let mut tx = store.begin().await?;
        worker::require_present(&mut tx, worker).await?;
        queue::bring_up(&mut tx, now).await?;
        let mut ended = Vec::new();
        let claim = next(&mut tx, &by, &mut ended).await?;
        tx.commit().await?;
        store.ring_events(ended);
        if claim.is_some() {
            return Ok(claim);
        }
    }
    Ok(None)
}

/// Who claims, under which lease, when.
struct Claimant<'a> {
    worker: &'a WorkerId,
    token: LeaseToken,
    now: Millis,
}

/// Goes through the tasks until one has a job to run. Jobs that end on the way are added to `ended`.
async fn next(
    conn: &mut SqliteConnection,
    by: &Claimant<'_>,
    ended: &mut Vec<JobId>,
) -> Result<Option<Claim>, StoreError> {
    for _ in 0..limits::CLAIM_PASSES {
        let Some(task) = queue::due(conn, by.worker, by.now).await? else { return Ok(None) };
        let row = match task.job {
            Some(id) => Row::read(conn, id, by).await?,
            None => None,
        };
        match verdict(task.job, row, by.now)? {
            Verdict::PutAway(end) => queue::finish(conn, &task.id, end, by.now).await?,
            Verdict::End(id, event) => {
                let state = event.terminal_state().unwrap_or(JobState::Failed);
                job::end(conn, id, &event, by.now).await?;
                queue::finish(conn, &task.id, TaskEnd::of(state), by.now).await?;
                // Many that end like this are nobody else's loss.
                share::served(conn, id).await?;
                ended.push(id);
            }
            Verdict::Run(id, row, spec) => match recall(conn, *spec).await {
                Ok(spec) => return start(conn, by, &task, id, *row, spec).await.map(Some),
                Err(StoreError::Corrupt(row)) => {
                    tracing::error!(job = %id, row, "a session's history cannot be read");
                    let event = failed(FailureKind::BadPayload, "The session's history could not be read.");
                    job::end(conn, id, &event, by.now).await?;
                    queue::finish(conn, &task.id, TaskEnd::Failed, by.now).await?;
                    share::served(conn, id).await?;
                    ended.push(id);
                }
                Err(error) => return Err(error),
            },
        }
    }
    Ok(None)
}

#[derive(sqlx::FromRow)]
struct Row {
    owner: String,
    state: String,
    attempts: u32,
    max_attempts: u32,
    created_at_ms: Millis,
    not_before_ms: Millis,
    deadline_at_ms: Millis,
    last_seq: i64,
    spec: Option<String>,
    project: Option<String>,
    holder: Option<String>,
    held_back: bool,
    /// Which of its key's budgets is spent.
    spent: Option<String>,
    request: Option<String>,
    trace: Option<String>,
}

impl Row {
    async fn read(
        conn: &mut SqliteConnection,
        id: JobId,
        by: &Claimant<'_>,
    ) -> Result<Option<Self>, StoreError> {
        let row = sqlx::query_as(concat!(
            "SELECT owner, state, attempts, max_attempts, created_at_ms, not_before_ms, deadline_at_ms, project, request, trace,
                    (SELECT coalesce(max(seq), 0) FROM chunk WHERE chunk.job = j.id) AS last_seq,
                    (SELECT body FROM spec WHERE spec.job = j.id) AS spec,
                    (SELECT holder FROM project WHERE project.id = j.project) AS holder, ",
            queue::held_back!("?2", "?3"),
            " AS held_back, (SELECT ",
            allowance::spent_budget!("?3"),
            " FROM api_key AS k WHERE k.owner = j.owner) AS spent FROM job AS j WHERE j.id = ?1"
        ))
        .bind(id.to_string())
        .bind(&by.worker.0)
        .bind(by.now)
        .fetch_optional(conn)
        .await?;
        Ok(row)
    }

    /// What cannot be read is no reason not to run the job.
    fn origin(&self) -> Option<Origin> {
        let trace = self.trace.as_deref().and_then(TraceParent::parse)?;
        Some(Origin { request: self.request.clone()?, trace })
    }
}

/// What a task is good for.
enum Verdict {
    /// Nothing: it stands for no job, or for one that has ended or runs, or it is not the job's own and the
    /// job has to wait.
    PutAway(TaskEnd),
    /// Its job ends here.
    End(JobId, Event),
    /// Its job is to be run.
    Run(JobId, Box<Row>, Box<JobSpec>),
}

fn verdict(id: Option<JobId>, row: Option<Row>, now: Millis) -> Result<Verdict, StoreError> {
    let Some((id, row)) = id.zip(row) else { return Ok(Verdict::PutAway(TaskEnd::Killed)) };
    if job::parse_state(id, &row.state)? != JobState::Queued {
        return Ok(Verdict::PutAway(TaskEnd::Done));
    }
    if row.deadline_at_ms <= now {
        return Ok(Verdict::End(id, Event::Expired));
    }
    if row.held_back {
        return Ok(Verdict::PutAway(TaskEnd::Done));
    }
    if row.attempts >= row.max_attempts {
        return Ok(Verdict::End(id, failed(FailureKind::AttemptsExhausted, "No attempt is left.")));
    }
    if row.spent.is_some() {
        let message = "What this API key may spend was spent before the job's turn came.";
        return Ok(Verdict::End(id, failed(FailureKind::InsufficientQuota, message)));
    }
    Ok(match row.spec.as_deref().map(serde_json::from_str) {
        Some(Ok(spec)) => Verdict::Run(id, Box::new(row), Box::new(spec)),
        Some(Err(_)) | None => {
            Verdict::End(id, failed(FailureKind::BadPayload, "The queued job could not be read."))
        }
    })
}

fn failed(kind: FailureKind, message: &str) -> Event {
    Event::Failed { failure: Failure::new(kind, message), usage: Usage::default() }
}

/// Puts what was said in the session of a chat before what its client has sent.
async fn recall(conn: &mut SqliteConnection, mut spec: JobSpec) -> Result<JobSpec, StoreError> {
    if let Some(session) = spec.chat {
        let said = history::all(conn, session).await?;
        spec.turns = join(said, &spec.turns);
    }
    Ok(spec)
}

/// Moves the job to running, under the claimant's lease.
async fn start(
    conn: &mut SqliteConnection,
    by: &Claimant<'_>,
    task: &DueTask,
    id: JobId,
    row: Row,
    spec: JobSpec,
) -> Result<Claim, StoreError> {
    let attempt = row.attempts + 1;
    sqlx::query(
        "UPDATE job SET state = 'running', attempts = ?2, worker = ?3, lease = ?4, task = ?5, started_at_ms = ?6
         WHERE id = ?1",
    )
    .bind(id.to_string())
    .bind(attempt)
    .bind(&by.worker.0)
    .bind(by.token.to_string())
    .bind(&task.id)
    .bind(by.now)
    .execute(&mut *conn)
    .await?;
    queue::take(conn, &task.id, by.worker, attempt, by.now).await?;
    share::served(conn, id).await?;
    let unbroken = row.holder.as_deref() == Some(by.worker.0.as_str());
    if let (Some(project), false) = (&row.project, unbroken) {
        hold::take(conn, project, by.worker).await?;
    }
    let origin = row.origin();
    Ok(Claim {
        lease: Lease { job: id, attempt, worker: by.worker.clone(), token: by.token },
        owner: Owner(row.owner),
        spec: Arc::new(spec),
        max_attempts: row.max_attempts,
        last_seq: u64::try_from(row.last_seq).map_err(|error| corrupt(id, error))?,
        created_at_ms: row.created_at_ms,
        due_at_ms: row.created_at_ms.max(row.not_before_ms),
        origin,
        unbroken,
    })
}
