//! Who holds a project: the one worker that has its workspace in a slot, and may claim its jobs.

use std::str::FromStr;

use sqlx::{SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::error::corrupt;
use crate::schema::{JobId, ProjectId, WorkerId};
use crate::store::{Millis, StoreError};

/// Makes the worker the holder.
pub(super) async fn take(
    conn: &mut SqliteConnection,
    project: &str,
    worker: &WorkerId,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE project SET holder = ?2 WHERE id = ?1")
        .bind(project)
        .bind(&worker.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Gives the project up, unless a job of it runs: a worker may have claimed one while it made up its mind.
pub(super) async fn release(
    store: &SqliteStore,
    worker: &WorkerId,
    project: ProjectId,
) -> Result<bool, StoreError> {
    let mut tx = store.begin().await?;
    let freed = sqlx::query(
        "UPDATE project SET holder = NULL WHERE id = ?1 AND holder = ?2
           AND NOT EXISTS (SELECT 1 FROM job WHERE project = ?1 AND state = 'running')",
    )
    .bind(project.to_string())
    .bind(&worker.0)
    .execute(&mut *tx)
    .await?;
    let held: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM project WHERE id = ?1 AND holder = ?2)")
            .bind(project.to_string())
            .bind(&worker.0)
            .fetch_one(&mut *tx)
            .await?;
    tx.commit().await?;
    if freed.rows_affected() > 0 {
        store.ring_task();
    }
    Ok(!held)
}

/// Projects that the worker holds idle while jobs wait for them.
pub(super) async fn wanted(
    readers: &SqlitePool,
    worker: &WorkerId,
    now: Millis,
) -> Result<Vec<ProjectId>, StoreError> {
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM project AS p WHERE holder = ?1
           AND EXISTS (SELECT 1 FROM job WHERE project = p.id AND state = 'queued' AND not_before_ms <= ?2)
           AND NOT EXISTS (SELECT 1 FROM job WHERE project = p.id AND state = 'running')
           AND EXISTS (SELECT 1 FROM share WHERE share.owner = p.owner AND running < concurrent)",
    )
    .bind(&worker.0)
    .bind(now)
    .fetch_all(readers)
    .await?;
    ids.iter().map(|id| ProjectId::from_str(id).map_err(|error| corrupt(id, error))).collect()
}

/// Takes the project of a job from the worker that ran it last and is gone.
pub(super) async fn let_go(conn: &mut SqliteConnection, job: JobId) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE project SET holder = NULL FROM job
         WHERE job.id = ?1 AND project.id = job.project AND project.holder = job.worker",
    )
    .bind(job.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes everything from a worker that retires. Whether there was anything.
pub(super) async fn let_all_go(conn: &mut SqliteConnection, worker: &WorkerId) -> Result<bool, StoreError> {
    let freed = sqlx::query("UPDATE project SET holder = NULL WHERE holder = ?1")
        .bind(&worker.0)
        .execute(conn)
        .await?;
    Ok(freed.rows_affected() > 0)
}

/// Takes the idle projects of workers that are gone; one in which a job runs is taken with the job.
pub(super) async fn free(store: &SqliteStore) -> Result<(), StoreError> {
    let holders: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT holder FROM project WHERE holder IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM worker WHERE worker.id = holder AND gone = 0)",
    )
    .fetch_all(&store.readers)
    .await?;
    for holder in holders.iter().filter(|holder| !store.own.has(holder)) {
        let freed = sqlx::query(
            "UPDATE project SET holder = NULL WHERE holder = ?1
               AND NOT EXISTS (SELECT 1 FROM worker WHERE worker.id = ?1 AND gone = 0)
               AND NOT EXISTS (SELECT 1 FROM job WHERE job.project = project.id AND job.state = 'running')",
        )
        .bind(holder)
        .execute(&store.writer)
        .await?;
        if freed.rows_affected() > 0 {
            store.ring_task();
            tracing::info!(
                worker = holder,
                projects = freed.rows_affected(),
                "freed a dead worker's projects"
            );
        }
    }
    Ok(())
}
