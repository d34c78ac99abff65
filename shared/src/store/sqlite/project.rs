//! The table `project`.

use std::str::FromStr;

use sqlx::{SqlitePool, query_as};

use super::SqliteStore;
use super::error::{corrupt, not_json};
use crate::schema::{HostRule, Listed, Owner, Page, Project, ProjectChange, ProjectId, WorkerId};
use crate::store::{Millis, Removed, StoreError};

/// Adds a project. Whether it is new.
pub(super) async fn create(writer: &SqlitePool, project: &Project) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "INSERT INTO project (id, owner, name, description, network, created_at_ms, updated_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING",
    )
    .bind(project.id.to_string())
    .bind(&project.owner.0)
    .bind(&project.name)
    .bind(&project.description)
    .bind(rules(project.id, &project.network)?)
    .bind(project.created_at_ms)
    .bind(project.updated_at_ms)
    .execute(writer)
    .await?;
    Ok(done.rows_affected() > 0)
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    owner: String,
    name: String,
    description: String,
    network: String,
    created_at_ms: Millis,
    updated_at_ms: Millis,
}

impl Row {
    fn into_project(self) -> Result<Project, StoreError> {
        Ok(Project {
            id: self.id.parse().map_err(|error| corrupt(&self.id, error))?,
            network: serde_json::from_str(&self.network).map_err(|error| not_json(&self.id, &error))?,
            owner: Owner(self.owner),
            name: self.name,
            description: self.description,
            created_at_ms: self.created_at_ms,
            updated_at_ms: self.updated_at_ms,
        })
    }
}

/// A project as its row tells it.
pub(super) async fn read(readers: &SqlitePool, id: ProjectId) -> Result<Option<Project>, StoreError> {
    let row: Option<Row> = query_as(
        "SELECT id, owner, name, description, network, created_at_ms, updated_at_ms FROM project
         WHERE id = ?1 AND deleted_at_ms IS NULL",
    )
    .bind(id.to_string())
    .fetch_optional(readers)
    .await?;
    row.map(Row::into_project).transpose()
}

/// A key's projects.
pub(super) async fn list(
    readers: &SqlitePool,
    owner: &Owner,
    page: &Page<ProjectId>,
) -> Result<Listed<Project>, StoreError> {
    let sql = if page.newest_first {
        "SELECT id, owner, name, description, network, created_at_ms, updated_at_ms FROM project
         WHERE owner = ?1 AND deleted_at_ms IS NULL AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3 OFFSET ?4"
    } else {
        "SELECT id, owner, name, description, network, created_at_ms, updated_at_ms FROM project
         WHERE owner = ?1 AND deleted_at_ms IS NULL AND (?2 IS NULL OR id > ?2) ORDER BY id LIMIT ?3 OFFSET ?4"
    };
    let rows: Vec<Row> = query_as(sql)
        .bind(&owner.0)
        .bind(page.after.map(|id| id.to_string()))
        .bind(page.limit.saturating_add(1))
        .bind(i64::try_from(page.skip).unwrap_or(i64::MAX))
        .fetch_all(readers)
        .await?;
    let total: i64 =
        sqlx::query_scalar("SELECT count(*) FROM project WHERE owner = ?1 AND deleted_at_ms IS NULL")
            .bind(&owner.0)
            .fetch_one(readers)
            .await?;
    listed(rows.into_iter().map(Row::into_project), total, page.limit)
}

/// So many of the items; one more was asked for, to know whether more follow.
pub(super) fn listed<T>(
    items: impl Iterator<Item = Result<T, StoreError>>,
    total: i64,
    limit: u32,
) -> Result<Listed<T>, StoreError> {
    let mut items: Vec<T> = items.collect::<Result<_, _>>()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = items.len() > limit;
    items.truncate(limit);
    Ok(Listed { items, total: total.unsigned_abs(), has_more })
}

/// Changes a project, and tells how it is then.
pub(super) async fn change(
    writer: &SqlitePool,
    id: ProjectId,
    change: &ProjectChange,
    now: Millis,
) -> Result<Option<Project>, StoreError> {
    let network = change.network.as_deref().map(|network| rules(id, network)).transpose()?;
    let row: Option<Row> = query_as(
        "UPDATE project SET name = coalesce(?2, name), description = coalesce(?3, description),
             network = coalesce(?4, network), updated_at_ms = ?5
         WHERE id = ?1 AND deleted_at_ms IS NULL
         RETURNING id, owner, name, description, network, created_at_ms, updated_at_ms",
    )
    .bind(id.to_string())
    .bind(&change.name)
    .bind(&change.description)
    .bind(network)
    .bind(now)
    .fetch_optional(writer)
    .await?;
    row.map(Row::into_project).transpose()
}

fn rules(id: ProjectId, network: &[HostRule]) -> Result<String, StoreError> {
    serde_json::to_string(network).map_err(|error| corrupt(id, error))
}

/// Marks the project as deleted, unless a job of it waits or runs. Its sessions go at once, with what was said in
/// them; jobs that have ended belong to no project any more.
pub(super) async fn delete(store: &SqliteStore, id: ProjectId, now: Millis) -> Result<Removed, StoreError> {
    let mut tx = store.begin().await?;
    let busy: Option<bool> = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM job WHERE project = p.id AND state = 'queued')
             OR EXISTS (SELECT 1 FROM job WHERE project = p.id AND state = 'running')
         FROM project AS p WHERE id = ?1 AND deleted_at_ms IS NULL",
    )
    .bind(id.to_string())
    .fetch_optional(&mut *tx)
    .await?;
    match busy {
        None => return Ok(Removed::Unknown),
        Some(true) => return Ok(Removed::Busy),
        Some(false) => {}
    }
    for sql in [
        "UPDATE job SET project = NULL, session = NULL WHERE project = ?1",
        "DELETE FROM session WHERE project = ?1",
    ] {
        sqlx::query(sql).bind(id.to_string()).execute(&mut *tx).await?;
    }
    sqlx::query("UPDATE project SET deleted_at_ms = ?2 WHERE id = ?1")
        .bind(id.to_string())
        .bind(now)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Removed::Gone)
}

/// Deleted projects that nobody holds any more, the oldest first.
pub(super) async fn abandoned(readers: &SqlitePool, limit: u32) -> Result<Vec<ProjectId>, StoreError> {
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM project WHERE deleted_at_ms IS NOT NULL AND holder IS NULL
         ORDER BY deleted_at_ms LIMIT ?1",
    )
    .bind(limit)
    .fetch_all(readers)
    .await?;
    parse(&ids)
}

/// Deleted projects that the worker still holds.
pub(super) async fn unwanted(readers: &SqlitePool, worker: &WorkerId) -> Result<Vec<ProjectId>, StoreError> {
    let ids: Vec<String> =
        sqlx::query_scalar("SELECT id FROM project WHERE holder = ?1 AND deleted_at_ms IS NOT NULL")
            .bind(&worker.0)
            .fetch_all(readers)
            .await?;
    parse(&ids)
}

fn parse(ids: &[String]) -> Result<Vec<ProjectId>, StoreError> {
    ids.iter().map(|id| ProjectId::from_str(id).map_err(|error| corrupt(id, error))).collect()
}

/// Removes the row of a deleted project that nobody holds.
pub(super) async fn forget(writer: &SqlitePool, id: ProjectId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM project WHERE id = ?1 AND deleted_at_ms IS NOT NULL AND holder IS NULL")
        .bind(id.to_string())
        .execute(writer)
        .await?;
    Ok(())
}
