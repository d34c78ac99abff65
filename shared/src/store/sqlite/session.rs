//! The tables `project` and `session`.

use sqlx::{SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::error::{corrupt, not_json};
use crate::schema::{NewJob, Owner, Project, ProjectId, Session, SessionId, limits};
use crate::store::{Enqueued, Millis, StoreError};

/// Whether the job may be added, as far as its session and project go.
pub(super) async fn admit(conn: &mut SqliteConnection, job: &NewJob) -> Result<Enqueued, StoreError> {
    let Some(agent) = &job.spec.agent else { return Ok(Enqueued::Added) };
    let known: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM session AS s JOIN project AS p ON p.id = s.project
             WHERE s.id = ?1 AND p.id = ?2 AND s.owner = ?3 AND p.owner = ?3)",
    )
    .bind(agent.session.to_string())
    .bind(agent.project.to_string())
    .bind(&job.owner.0)
    .fetch_one(&mut *conn)
    .await?;
    if !known {
        return Ok(Enqueued::NoSuchSession);
    }
    let waiting: u32 = sqlx::query_scalar("SELECT count(*) FROM job WHERE project = ?1 AND state = 'queued'")
        .bind(agent.project.to_string())
        .fetch_one(conn)
        .await?;
    Ok(if waiting < limits::PROJECT_QUEUED { Enqueued::Added } else { Enqueued::ProjectFull })
}

/// Adds a project. Whether it is new.
pub(super) async fn create_project(writer: &SqlitePool, project: &Project) -> Result<bool, StoreError> {
    let network = serde_json::to_string(&project.network).map_err(|error| corrupt(project.id, error))?;
    let done = sqlx::query(
        "INSERT INTO project (id, owner, name, network, created_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(project.id.to_string())
    .bind(&project.owner.0)
    .bind(&project.name)
    .bind(network)
    .bind(project.created_at_ms)
    .execute(writer)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A project as its row tells it.
pub(super) async fn project(readers: &SqlitePool, id: ProjectId) -> Result<Option<Project>, StoreError> {
    let row: Option<(String, String, String, Millis)> =
        sqlx::query_as("SELECT owner, name, network, created_at_ms FROM project WHERE id = ?1")
            .bind(id.to_string())
            .fetch_optional(readers)
            .await?;
    let Some((owner, name, network, created_at_ms)) = row else { return Ok(None) };
    let network = serde_json::from_str(&network).map_err(|error| not_json(id, &error))?;
    Ok(Some(Project { id, owner: Owner(owner), name, network, created_at_ms }))
}

/// Adds a session. Whether it is new.
pub(super) async fn create_session(writer: &SqlitePool, session: &Session) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "INSERT INTO session (id, owner, project, created_at_ms, updated_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(session.id.to_string())
    .bind(&session.owner.0)
    .bind(session.project.to_string())
    .bind(session.created_at_ms)
    .bind(session.updated_at_ms)
    .execute(writer)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A session as its row tells it.
pub(super) async fn session(readers: &SqlitePool, id: SessionId) -> Result<Option<Session>, StoreError> {
    let row: Option<(String, String, Millis, Millis)> =
        sqlx::query_as("SELECT owner, project, created_at_ms, updated_at_ms FROM session WHERE id = ?1")
            .bind(id.to_string())
            .fetch_optional(readers)
            .await?;
    let Some((owner, project, created_at_ms, updated_at_ms)) = row else { return Ok(None) };
    let project = project.parse().map_err(|error| corrupt(id, error))?;
    Ok(Some(Session { id, owner: Owner(owner), project, created_at_ms, updated_at_ms }))
}

/// Deletes sessions that have no jobs left and were not written to since `before`, a transaction each.
/// Transcripts go with them.
pub(super) async fn prune(store: &SqliteStore, before: Millis, limit: u32) -> Result<(), StoreError> {
    let old: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM session WHERE updated_at_ms < ?1
           AND NOT EXISTS (SELECT 1 FROM job WHERE job.session = session.id) ORDER BY updated_at_ms LIMIT ?2",
    )
    .bind(before)
    .bind(limit)
    .fetch_all(&store.readers)
    .await?;
    for id in &old {
        sqlx::query(
            "DELETE FROM session WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM job WHERE job.session = ?1)",
        )
        .bind(id)
        .execute(&store.writer)
        .await?;
    }
    Ok(())
}
