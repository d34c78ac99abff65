//! The table `transcript`: what the CLI keeps of a session, in its own words.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqlitePool};

use super::SqliteStore;
use crate::schema::{JobId, SessionId, limits};
use crate::store::{Appended, Lease, Millis, StoreError};

/// Appends entries under the lease of a job that continues the session.
pub(super) async fn remember(
    store: &SqliteStore,
    lease: &Lease,
    session: SessionId,
    entries: &[String],
    now: Millis,
) -> Result<Appended, StoreError> {
    let mut tx = store.begin().await?;
    let Some(kept) = Kept::under(&mut tx, lease, session).await? else { return Ok(Appended::Fenced) };
    let fits = kept.takes(entries);
    if fits {
        insert(&mut tx, lease, session, kept.last_seq, entries).await?;
    } else {
        forget(&mut tx, session).await?;
    }
    let bytes = if fits { kept.bytes + bytes(entries) } else { 0 };
    sqlx::query("UPDATE session SET transcript_bytes = ?2, whole = ?3, updated_at_ms = ?4 WHERE id = ?1")
        .bind(session.to_string())
        .bind(bytes)
        .bind(fits)
        .bind(now)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(if fits { Appended::Stored } else { Appended::Full })
}

/// What a transcript holds already.
#[derive(sqlx::FromRow)]
struct Kept {
    whole: bool,
    bytes: i64,
    last_seq: i64,
}

impl Kept {
    /// Of the session, if the lease is the one under which its job runs.
    async fn under(
        conn: &mut SqliteConnection,
        lease: &Lease,
        session: SessionId,
    ) -> Result<Option<Self>, StoreError> {
        let kept = sqlx::query_as(
            "SELECT s.whole, s.transcript_bytes AS bytes,
                    (SELECT coalesce(max(seq), 0) FROM transcript WHERE session = s.id) AS last_seq
             FROM job AS j JOIN session AS s ON s.id = j.session
             WHERE j.id = ?1 AND j.lease = ?2 AND j.state = 'running' AND s.id = ?3",
        )
        .bind(lease.job.to_string())
        .bind(lease.token.to_string())
        .bind(session.to_string())
        .fetch_optional(conn)
        .await?;
        Ok(kept)
    }

    /// Whether it has room for the entries. One that was refused before has a hole, and takes nothing more.
    fn takes(&self, entries: &[String]) -> bool {
        self.whole
            && entries.iter().all(|entry| entry.len() <= limits::TRANSCRIPT_ENTRY_BYTES)
            && self.bytes + bytes(entries) <= i64::try_from(limits::TRANSCRIPT_BYTES).unwrap_or(i64::MAX)
    }
}

fn bytes(entries: &[String]) -> i64 {
    i64::try_from(entries.iter().map(String::len).sum::<usize>()).unwrap_or(i64::MAX)
}

async fn insert(
    conn: &mut SqliteConnection,
    lease: &Lease,
    session: SessionId,
    last_seq: i64,
    entries: &[String],
) -> Result<(), StoreError> {
    let (session, job) = (session.to_string(), lease.job.to_string());
    let numbered: Vec<_> = (last_seq + 1..).zip(entries).collect();
    for some in numbered.chunks(limits::CHUNKS_PER_INSERT) {
        let mut sql = QueryBuilder::<Sqlite>::new("INSERT INTO transcript (session, seq, job, entry) ");
        sql.push_values(some, |mut row, (seq, entry)| {
            row.push_bind(&session).push_bind(seq).push_bind(&job).push_bind(entry.as_str());
        });
        sql.build().persistent(false).execute(&mut *conn).await?;
    }
    Ok(())
}

/// Deletes a transcript that is of no use any more.
async fn forget(conn: &mut SqliteConnection, session: SessionId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM transcript WHERE session = ?1").bind(session.to_string()).execute(conn).await?;
    Ok(())
}

/// Deletes what a job that is to be run again has added: its next attempt continues the session from where
/// the last one did.
pub(super) async fn forget_attempt(
    conn: &mut SqliteConnection,
    session: &str,
    job: JobId,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE session SET transcript_bytes = transcript_bytes - coalesce(
             (SELECT sum(octet_length(entry)) FROM transcript WHERE session = ?1 AND job = ?2), 0)
         WHERE id = ?1",
    )
    .bind(session)
    .bind(job.to_string())
    .execute(&mut *conn)
    .await?;
    sqlx::query("DELETE FROM transcript WHERE session = ?1 AND job = ?2")
        .bind(session)
        .bind(job.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// A session's transcript, if it is whole.
pub(super) async fn read(
    readers: &SqlitePool,
    session: SessionId,
) -> Result<Option<Vec<String>>, StoreError> {
    // One statement, so that all of it is of one moment.
    let rows: Vec<(bool, Option<String>)> = sqlx::query_as(
        "SELECT s.whole, t.entry FROM session AS s LEFT JOIN transcript AS t ON t.session = s.id
         WHERE s.id = ?1 ORDER BY t.seq",
    )
    .bind(session.to_string())
    .fetch_all(readers)
    .await?;
    let whole = rows.first().is_some_and(|(whole, _)| *whole);
    Ok(whole.then(|| rows.into_iter().filter_map(|(_, entry)| entry).collect()))
}
