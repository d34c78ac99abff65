//! Carrying out what is decided about a job whose attempt ended without an outcome.

use sqlx::SqliteConnection;

use super::error::corrupt;
use super::{job, transcript};
use crate::schema::{JobId, limits};
use crate::store::fate::{self, Fate, Left};
use crate::store::{Millis, StoreError, queue};

#[derive(sqlx::FromRow)]
struct Row {
    cancel_reason: Option<String>,
    attempts: u32,
    max_attempts: u32,
    task: String,
    session: Option<String>,
    spoken: bool,
}

/// What became of a job that was given up.
pub(super) struct Abandoned {
    /// Whether it goes back.
    pub(super) fate: Fate,
    /// Whether workers may find something to claim now: the job itself, or one that waited for its session or project.
    pub(super) claimable: bool,
}

/// Lets the job have one attempt more. The number of the attempt stays, since everything that it wrote bears it.
pub(super) async fn spare_attempt(conn: &mut SqliteConnection, id: JobId) -> Result<(), StoreError> {
    sqlx::query("UPDATE job SET max_attempts = max_attempts + 1 WHERE id = ?1 AND max_attempts < ?2")
        .bind(id.to_string())
        .bind(limits::ATTEMPTS_ALTOGETHER)
        .execute(conn)
        .await?;
    Ok(())
}

/// Gives a running job up: back into the queue, not before `not_before`, or to its end. Returns which.
pub(super) async fn abandon(
    conn: &mut SqliteConnection,
    id: JobId,
    not_before: Millis,
    now: Millis,
) -> Result<Abandoned, StoreError> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT cancel_reason, attempts, max_attempts, task, session,
                EXISTS (SELECT 1 FROM chunk WHERE chunk.job = job.id AND speaks = 1) AS spoken
         FROM job WHERE id = ?1",
    )
    .bind(id.to_string())
    .fetch_optional(&mut *conn)
    .await?;
    let row = row.ok_or_else(|| corrupt(id, "gone in the middle of a transaction"))?;
    let fate = fate::decide(row.left(id)?);
    let claimable = match &fate {
        Fate::Requeue => {
            requeue(conn, id, &row.task, not_before, now).await?;
            if let Some(session) = &row.session {
                transcript::forget_attempt(conn, session, id).await?;
            }
            true
        }
        Fate::End(event) => job::end(conn, id, event, now).await?.makes_room,
    };
    Ok(Abandoned { fate, claimable })
}

impl Row {
    fn left(&self, id: JobId) -> Result<Left, StoreError> {
        let reason = self.cancel_reason.as_deref();
        Ok(Left {
            cancel: reason.map(|name| job::parse_reason(&id.to_string(), name)).transpose()?,
            spoken: self.spoken,
            attempts: self.attempts,
            max_attempts: self.max_attempts,
        })
    }
}

async fn requeue(
    conn: &mut SqliteConnection,
    id: JobId,
    task: &str,
    not_before: Millis,
    now: Millis,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE job SET state = 'queued', lease = NULL, not_before_ms = ?2, postponed = ?2 > ?3
         WHERE id = ?1 AND state = 'running'",
    )
    .bind(id.to_string())
    .bind(not_before)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    queue::give_back(conn, task, not_before).await
}
