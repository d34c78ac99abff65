//! The table `share`: what each owner has of the fleet. Triggers count its jobs; here is what they cannot know.

use sqlx::SqliteConnection;

use crate::schema::{ApiKey, JobId};
use crate::store::{Millis, StoreError};

/// Notes what the key says of its owner's share.
pub(super) async fn set(conn: &mut SqliteConnection, key: &ApiKey) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO share (owner, priority, concurrent) VALUES (?1, ?2, ?3)
         ON CONFLICT (owner) DO UPDATE SET priority = excluded.priority, concurrent = excluded.concurrent",
    )
    .bind(&key.owner.0)
    .bind(key.priority)
    // The column's own default: more than any fleet runs.
    .bind(key.limits.concurrent_jobs.map_or(i64::from(i32::MAX), i64::from))
    .execute(conn)
    .await?;
    Ok(())
}

/// The owner of the job has had its turn.
pub(super) async fn served(conn: &mut SqliteConnection, job: JobId, now: Millis) -> Result<(), StoreError> {
    sqlx::query("UPDATE share SET served_ms = ?2 WHERE owner = (SELECT owner FROM job WHERE id = ?1)")
        .bind(job.to_string())
        .bind(now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether the end of a running job has let a waiting one of the same owner's be taken up that could not before.
pub(super) async fn made_room(conn: &mut SqliteConnection, owner: &str) -> Result<bool, StoreError> {
    let made = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM share WHERE owner = ?1 AND queued > 0 AND running = concurrent - 1)",
    )
    .bind(owner)
    .fetch_one(conn)
    .await?;
    Ok(made)
}
