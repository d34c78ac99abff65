//! The table `share`: what each owner has of the fleet. Triggers count its jobs; here is what they cannot know.

use sqlx::SqliteConnection;

use crate::schema::{ApiKey, JobId, Owner};
use crate::store::StoreError;

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

/// The owner of the job has had its turn, the last one so far.
pub(super) async fn served(conn: &mut SqliteConnection, job: JobId) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE share SET turn = 1 + (SELECT max(turn) FROM share)
         WHERE owner = (SELECT owner FROM job WHERE id = ?1)",
    )
    .bind(job.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether `most` jobs of the owner's wait among those whose time has come, or among those whose time has not, whichever of
/// the two is meant. Whose jobs are few altogether is told by one row.
pub(super) async fn is_full(
    conn: &mut SqliteConnection,
    owner: &Owner,
    later: bool,
    most: u64,
) -> Result<bool, StoreError> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let queued: Option<i64> =
        sqlx::query_scalar("SELECT queued FROM share WHERE owner = ?1 AND queued >= ?2")
            .bind(&owner.0)
            .bind(most)
            .fetch_optional(&mut *conn)
            .await?;
    let Some(queued) = queued else { return Ok(false) };
    let now: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM job INDEXED BY job_turn_chat
                 WHERE owner = ?1 AND state = 'queued' AND postponed = 0 AND project IS NULL)
              + (SELECT count(*) FROM job INDEXED BY job_turn_agent
                 WHERE owner = ?1 AND state = 'queued' AND postponed = 0 AND project IS NOT NULL)",
    )
    .bind(&owner.0)
    .fetch_one(conn)
    .await?;
    Ok(if later { queued - now } else { now } >= most)
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
