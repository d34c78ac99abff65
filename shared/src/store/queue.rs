//! The queue library's tables: tasks, which wake workers up, and the workers' rows they refer to.
//!
//! Nothing outside this file and the migrations knows apalis. Its tasks go in through its own code; they
//! are claimed and finished by our own statements, because its polling loop runs jobs twice when workers
//! come and go. All statements run on the caller's connection, mostly inside its transaction.

use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::task_id::TaskId;
use sqlx::SqliteConnection;
use ulid::Ulid;

use super::{Millis, StoreError};
use crate::schema::{JobId, JobState, Priority, WorkerId, limits};

/// The queue's name in `Jobs.job_type`. Spelled out in the statements below, which the planner needs to
/// choose the partial index.
const QUEUE: &str = "chat";

/// A task that may be claimed.
pub(super) struct DueTask {
    /// Its identifier.
    pub(super) id: String,
    /// The job it stands for; `None` where the payload is not one of ours.
    pub(super) job: Option<JobId>,
}

/// The identifier of a job's own task: a ULID of the same bytes, so that tasks sort by age as jobs do.
pub(super) fn task_id(job: JobId) -> String {
    ulid(job).to_string()
}

fn ulid(job: JobId) -> Ulid {
    Ulid::from_bytes(*job.uuid().as_bytes())
}

/// Adds the job's task. Its payload is the job's id in JSON, as apalis' own codec writes it.
pub(super) async fn push(
    conn: &mut SqliteConnection,
    job: JobId,
    max_attempts: u32,
    priority: Priority,
    run_at: Millis,
) -> Result<(), StoreError> {
    let payload = serde_json::to_vec(&job).map_err(|error| StoreError::Corrupt(format!("{job}: {error}")))?;
    let task = TaskBuilder::new(payload)
        .task_id(TaskId::from_ulid(ulid(job)))
        .idempotency_key(job.to_string())
        .max_attempts(usize::try_from(max_attempts).unwrap_or(usize::MAX))
        .priority(rank(priority))
        .run_at_timestamp(u64::try_from(seconds(run_at)).unwrap_or(0))
        .build();
    match apalis_sqlite::queries::push_tasks(conn, QUEUE, &[task]).await {
        Ok(()) => Ok(()),
        Err(apalis_sqlite::Error::Database(error)) => Err(error.into()),
        Err(error) => Err(StoreError::Corrupt(format!("task of {job}: {error}"))),
    }
}

/// The task's priority. The queue library counts from 0 on, which here is the lowest.
fn rank(priority: Priority) -> usize {
    priority as usize
}

/// SQL: whether an agent's job is better left to others, as far as the given worker goes: it cannot run agents, and
/// somebody else can. Tells nothing of any one job, so that it is asked once in a search.
macro_rules! left_to_others {
    ($worker:literal) => {
        concat!(
            "(EXISTS (SELECT 1 FROM worker AS w WHERE w.id = ",
            $worker,
            " AND w.report ->> 'agents' = 0)
              AND EXISTS (SELECT 1 FROM worker AS w WHERE w.gone = 0
                  AND coalesce(w.report ->> 'agents', 1) = 1 AND w.report ->> 'draining' = 0))"
        )
    };
}
pub(super) use left_to_others;

/// SQL: whether the job `j` has to wait: for its session, in which jobs run one by one in the order in which they
/// came, those left out whose time has not come, for its project, or for another worker than the given one. A job of no session is told by one column of a row
/// that is read anyway.
macro_rules! held_back {
    ($worker:literal, $now:literal) => {
        concat!(
            "(j.session IS NOT NULL AND (
                EXISTS (SELECT 1 FROM job AS r WHERE r.session = j.session AND r.state = 'running')
                OR EXISTS (SELECT 1 FROM job AS q WHERE q.session = j.session AND q.state = 'queued' AND q.id < j.id
                    AND coalesce(q.run_at_ms, 0) <= ",
            $now,
            ")
                OR (j.project IS NOT NULL AND (",
            $crate::store::queue::left_to_others!($worker),
            " OR EXISTS (SELECT 1 FROM job AS r WHERE r.project = j.project AND r.state = 'running')
                OR EXISTS (SELECT 1 FROM project AS p WHERE p.id = j.project AND p.holder <> ",
            $worker,
            ")))))"
        )
    };
}
pub(super) use held_back;

/// SQL: the first job of the owner `s` in the given index that may be taken up at `?1` by the worker `?2`.
macro_rules! first_of {
    ($index:literal, $project:literal) => {
        concat!(
            "(SELECT j.id FROM job AS j INDEXED BY ",
            $index,
            " CROSS JOIN Jobs AS t ON t.id = j.task
              WHERE j.owner = s.owner AND j.state = 'queued' AND j.postponed = 0 AND j.project IS ",
            $project,
            " AND j.not_before_ms <= ?1 AND t.status = 'Pending' AND t.lock_by IS NULL AND NOT ",
            $crate::store::queue::held_back!("?2", "?1"),
            " ORDER BY j.priority DESC, j.id LIMIT 1)"
        )
    };
}

/// Walks `share_turn` in its order, and for each owner there `job_turn_chat` and `job_turn_agent` in theirs, each up to the
/// first job that may be taken up, of which the one that comes first is meant. What is not to run yet is in neither, and
/// agents' jobs are not looked at by whom they are not for. On the way lie the jobs that wait for a session in which one
/// runs or for a project in other hands: few wait for each, and no more sessions are busy than the fleet has slots.
pub(super) const DUE: &str = concat!(
    "SELECT t.id, t.job FROM share AS s INDEXED BY share_turn
       CROSS JOIN job AS j ON j.id IN (",
    first_of!("job_turn_chat", "NULL"),
    ", ",
    // Asked before and not beside: else each of them would be passed over.
    "CASE WHEN ",
    left_to_others!("?2"),
    " THEN NULL ELSE ",
    first_of!("job_turn_agent", "NOT NULL"),
    " END",
    ")
       CROSS JOIN Jobs AS t ON t.id = j.task
     WHERE s.queued > 0 AND s.running < s.concurrent
     ORDER BY s.priority DESC, s.running, s.turn, s.owner, j.priority DESC, j.id LIMIT 1"
);

/// Whether there are postponed jobs whose time has come.
pub(super) async fn overdue(conn: &mut SqliteConnection, now: Millis) -> Result<bool, StoreError> {
    let any = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM job INDEXED BY job_postponed
             WHERE state = 'queued' AND postponed = 1 AND not_before_ms <= ?1)",
    )
    .bind(now)
    .fetch_one(conn)
    .await?;
    Ok(any)
}

/// Puts them among those that may be taken up.
pub(super) async fn bring_up(conn: &mut SqliteConnection, now: Millis) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE job SET postponed = 0 WHERE id IN (
             SELECT id FROM job INDEXED BY job_postponed
             WHERE state = 'queued' AND postponed = 1 AND not_before_ms <= ?1 ORDER BY not_before_ms LIMIT ?2)",
    )
    .bind(now)
    .bind(limits::RESCUE_BATCH)
    .execute(conn)
    .await?;
    Ok(())
}

/// The task that the worker is to claim next: of the owner whose turn it is, the job of the highest priority that came
/// first. A job's `not_before_ms` holds it back, and so do its session and its project.
pub(super) async fn due(
    conn: &mut SqliteConnection,
    worker: &WorkerId,
    now: Millis,
) -> Result<Option<DueTask>, StoreError> {
    let row: Option<(String, Vec<u8>)> =
        sqlx::query_as(DUE).bind(now).bind(&worker.0).fetch_optional(conn).await?;
    Ok(row.map(|(id, payload)| DueTask { id, job: serde_json::from_slice(&payload).ok() }))
}

/// SQL: whether the task `t` is due by `?1` and wakes nobody: its job does not wait, or has another task, or there is
/// none.
macro_rules! is_stray {
    () => {
        "t.job_type = 'chat' AND t.status = 'Pending' AND t.lock_by IS NULL AND t.run_at <= ?1
         AND NOT EXISTS (SELECT 1 FROM job AS j WHERE j.id = t.idempotency_key AND j.state = 'queued' AND j.task = t.id)"
    };
}

/// Whether there are such tasks.
pub(super) async fn strays(conn: &mut SqliteConnection, now: Millis) -> Result<bool, StoreError> {
    let any = sqlx::query_scalar(concat!("SELECT EXISTS (SELECT 1 FROM Jobs AS t WHERE ", is_stray!(), ")"))
        .bind(seconds(now))
        .fetch_one(conn)
        .await?;
    Ok(any)
}

/// Puts them away. Returns how many.
pub(super) async fn put_strays_away(conn: &mut SqliteConnection, now: Millis) -> Result<u64, StoreError> {
    let away = sqlx::query(concat!(
        "UPDATE Jobs SET status = 'Killed', last_result = ?2, done_at = ?1, attempts = max(attempts, max_attempts)
         WHERE id IN (SELECT t.id FROM Jobs AS t WHERE ",
        is_stray!(),
        " LIMIT ?3)"
    ))
    .bind(seconds(now))
    .bind(TaskEnd::Killed.result())
    .bind(limits::RESCUE_BATCH)
    .execute(conn)
    .await?;
    Ok(away.rows_affected())
}

/// Marks the task as being worked on.
pub(super) async fn take(
    conn: &mut SqliteConnection,
    task: &str,
    worker: &WorkerId,
    attempt: u32,
    now: Millis,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE Jobs SET status = 'Running', lock_by = ?2, lock_at = ?3, attempts = ?4, done_at = NULL WHERE id = ?1",
    )
    .bind(task)
    .bind(&worker.0)
    .bind(seconds(now))
    .bind(attempt)
    .execute(conn)
    .await?;
    Ok(())
}

/// Lets the task be claimed again from `run_at` on. Without effect if the task is lost: the sweep makes a
/// new one.
pub(super) async fn give_back(
    conn: &mut SqliteConnection,
    task: &str,
    run_at: Millis,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE Jobs SET status = 'Pending', lock_by = NULL, lock_at = NULL, done_at = NULL, run_at = ?2 WHERE id = ?1",
    )
    .bind(task)
    .bind(seconds(run_at))
    .execute(conn)
    .await?;
    Ok(())
}

/// How a task ended, in the queue library's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TaskEnd {
    /// Its job has its answer, or there was nothing to do.
    Done,
    /// Its job failed.
    Failed,
    /// Its job was called off or expired, or it stood for no job at all.
    Killed,
}

impl TaskEnd {
    /// The end of a task whose job ended in `state`.
    pub(super) fn of(state: JobState) -> Self {
        match state {
            JobState::Queued | JobState::Running | JobState::Completed => Self::Done,
            JobState::Failed => Self::Failed,
            JobState::Cancelled | JobState::Expired => Self::Killed,
        }
    }

    fn status(self) -> &'static str {
        match self {
            Self::Done => "Done",
            Self::Failed => "Failed",
            Self::Killed => "Killed",
        }
    }

    fn result(self) -> &'static str {
        match self {
            Self::Done => r#"{"Ok":null}"#,
            Self::Failed => r#"{"Err":"failed"}"#,
            Self::Killed => r#"{"Err":"called off"}"#,
        }
    }
}

/// Puts the task away. Its attempts are used up with it, so that no stock worker takes a failed one.
pub(super) async fn finish(
    conn: &mut SqliteConnection,
    task: &str,
    end: TaskEnd,
    now: Millis,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE Jobs SET status = ?2, last_result = ?3, done_at = ?4, attempts = max(attempts, max_attempts) WHERE id = ?1",
    )
    .bind(task)
    .bind(end.status())
    .bind(end.result())
    .bind(seconds(now))
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes whatever tasks stand for the job.
pub(super) async fn forget(conn: &mut SqliteConnection, job: JobId, task: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM Jobs WHERE id IN (?1, ?2)")
        .bind(task)
        .bind(task_id(job))
        .execute(&mut *conn)
        .await?;
    sqlx::query("DELETE FROM Jobs WHERE job_type = 'chat' AND idempotency_key = ?1")
        .bind(job.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Waiting jobs that no task will wake a worker for, at most `limit`.
pub(super) async fn taskless(conn: &mut SqliteConnection, limit: u32) -> Result<Vec<String>, StoreError> {
    let ids = sqlx::query_scalar(
        "SELECT id FROM job WHERE state = 'queued' AND NOT EXISTS (
             SELECT 1 FROM Jobs AS t WHERE t.id = job.task AND t.status = 'Pending' AND t.lock_by IS NULL)
         LIMIT ?1",
    )
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// Keeps up the worker's row, which claimed tasks refer to.
pub(super) async fn beat(
    conn: &mut SqliteConnection,
    worker: &WorkerId,
    started_at: Millis,
    now: Millis,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO Workers (id, worker_type, storage_name, layers, last_seen, started_at)
         VALUES (?1, 'chat', 'drover', '', ?2, ?3) ON CONFLICT (id) DO UPDATE SET last_seen = excluded.last_seen",
    )
    .bind(&worker.0)
    .bind(seconds(now))
    .bind(seconds(started_at))
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes what nothing refers to any more: workers silent since `before`, and ended tasks that stood for
/// no job. At most `limit` of each.
pub(super) async fn tidy(conn: &mut SqliteConnection, before: Millis, limit: u32) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM Jobs WHERE id IN (
             SELECT t.id FROM Jobs AS t WHERE t.status IN ('Done', 'Failed', 'Killed') AND t.done_at IS NOT NULL
               AND t.done_at < ?1 AND t.job_type = 'chat'
               AND NOT EXISTS (SELECT 1 FROM job WHERE id = t.idempotency_key) LIMIT ?2)",
    )
    .bind(seconds(before))
    .bind(limit)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "DELETE FROM Workers WHERE id IN (
             SELECT w.id FROM Workers AS w WHERE w.worker_type = 'chat' AND w.last_seen < ?1
               AND NOT EXISTS (SELECT 1 FROM Jobs WHERE lock_by = w.id) LIMIT ?2)",
    )
    .bind(seconds(before))
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(())
}

/// The queue library counts in whole seconds.
fn seconds(at: Millis) -> i64 {
    at.div_euclid(1_000)
}

#[cfg(test)]
mod tests {
    use apalis_core::backend::codec::Codec;
    use apalis_sqlite::JsonCodec;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_payload_is_what_the_librarys_codec_writes() {
        let job = JobId::from_uuid(Uuid::from_u128(7));
        let codec = JsonCodec::<Vec<u8>>::default();
        assert_eq!(codec.encode(&job).expect("encoded"), serde_json::to_vec(&job).expect("encoded"));
    }

    #[test]
    fn tasks_sort_as_their_jobs_do() {
        let ids = [1_u128, 2, 1 << 80, u128::MAX].map(|n| task_id(JobId::from_uuid(Uuid::from_u128(n))));
        assert!(ids.is_sorted(), "{ids:?}");
    }
}
