//! Retention.

use sqlx::SqliteConnection;

use super::{SqliteStore, job};
use crate::schema::JobId;
use crate::store::{Millis, StoreError, queue};

/// Deletes jobs that ended before `before`, a transaction each, so that writers are held up by one job's
/// chunks at most; then what workers and tasks left behind.
pub(super) async fn prune(store: &SqliteStore, before: Millis, limit: u32) -> Result<u64, StoreError> {
    let ended: Vec<(String, String)> = sqlx::query_as(
        "SELECT id, task FROM job WHERE finished_at_ms IS NOT NULL AND kept = 0 AND finished_at_ms < ?1
         ORDER BY finished_at_ms LIMIT ?2",
    )
    .bind(before)
    .bind(limit)
    .fetch_all(&store.readers)
    .await?;
    let mut gone = 0;
    for (id, task) in &ended {
        let id = job::parse_id(id)?;
        let mut tx = store.begin().await?;
        gone += delete(&mut tx, id).await?;
        queue::forget(&mut tx, id, task).await?;
        tx.commit().await?;
    }
    tidy(store, before, limit).await?;
    Ok(gone)
}

/// Chunks and spec go with the row.
async fn delete(conn: &mut SqliteConnection, id: JobId) -> Result<u64, StoreError> {
    let done = sqlx::query("DELETE FROM job WHERE id = ?1").bind(id.to_string()).execute(conn).await?;
    Ok(done.rows_affected())
}

/// Forgets workers that are long gone, all but the last: it remembers what models the fleet offered.
async fn tidy(store: &SqliteStore, before: Millis, limit: u32) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    sqlx::query(
        "DELETE FROM worker WHERE beat_ms < ?1 AND id <> (SELECT id FROM worker ORDER BY beat_ms DESC LIMIT 1)
           AND NOT EXISTS (SELECT 1 FROM job WHERE state = 'running' AND job.worker = worker.id)",
    )
    .bind(before)
    .execute(&mut *tx)
    .await?;
    queue::tidy(&mut tx, before, limit).await?;
    tx.commit().await?;
    Ok(())
}
