//! Events, in the table `chunk`.

use std::collections::HashSet;

use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqlitePool};

use super::error::{corrupt, not_json};
use crate::schema::{Event, JobId, Seq, SeqEvent, limits};
use crate::store::{Append, Lease, News, StoreError};

/// A chunk as its job's worker writes it.
pub(super) struct NewChunk<'a> {
    lease: &'a Lease,
    first_seq: i64,
    last_seq: i64,
    speaks: bool,
    events: String,
}

impl<'a> NewChunk<'a> {
    /// The chunk for an append with events.
    pub(super) fn of(append: &'a Append) -> Result<Self, StoreError> {
        Ok(Self {
            lease: &append.lease,
            first_seq: stored_seq(append.first_seq),
            last_seq: last_seq(append),
            speaks: append.events.iter().any(Event::speaks),
            events: encode(append.lease.job, &append.events)?,
        })
    }
}

/// What tells one chunk from another: job, last sequence number and attempt. A process may write for two
/// attempts at one job, of which it has lost the first.
pub(super) type ChunkKey = (String, i64, u32);

/// The key of the chunk that `append` makes.
pub(super) fn key(append: &Append) -> ChunkKey {
    (append.lease.job.to_string(), last_seq(append), append.lease.attempt)
}

/// Stores the chunks whose lease holds, and returns their keys. Storing one again, by the same attempt,
/// is no error: its writer could not know that it was stored.
pub(super) async fn insert_fenced(
    conn: &mut SqliteConnection,
    chunks: &[NewChunk<'_>],
) -> Result<HashSet<ChunkKey>, StoreError> {
    let mut stored = HashSet::with_capacity(chunks.len());
    for some in chunks.chunks(limits::CHUNKS_PER_INSERT) {
        let mut sql = fenced_insert(some);
        let keys: Vec<ChunkKey> = sql.build_query_as().persistent(false).fetch_all(&mut *conn).await?;
        stored.extend(keys);
    }
    Ok(stored)
}

/// One statement for all, so that a flush is one trip to the database.
fn fenced_insert(chunks: &[NewChunk<'_>]) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(
        "INSERT INTO chunk (job, seq, first_seq, attempt, speaks, events)
         SELECT v.column1, v.column3, v.column4, v.column5, v.column6, v.column7 FROM (",
    );
    sql.push_values(chunks, |mut row, chunk| {
        row.push_bind(chunk.lease.job.to_string())
            .push_bind(chunk.lease.token.to_string())
            .push_bind(chunk.last_seq)
            .push_bind(chunk.first_seq)
            .push_bind(chunk.lease.attempt)
            .push_bind(chunk.speaks)
            .push_bind(chunk.events.as_str());
    });
    sql.push(
        ") AS v CROSS JOIN job ON job.id = v.column1
         WHERE job.lease = v.column2 AND job.attempts = v.column5 AND job.state = 'running'
         ON CONFLICT (job, seq) DO UPDATE SET first_seq = excluded.first_seq, speaks = excluded.speaks,
             events = excluded.events WHERE chunk.attempt = excluded.attempt
         RETURNING job, seq, attempt",
    );
    sql
}

/// Adds one event after the job's last one, on behalf of whoever holds the write lock.
pub(super) async fn add_last(
    conn: &mut SqliteConnection,
    job: JobId,
    event: &Event,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO chunk (job, seq, first_seq, attempt, speaks, events)
         SELECT id, last + 1, last + 1, attempts, ?2, ?3
         FROM (SELECT id, attempts, (SELECT coalesce(max(seq), 0) FROM chunk WHERE chunk.job = job.id) AS last
               FROM job WHERE id = ?1)",
    )
    .bind(job.to_string())
    .bind(event.speaks())
    .bind(encode(job, std::slice::from_ref(event))?)
    .execute(conn)
    .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    seq: i64,
    first_seq: i64,
    attempt: u32,
    events: String,
}

/// Events after `after`: the chunks up to the one that completes `limit`.
pub(super) async fn read(
    readers: &SqlitePool,
    job: JobId,
    after: Seq,
    limit: u32,
) -> Result<Vec<SeqEvent>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT seq, first_seq, attempt, events FROM chunk WHERE job = ?1 AND seq > ?2
           AND seq <= coalesce((SELECT min(seq) FROM chunk WHERE job = ?1 AND seq >= ?3), ?3)
         ORDER BY seq",
    )
    .bind(job.to_string())
    .bind(stored_seq(after))
    .bind(stored_seq(after.saturating_add(u64::from(limit.max(1)))))
    .fetch_all(readers)
    .await?;
    let mut read = Vec::new();
    for row in rows {
        row.unpack(job, after, &mut read)?;
    }
    Ok(read)
}

impl Row {
    /// Adds the chunk's events that come after all in `read` and after `after`.
    fn unpack(self, job: JobId, after: Seq, read: &mut Vec<SeqEvent>) -> Result<(), StoreError> {
        let name = || format!("chunk {job}/{}", self.seq);
        let events: Vec<Event> =
            serde_json::from_str(&self.events).map_err(|error| not_json(name(), &error))?;
        let first = u64::try_from(self.first_seq).map_err(|error| corrupt(name(), error))?;
        if i64::try_from(events.len()).ok() != Some(self.seq - self.first_seq + 1) {
            return Err(corrupt(name(), "the number of its events is not what its sequence numbers say"));
        }
        let seen = read.last().map_or(after, |last| last.seq);
        let numbered = (first..).zip(events).filter(|(seq, _)| *seq > seen);
        read.extend(numbered.map(|(seq, event)| SeqEvent { seq, attempt: self.attempt, event }));
        Ok(())
    }
}

fn encode(job: JobId, events: &[Event]) -> Result<String, StoreError> {
    serde_json::to_string(events).map_err(|error| corrupt(format!("events of {job}"), error))
}

/// Those of the jobs that have more, or that are over.
pub(super) async fn news(pool: &SqlitePool, known: &[(JobId, Seq)]) -> Result<Vec<News>, StoreError> {
    let asked: Vec<(JobId, i64)> = known.iter().map(|(job, seq)| (*job, stored_seq(*seq))).collect();
    let asked = serde_json::to_string(&asked).map_err(|error| corrupt("jobs", error))?;
    let news: Vec<(String, bool)> = sqlx::query_as(
        // One look into the key of `chunk` for each, and one into that of `job`.
        "SELECT asked.value ->> 0 AS id,
             EXISTS (SELECT 1 FROM chunk WHERE job = asked.value ->> 0 AND seq > asked.value ->> 1) AS more
         FROM json_each(?1) AS asked
         WHERE more OR NOT EXISTS (
             SELECT 1 FROM job WHERE id = asked.value ->> 0 AND state IN ('queued', 'running'))",
    )
    .bind(asked)
    .fetch_all(pool)
    .await?;
    let told = |(id, more): (String, bool)| {
        let job = id.parse().map_err(|error| corrupt(id, error))?;
        Ok(if more { News::Events(job) } else { News::Over(job) })
    };
    news.into_iter().map(told).collect()
}

fn last_seq(append: &Append) -> i64 {
    let more = append.events.len().saturating_sub(1);
    stored_seq(append.first_seq.saturating_add(u64::try_from(more).unwrap_or(u64::MAX)))
}

/// SQLite's integers have a sign; no job comes near the end of them.
fn stored_seq(seq: Seq) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
