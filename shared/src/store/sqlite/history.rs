//! The table `turn`: what was said in a session.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqlitePool, query_as};

use super::error::{corrupt, not_json};
use super::{SqliteStore, chunk};
use crate::schema::{Event, JobId, JobSpec, Page, PastTurn, Role, SessionId, Turn, history, limits};
use crate::store::{Append, Millis, StoreError};

/// What a completed job adds to the history of its session.
pub(super) struct Addition {
    session: SessionId,
    job: JobId,
    turns: Vec<Turn>,
}

/// What the job adds that the batch completes with `last`; read before the transaction that writes it, which nothing
/// can come between: only the running job of a session adds to its history, and it is this one. `None`: it continues
/// no session, what it was asked cannot be read any more, or its client has no use for the answer.
pub(super) async fn addition(
    store: &SqliteStore,
    batch: &[Append],
    last: &Append,
) -> Result<Option<Addition>, StoreError> {
    let job = last.lease.job;
    let asked: Option<(String, String)> = query_as(
        "SELECT j.session, s.body FROM job AS j JOIN spec AS s ON s.job = j.id
         WHERE j.id = ?1 AND j.session IS NOT NULL",
    )
    .bind(job.to_string())
    .fetch_optional(&store.readers)
    .await?;
    let Some((session, body)) = asked else { return Ok(None) };
    let (Ok(session), Ok(spec)) = (session.parse(), serde_json::from_str::<JobSpec>(&body)) else {
        tracing::error!(%job, "what a job was asked cannot be read; its session's history goes on without it");
        return Ok(None);
    };
    let answer = answer(store, batch, last).await?;
    if answer.as_ref().is_some_and(|answer| history::calls_a_stranger(answer, &spec.tools)) {
        return Ok(None);
    }
    let mut turns = new_turns(&store.readers, session, spec.turns).await?;
    turns.extend(answer);
    Ok(Some(Addition { session, job, turns }))
}

/// What of the given turns the history does not hold yet. It is read only where it may be what they begin with.
async fn new_turns(
    readers: &SqlitePool,
    session: SessionId,
    given: Vec<Turn>,
) -> Result<Vec<Turn>, StoreError> {
    let held: i64 = sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM turn WHERE session = ?1")
        .bind(session.to_string())
        .fetch_one(readers)
        .await?;
    if held == 0 || usize::try_from(held).is_ok_and(|held| held > given.len()) {
        return Ok(given);
    }
    let said = all(&mut *readers.acquire().await?, session).await?;
    Ok(history::fresh(&said, &given))
}

/// The model's answer: from the events that are stored, and those that are about to be.
async fn answer(store: &SqliteStore, batch: &[Append], last: &Append) -> Result<Option<Turn>, StoreError> {
    let stored = chunk::read(&store.readers, last.lease.job, 0, u32::MAX).await?;
    let seen = stored.last().map_or(0, |event| event.seq);
    let coming = batch.iter().filter(|append| append.lease == last.lease);
    let coming = coming.flat_map(|append| (append.first_seq..).zip(&append.events));
    let events: Vec<&Event> = stored
        .iter()
        .map(|stored| &stored.event)
        .chain(coming.filter(|(seq, _)| *seq > seen).map(|(_, event)| event))
        .collect();
    Ok(history::answer(events))
}

/// Appends it.
pub(super) async fn add(
    conn: &mut SqliteConnection,
    addition: &Addition,
    now: Millis,
) -> Result<(), StoreError> {
    let Addition { session, job, turns } = addition;
    if turns.is_empty() {
        return Ok(());
    }
    let parts = turns.iter().map(|turn| serde_json::to_string(&turn.parts));
    let parts: Vec<String> = parts.collect::<Result<_, _>>().map_err(|error| corrupt(session, error))?;
    let last: i64 = sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM turn WHERE session = ?1")
        .bind(session.to_string())
        .fetch_one(&mut *conn)
        .await?;
    let rows: Vec<_> = (last + 1..).zip(turns.iter().zip(&parts)).collect();
    for some in rows.chunks(limits::TURNS_PER_INSERT) {
        let mut sql =
            QueryBuilder::<Sqlite>::new("INSERT INTO turn (session, seq, job, role, parts, created_at_ms) ");
        sql.push_values(some, |mut row, (seq, (turn, parts))| {
            row.push_bind(session.to_string())
                .push_bind(*seq)
                .push_bind(job.to_string())
                .push_bind(role_name(turn.role))
                .push_bind(parts.as_str())
                .push_bind(now);
        });
        sql.build().persistent(false).execute(&mut *conn).await?;
    }
    let messages: u64 = turns.iter().map(Turn::messages).sum();
    let bytes: usize = parts.iter().map(String::len).sum();
    sqlx::query(
        "UPDATE session SET message_count = message_count + ?2, history_bytes = history_bytes + ?3 WHERE id = ?1",
    )
    .bind(session.to_string())
    .bind(i64::try_from(messages).unwrap_or(i64::MAX))
    .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
    .execute(conn)
    .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    seq: i64,
    job: String,
    role: String,
    parts: String,
    created_at_ms: Millis,
}

impl Row {
    fn into_past(self, session: SessionId) -> Result<PastTurn, StoreError> {
        let name = || format!("turn {session}/{}", self.seq);
        let parts = serde_json::from_str(&self.parts).map_err(|error| not_json(name(), &error))?;
        let role = match self.role.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            other => return Err(corrupt(name(), format!("unknown role {other}"))),
        };
        Ok(PastTurn {
            seq: self.seq.unsigned_abs(),
            job: self.job.parse().map_err(|error| corrupt(name(), error))?,
            at_ms: self.created_at_ms,
            turn: Turn { role, parts },
        })
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// All of it, in order.
pub(super) async fn all(conn: &mut SqliteConnection, session: SessionId) -> Result<Vec<Turn>, StoreError> {
    let rows: Vec<Row> =
        query_as("SELECT seq, job, role, parts, created_at_ms FROM turn WHERE session = ?1 ORDER BY seq")
            .bind(session.to_string())
            .fetch_all(conn)
            .await?;
    rows.into_iter().map(|row| row.into_past(session).map(|past| past.turn)).collect()
}

/// Part of it.
pub(super) async fn read(
    readers: &SqlitePool,
    session: SessionId,
    page: &Page<u64>,
) -> Result<Vec<PastTurn>, StoreError> {
    let sql = if page.newest_first {
        "SELECT seq, job, role, parts, created_at_ms FROM turn
         WHERE session = ?1 AND (?2 IS NULL OR seq < ?2) ORDER BY seq DESC LIMIT ?3 OFFSET ?4"
    } else {
        "SELECT seq, job, role, parts, created_at_ms FROM turn
         WHERE session = ?1 AND (?2 IS NULL OR seq > ?2) ORDER BY seq LIMIT ?3 OFFSET ?4"
    };
    let rows: Vec<Row> = query_as(sql)
        .bind(session.to_string())
        .bind(page.after.map(|seq| i64::try_from(seq).unwrap_or(i64::MAX)))
        .bind(page.limit)
        .bind(i64::try_from(page.skip).unwrap_or(i64::MAX))
        .fetch_all(readers)
        .await?;
    rows.into_iter().map(|row| row.into_past(session)).collect()
}
