//! The table `session`.

use sqlx::{SqliteConnection, SqlitePool, query_as};

use super::SqliteStore;
use super::error::corrupt;
use super::project::listed;
use crate::schema::{
    IfBusy, Listed, NewJob, Owner, Page, ProjectId, Session, SessionChange, SessionId, SessionSums, Usage,
    limits,
};
use crate::store::{Enqueued, Millis, Removed, StoreError};

/// What decides whether a job may be added to a session.
#[derive(sqlx::FromRow)]
struct Room {
    project: Option<String>,
    history_bytes: i64,
    busy: bool,
    /// Jobs that wait for the session, and for its project.
    waiting: u32,
    waiting_there: u32,
}

/// Whether the job may be added, as far as its session and project go. If so, the session keeps what its client said.
pub(super) async fn admit(conn: &mut SqliteConnection, job: &NewJob) -> Result<Enqueued, StoreError> {
    let Some(session) = job.spec.session() else { return Ok(Enqueued::Added) };
    let room: Option<Room> = query_as(
        "SELECT s.project, s.history_bytes,
                EXISTS (SELECT 1 FROM job WHERE session = s.id AND state = 'queued' AND coalesce(run_at_ms, 0) <= ?3)
                    OR EXISTS (SELECT 1 FROM job WHERE session = s.id AND state = 'running') AS busy,
                (SELECT count(*) FROM job WHERE session = s.id AND state = 'queued') AS waiting,
                (SELECT count(*) FROM job WHERE project = s.project AND state = 'queued') AS waiting_there
         FROM session AS s LEFT JOIN project AS p ON p.id = s.project
         WHERE s.id = ?1 AND s.owner = ?2 AND coalesce(p.owner, ?2) = ?2",
    )
    .bind(session.to_string())
    .bind(&job.owner.0)
    .bind(job.created_at_ms)
    .fetch_optional(&mut *conn)
    .await?;
    let project = job.spec.agent.as_ref().map(|agent| agent.project.to_string());
    let outcome = match room {
        None => Enqueued::NoSuchSession,
        Some(room) if room.project != project => Enqueued::NoSuchSession,
        Some(room) if room.busy && job.if_busy == IfBusy::Refuse => Enqueued::SessionBusy,
        Some(room) if room.history_bytes.unsigned_abs() >= limits::HISTORY_BYTES => Enqueued::SessionTooLong,
        Some(room) if room.waiting_there >= limits::PROJECT_QUEUED => Enqueued::ProjectFull,
        Some(room) if room.waiting >= limits::SESSION_QUEUED => Enqueued::SessionFull,
        Some(_) => Enqueued::Added,
    };
    if outcome == Enqueued::Added {
        keep(conn, session, job).await?;
    }
    Ok(outcome)
}

async fn keep(conn: &mut SqliteConnection, session: SessionId, job: &NewJob) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE session SET model = coalesce(model, ?2), system = coalesce(system, ?3),
             updated_at_ms = max(updated_at_ms, ?4) WHERE id = ?1",
    )
    .bind(session.to_string())
    .bind(&job.told.model)
    .bind(&job.told.system)
    .bind(job.created_at_ms)
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds to what the session's jobs were billed.
pub(super) async fn bill(
    conn: &mut SqliteConnection,
    session: &str,
    usage: &Usage,
    now: Millis,
) -> Result<(), StoreError> {
    let figure = |figure: u64| i64::try_from(figure).unwrap_or(i64::MAX).min(limits::LEDGER_FIGURE);
    sqlx::query(
        "UPDATE session SET total_tokens = total_tokens + ?2, cost_microusd = cost_microusd + ?3,
             updated_at_ms = max(updated_at_ms, ?4) WHERE id = ?1",
    )
    .bind(session)
    .bind(figure(usage.prompt_tokens().saturating_add(usage.output_tokens)))
    .bind(figure(usage.cost_microusd))
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds a session. Whether it is new.
pub(super) async fn create(conn: &mut SqliteConnection, session: &Session) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "INSERT INTO session (id, owner, project, title, model, system, created_at_ms, updated_at_ms)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
         WHERE ?3 IS NULL OR EXISTS (SELECT 1 FROM project WHERE id = ?3 AND deleted_at_ms IS NULL)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(session.id.to_string())
    .bind(&session.owner.0)
    .bind(session.project.map(|project| project.to_string()))
    .bind(&session.title)
    .bind(&session.model)
    .bind(&session.system)
    .bind(session.created_at_ms)
    .bind(session.updated_at_ms)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    owner: String,
    project: Option<String>,
    title: String,
    model: Option<String>,
    system: Option<String>,
    message_count: i64,
    total_tokens: i64,
    cost_microusd: i64,
    created_at_ms: Millis,
    updated_at_ms: Millis,
}

impl Row {
    fn into_session(self) -> Result<Session, StoreError> {
        let project = self.project.map(|project| project.parse()).transpose();
        Ok(Session {
            project: project.map_err(|error| corrupt(&self.id, error))?,
            id: self.id.parse().map_err(|error| corrupt(&self.id, error))?,
            owner: Owner(self.owner),
            title: self.title,
            model: self.model,
            system: self.system,
            message_count: self.message_count.unsigned_abs(),
            total_tokens: self.total_tokens.unsigned_abs(),
            cost_microusd: self.cost_microusd.unsigned_abs(),
            created_at_ms: self.created_at_ms,
            updated_at_ms: self.updated_at_ms,
        })
    }
}

/// A session as its row tells it.
pub(super) async fn read(readers: &SqlitePool, id: SessionId) -> Result<Option<Session>, StoreError> {
    let row: Option<Row> = query_as(
        "SELECT id, owner, project, title, model, system, message_count, total_tokens, cost_microusd,
                created_at_ms, updated_at_ms
         FROM session WHERE id = ?1",
    )
    .bind(id.to_string())
    .fetch_optional(readers)
    .await?;
    row.map(Row::into_session).transpose()
}

/// A key's sessions, or those of them in one project.
pub(super) async fn list(
    readers: &SqlitePool,
    owner: &Owner,
    project: Option<ProjectId>,
    page: &Page<SessionId>,
) -> Result<Listed<Session>, StoreError> {
    let sql = if page.newest_first {
        "SELECT id, owner, project, title, model, system, message_count, total_tokens, cost_microusd,
                created_at_ms, updated_at_ms FROM session
         WHERE owner = ?1 AND (?2 IS NULL OR project = ?2) AND (?3 IS NULL OR id < ?3)
         ORDER BY id DESC LIMIT ?4 OFFSET ?5"
    } else {
        "SELECT id, owner, project, title, model, system, message_count, total_tokens, cost_microusd,
                created_at_ms, updated_at_ms FROM session
         WHERE owner = ?1 AND (?2 IS NULL OR project = ?2) AND (?3 IS NULL OR id > ?3)
         ORDER BY id LIMIT ?4 OFFSET ?5"
    };
    let project = project.map(|project| project.to_string());
    let rows: Vec<Row> = query_as(sql)
        .bind(&owner.0)
        .bind(&project)
        .bind(page.after.map(|id| id.to_string()))
        .bind(page.limit.saturating_add(1))
        .bind(i64::try_from(page.skip).unwrap_or(i64::MAX))
        .fetch_all(readers)
        .await?;
    let total: i64 =
        sqlx::query_scalar("SELECT count(*) FROM session WHERE owner = ?1 AND (?2 IS NULL OR project = ?2)")
            .bind(&owner.0)
            .bind(&project)
            .fetch_one(readers)
            .await?;
    listed(rows.into_iter().map(Row::into_session), total, page.limit)
}

/// A key's sessions, added up.
pub(super) async fn sums(readers: &SqlitePool, owner: &Owner) -> Result<SessionSums, StoreError> {
    let (sessions, agent_sessions, messages, total_tokens, cost_microusd): (i64, i64, i64, i64, i64) = query_as(
        "SELECT count(*), count(project), coalesce(sum(message_count), 0), coalesce(sum(total_tokens), 0),
                coalesce(sum(cost_microusd), 0)
         FROM session WHERE owner = ?1",
    )
    .bind(&owner.0)
    .fetch_one(readers)
    .await?;
    Ok(SessionSums {
        sessions: sessions.unsigned_abs(),
        agent_sessions: agent_sessions.unsigned_abs(),
        messages: messages.unsigned_abs(),
        total_tokens: total_tokens.unsigned_abs(),
        cost_microusd: cost_microusd.unsigned_abs(),
    })
}

/// Changes a session, and tells how it is then.
pub(super) async fn change(
    writer: &SqlitePool,
    id: SessionId,
    change: &SessionChange,
    now: Millis,
) -> Result<Option<Session>, StoreError> {
    let row: Option<Row> = query_as(
        "UPDATE session SET title = coalesce(?2, title), model = iif(?3, ?4, model), system = iif(?5, ?6, system),
             updated_at_ms = max(updated_at_ms, ?7)
         WHERE id = ?1
         RETURNING id, owner, project, title, model, system, message_count, total_tokens, cost_microusd,
                   created_at_ms, updated_at_ms",
    )
    .bind(id.to_string())
    .bind(&change.title)
    .bind(change.model.is_some())
    .bind(change.model.as_ref().and_then(Option::as_ref))
    .bind(change.system.is_some())
    .bind(change.system.as_ref().and_then(Option::as_ref))
    .bind(now)
    .fetch_optional(writer)
    .await?;
    row.map(Row::into_session).transpose()
}

/// Deletes a session, unless a job of it waits or runs. History and transcript go with it.
pub(super) async fn delete(store: &SqliteStore, id: SessionId) -> Result<Removed, StoreError> {
    let mut tx = store.begin().await?;
    let busy: Option<bool> = is_busy(&mut tx, id).await?;
    let removed = match busy {
        None => return Ok(Removed::Unknown),
        Some(true) => return Ok(Removed::Busy),
        Some(false) => Removed::Gone,
    };
    sqlx::query("DELETE FROM session WHERE id = ?1").bind(id.to_string()).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(removed)
}

/// Whether a job of the session waits or runs. `None`: there is no such session.
pub(super) async fn is_busy(conn: &mut SqliteConnection, id: SessionId) -> Result<Option<bool>, StoreError> {
    let busy = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM job WHERE session = s.id AND state = 'queued')
             OR EXISTS (SELECT 1 FROM job WHERE session = s.id AND state = 'running')
         FROM session AS s WHERE s.id = ?1",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    Ok(busy)
}

/// Deletes sessions that nobody has written to since `before`, a transaction each.
pub(super) async fn prune(store: &SqliteStore, before: Millis, limit: u32) -> Result<u64, StoreError> {
    let old: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM session AS s WHERE updated_at_ms < ?1
           AND NOT EXISTS (SELECT 1 FROM job WHERE session = s.id AND state = 'queued')
           AND NOT EXISTS (SELECT 1 FROM job WHERE session = s.id AND state = 'running')
         ORDER BY updated_at_ms LIMIT ?2",
    )
    .bind(before)
    .bind(limit)
    .fetch_all(&store.readers)
    .await?;
    let mut gone = 0;
    for id in &old {
        let done = sqlx::query(
            "DELETE FROM session WHERE id = ?1 AND updated_at_ms < ?2
               AND NOT EXISTS (SELECT 1 FROM job WHERE session = ?1 AND state = 'queued')
               AND NOT EXISTS (SELECT 1 FROM job WHERE session = ?1 AND state = 'running')",
        )
        .bind(id)
        .bind(before)
        .execute(&store.writer)
        .await?;
        gone += done.rows_affected();
    }
    Ok(gone)
}
