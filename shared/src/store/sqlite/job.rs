//! The table `job`, and `spec` beside it.

use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{SqliteConnection, SqlitePool};

use super::error::{corrupt, not_json};
use super::{SqliteStore, allowance, chunk, kept, session, share};
use crate::schema::{
    CancelReason, Changes, Event, Failure, JobId, JobState, LeaseToken, NewJob, Priority, Usage, WorkerId,
};
use crate::store::queue::{self, TaskEnd};
use crate::store::{Held, Millis, Ring, RingRole, StoreError};

/// Adds a queued job.
pub(super) async fn insert(conn: &mut SqliteConnection, job: &NewJob) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO job (id, owner, state, model, max_attempts, task, created_at_ms, deadline_at_ms, project, session,
                          kept, delivery, priority, run_at_ms, not_before_ms, postponed, tags, retry_of, request_key, request_digest,
                          attended, request, trace)
         VALUES (?1, ?2, 'queued', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, coalesce(?13, 0), coalesce(?13, 0) > ?6, ?14, ?15, ?16, ?17,
                 ?16 IS NOT NULL AND ?11 <> 'background', ?18, ?19)",
    )
    .bind(job.id.to_string())
    .bind(&job.owner.0)
    .bind(&job.spec.model)
    .bind(job.max_attempts)
    .bind(queue::task_id(job.id))
    .bind(job.created_at_ms)
    .bind(job.deadline_at_ms)
    .bind(job.spec.agent.as_ref().map(|agent| agent.project.to_string()))
    .bind(job.spec.session().map(|session| session.to_string()))
    .bind(job.keep.as_ref().is_some_and(|keep| keep.stored))
    .bind(job.terms.delivery.as_str())
    .bind(job.terms.priority.level())
    .bind(job.terms.run_at_ms)
    .bind(to_json(job.id, &job.terms.tags)?)
    .bind(job.terms.retry_of.map(|job| job.to_string()))
    .bind(job.key.as_ref().map(|key| &key.key))
    .bind(job.key.as_ref().map(|key| &key.digest))
    .bind(job.origin.as_ref().map(|origin| &origin.request))
    .bind(job.origin.as_ref().map(|origin| origin.trace.to_string()))
    .execute(&mut *conn)
    .await?;
    sqlx::query("INSERT INTO spec (job, body) VALUES (?1, ?2)")
        .bind(job.id.to_string())
        .bind(to_json(job.id, &job.spec)?)
        .execute(&mut *conn)
        .await?;
    match &job.keep {
        Some(keep) => kept::insert(conn, job, keep).await,
        None => Ok(()),
    }
}

/// Ends a job that is queued or running with `event`, which is stored as its last.
pub(super) async fn end(
    conn: &mut SqliteConnection,
    id: JobId,
    event: &Event,
    now: Millis,
) -> Result<Settled, StoreError> {
    chunk::add_last(conn, id, event).await?;
    settle(conn, id, event, now).await
}

/// What follows from a job's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// Whether another job may have waited for it: one of its session, of its project, or of its key, which runs only so
    /// many at once.
    pub(super) makes_room: bool,
}

/// Puts a job into the state that `event`, already stored, ends it in, and its task away.
pub(super) async fn settle(
    conn: &mut SqliteConnection,
    id: JobId,
    event: &Event,
    now: Millis,
) -> Result<Settled, StoreError> {
    let Some(outcome) = Outcome::of(event) else {
        return Err(corrupt(id, "ended by an event that ends nothing"));
    };
    let row: Option<(String, Option<String>, String, i64)> = sqlx::query_as(
        "UPDATE job SET state = ?2, failure = ?3, usage = ?4, finished_at_ms = ?5, lease = NULL,
                kept = kept AND ?2 = 'completed'
         WHERE id = ?1 AND state IN ('queued', 'running') RETURNING task, session, owner, reserved_tokens",
    )
    .bind(id.to_string())
    .bind(outcome.state.as_str())
    .bind(outcome.failure.map(|failure| to_json(id, failure)).transpose()?)
    .bind(to_json(id, &outcome.usage)?)
    .bind(now)
    .fetch_optional(&mut *conn)
    .await?;
    let Some((task, session, owner, reserved)) = row else { return Ok(Settled { makes_room: false }) };
    queue::finish(conn, &task, TaskEnd::of(outcome.state), now).await?;
    if let Some(session) = &session {
        session::bill(conn, session, &outcome.usage, now).await?;
    }
    allowance::settle(conn, id, &owner, reserved, now).await?;
    Ok(Settled { makes_room: session.is_some() || share::made_room(conn, &owner).await? })
}

/// Notes what an agent's job has done to files.
pub(super) async fn note_changes(
    conn: &mut SqliteConnection,
    id: JobId,
    changes: &Changes,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE job SET changes = ?2 WHERE id = ?1")
        .bind(id.to_string())
        .bind(to_json(id, changes)?)
        .execute(conn)
        .await?;
    Ok(())
}

/// What a terminal event says of its job.
struct Outcome<'a> {
    state: JobState,
    failure: Option<&'a Failure>,
    usage: Usage,
}

impl<'a> Outcome<'a> {
    fn of(event: &'a Event) -> Option<Self> {
        let state = event.terminal_state()?;
        let (failure, usage) = match event {
            Event::Completed { usage, .. } | Event::Cancelled { usage, .. } => (None, *usage),
            Event::Failed { failure, usage } => (Some(failure), *usage),
            _ => (None, Usage::default()),
        };
        Some(Self { state, failure, usage })
    }
}

/// Calls a job off: a queued one ends, a running one is marked.
pub(super) async fn cancel(
    store: &SqliteStore,
    id: JobId,
    reason: CancelReason,
    now: Millis,
) -> Result<Option<JobState>, StoreError> {
    let mut tx = store.begin().await?;
    let called = call_off(&mut tx, id, reason, now).await?;
    tx.commit().await?;
    if let Some(called) = &called {
        called.ring(store, id);
    }
    Ok(called.map(|called| called.before))
}

/// What has become of a job that was called off.
pub(super) struct CalledOff {
    /// Where it stood before.
    before: JobState,
    makes_room: bool,
}

impl CalledOff {
    /// Tells whom it concerns, once it is committed.
    pub(super) fn ring(&self, store: &SqliteStore, id: JobId) {
        match self.before {
            JobState::Queued => store.ring_events([id]),
            JobState::Running => store.bell.ring(RingRole::Worker, [Ring::CalledOff(id)]),
            JobState::Completed | JobState::Failed | JobState::Cancelled | JobState::Expired => {}
        }
        if self.makes_room {
            store.ring_task();
        }
    }
}

/// The same within a transaction. `None`: no such job.
pub(super) async fn call_off(
    conn: &mut SqliteConnection,
    id: JobId,
    reason: CancelReason,
    now: Millis,
) -> Result<Option<CalledOff>, StoreError> {
    let state: Option<String> = sqlx::query_scalar("SELECT state FROM job WHERE id = ?1")
        .bind(id.to_string())
        .fetch_optional(&mut *conn)
        .await?;
    let Some(before) = state.map(|name| parse_state(id, &name)).transpose()? else { return Ok(None) };
    let mut makes_room = false;
    match before {
        JobState::Queued => {
            let event = Event::Cancelled { reason, usage: Usage::default() };
            makes_room = end(conn, id, &event, now).await?.makes_room;
        }
        JobState::Running => {
            // The first reason stays: the worker may be acting on it.
            sqlx::query("UPDATE job SET cancel_reason = coalesce(cancel_reason, ?2) WHERE id = ?1")
                .bind(id.to_string())
                .bind(reason.as_str())
                .execute(conn)
                .await?;
        }
        JobState::Completed | JobState::Failed | JobState::Cancelled | JobState::Expired => {}
    }
    Ok(Some(CalledOff { before, makes_room }))
}

/// The jobs whose leases the worker holds.
pub(super) async fn held(readers: &SqlitePool, worker: &WorkerId) -> Result<Vec<Held>, StoreError> {
    let rows: Vec<(String, String, Option<String>)> = sqlx::query_as(
        "SELECT id, lease, cancel_reason FROM job
         WHERE state = 'running' AND worker = ?1 AND lease IS NOT NULL",
    )
    .bind(&worker.0)
    .fetch_all(readers)
    .await?;
    let held = rows.iter().map(|(id, lease, reason)| {
        let token = lease.parse().map(LeaseToken).map_err(|error| corrupt(id, error))?;
        let called_off = reason.as_deref().map(|reason| parse_reason(id, reason)).transpose()?;
        Ok(Held { job: parse_id(id)?, token, called_off })
    });
    held.collect()
}

/// The id in a row's key.
pub(super) fn parse_id(text: &str) -> Result<JobId, StoreError> {
    JobId::from_str(text).map_err(|error| corrupt(format!("job {text}"), error))
}

/// The state in the row of job `id`.
pub(super) fn parse_state(id: JobId, name: &str) -> Result<JobState, StoreError> {
    JobState::parse(name).ok_or_else(|| corrupt(id, format!("unknown state {name}")))
}

/// The reason in the row of job `id`.
pub(super) fn parse_reason(id: &str, name: &str) -> Result<CancelReason, StoreError> {
    CancelReason::parse(name).ok_or_else(|| corrupt(id, format!("unknown reason {name}")))
}

/// The priority in the row of job `id`.
pub(super) fn parse_priority(id: JobId, level: i64) -> Result<Priority, StoreError> {
    Priority::of_level(level).ok_or_else(|| corrupt(id, format!("unknown priority {level}")))
}

fn to_json(id: JobId, value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| corrupt(id, error))
}

pub(super) fn from_json<T: DeserializeOwned>(id: JobId, json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| not_json(id, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_in_the_database_are_those_of_the_enum() {
        let sql = include_str!("../../../../migrations/sqlite/0001_job.sql");
        let list = sql.split_once("CHECK (state IN (").and_then(|(_, rest)| rest.split_once("))"));
        let names: Vec<&str> =
            list.expect("a CHECK of the state").0.split(", ").map(|name| name.trim_matches('\'')).collect();
        assert_eq!(names, JobState::ALL.map(JobState::as_str));
    }
}
