//! Taking up what dead workers left behind, and other sweeping.
//!
//! First the dead are marked, then the running jobs of workers so marked are given up, one transaction
//! each. Whoever crashes in between leaves marks that the next sweep finds, and a worker that beats in
//! between is alive again and keeps its jobs.

use sqlx::SqliteConnection;

use super::{SqliteStore, abandon, hold, job};
use crate::schema::{Event, JobId, JobState, limits};
use crate::store::fate::Fate;
use crate::store::{Millis, StoreError, queue, worker_lock};

/// One sweep. Returns how many jobs it touched.
pub(super) async fn rescue(store: &SqliteStore, dead_before: Millis, now: Millis) -> Result<u64, StoreError> {
    mark_silent(store, dead_before).await?;
    mark_unlocked(store).await?;
    let mut touched = 0;
    for (id, lease) in orphans(store).await? {
        touched += u64::from(take_up(store, id, &lease, now).await?);
    }
    hold::free(store).await?;
    for id in overdue(store, now).await? {
        touched += u64::from(expire(store, id, now).await?);
    }
    for id in queue::taskless(&mut *store.readers.acquire().await?, limits::RESCUE_BATCH).await? {
        touched += u64::from(wake(store, job::parse_id(&id)?, now).await?);
    }
    put_strays_away(store, now).await?;
    Ok(touched)
}

/// Puts away the tasks that wake nobody. Looks before it takes the write lock.
async fn put_strays_away(store: &SqliteStore, now: Millis) -> Result<(), StoreError> {
    if queue::strays(&mut *store.readers.acquire().await?, now).await? {
        let away = queue::put_strays_away(&mut *store.writer.acquire().await?, now).await?;
        tracing::info!(tasks = away, "put away tasks that no waiting job knows");
    }
    Ok(())
}

/// Marks the workers that have not beaten since `dead_before`.
async fn mark_silent(store: &SqliteStore, dead_before: Millis) -> Result<(), StoreError> {
    if !store.own.may_judge(dead_before) {
        return Ok(());
    }
    let silent: Vec<(String, Millis)> =
        sqlx::query_as("SELECT id, beat_ms FROM worker WHERE gone = 0 AND beat_ms < ?1")
            .bind(dead_before)
            .fetch_all(&store.readers)
            .await?;
    for (id, beat) in silent.iter().filter(|(id, _)| !store.own.has(id)) {
        sqlx::query("UPDATE worker SET gone = 1 WHERE id = ?1 AND beat_ms = ?2")
            .bind(id)
            .bind(beat)
            .execute(&store.writer)
            .await?;
        tracing::warn!(worker = id, "worker is silent and counts as dead");
    }
    Ok(())
}

/// Marks the workers whose lock file nobody holds any more: their process is gone.
async fn mark_unlocked(store: &SqliteStore) -> Result<(), StoreError> {
    let dead = worker_lock::dead(&store.dir)
        .map_err(|error| StoreError::Unavailable(format!("lock files of workers: {error}")))?;
    for lock in dead.iter().filter(|lock| !store.own.has(lock.worker())) {
        sqlx::query("UPDATE worker SET gone = 1 WHERE id = ?1")
            .bind(lock.worker())
            .execute(&store.writer)
            .await?;
        lock.remove();
        tracing::warn!(worker = lock.worker(), "the worker's process is gone");
    }
    Ok(())
}

/// Running jobs without a living worker, with their leases.
async fn orphans(store: &SqliteStore) -> Result<Vec<(JobId, String)>, StoreError> {
    let rows: Vec<(String, String, Option<String>)> = sqlx::query_as(
        "SELECT job.id, job.lease, job.worker FROM job LEFT JOIN worker ON worker.id = job.worker
         WHERE job.state = 'running' AND coalesce(worker.gone, 1) = 1 LIMIT ?1",
    )
    .bind(limits::RESCUE_BATCH)
    .fetch_all(&store.readers)
    .await?;
    rows.iter()
        .filter(|(_, _, worker)| !worker.as_deref().is_some_and(|worker| store.own.has(worker)))
        .map(|(id, lease, _)| Ok((job::parse_id(id)?, lease.clone())))
        .collect()
}

/// Gives an orphan up, if it still is one.
pub(super) async fn take_up(
    store: &SqliteStore,
    id: JobId,
    lease: &str,
    now: Millis,
) -> Result<bool, StoreError> {
    let mut tx = store.begin().await?;
    let orphaned: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM job LEFT JOIN worker ON worker.id = job.worker
             WHERE job.id = ?1 AND job.state = 'running' AND job.lease = ?2 AND coalesce(worker.gone, 1) = 1)",
    )
    .bind(id.to_string())
    .bind(lease)
    .fetch_one(&mut *tx)
    .await?;
    if !orphaned {
        return Ok(false);
    }
    let left = abandon::abandon(&mut tx, id, now, now).await?;
    hold::let_go(&mut tx, id).await?;
    tx.commit().await?;
    let requeued = left.fate == Fate::Requeue;
    if left.claimable {
        store.ring_task();
    }
    if !requeued {
        store.ring_events([id]);
    }
    tracing::info!(job = %id, requeued, "took up a dead worker's job");
    Ok(true)
}

/// Waiting jobs past their deadline.
async fn overdue(store: &SqliteStore, now: Millis) -> Result<Vec<JobId>, StoreError> {
    let ids: Vec<String> =
        sqlx::query_scalar("SELECT id FROM job WHERE state = 'queued' AND deadline_at_ms <= ?1 LIMIT ?2")
            .bind(now)
            .bind(limits::RESCUE_BATCH)
            .fetch_all(&store.readers)
            .await?;
    ids.iter().map(|id| job::parse_id(id)).collect()
}

async fn expire(store: &SqliteStore, id: JobId, now: Millis) -> Result<bool, StoreError> {
    let mut tx = store.begin().await?;
    if !is_queued(&mut tx, id).await? {
        return Ok(false);
    }
    let settled = job::end(&mut tx, id, &Event::Expired, now).await?;
    tx.commit().await?;
    store.ring_events([id]);
    if settled.makes_room {
        store.ring_task();
    }
    Ok(true)
}

/// Makes a new task for a waiting job in place of the one it lost.
async fn wake(store: &SqliteStore, id: JobId, now: Millis) -> Result<bool, StoreError> {
    let mut tx = store.begin().await?;
    if !is_queued(&mut tx, id).await? {
        return Ok(false);
    }
    let (lost, attempts, level, not_before): (String, u32, i64, Millis) =
        sqlx::query_as("SELECT task, max_attempts, priority, not_before_ms FROM job WHERE id = ?1")
            .bind(id.to_string())
            .fetch_one(&mut *tx)
            .await?;
    queue::forget(&mut tx, id, &lost).await?;
    queue::push(&mut tx, id, attempts, job::parse_priority(id, level)?, not_before.max(now)).await?;
    sqlx::query("UPDATE job SET task = ?2 WHERE id = ?1")
        .bind(id.to_string())
        .bind(queue::task_id(id))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    store.ring_task();
    tracing::info!(job = %id, "made a new task for a job that had lost its own");
    Ok(true)
}

async fn is_queued(conn: &mut SqliteConnection, id: JobId) -> Result<bool, StoreError> {
    let state: Option<String> = sqlx::query_scalar("SELECT state FROM job WHERE id = ?1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    Ok(state.map(|name| job::parse_state(id, &name)).transpose()? == Some(JobState::Queued))
}
