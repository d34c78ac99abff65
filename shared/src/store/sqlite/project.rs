//! The table `project`.

use sqlx::{SqlitePool, query_as};

use super::error::{corrupt, not_json};
use crate::schema::{HostRule, Listed, Owner, Page, Project, ProjectChange, ProjectId};
use crate::store::{Millis, StoreError};

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
        "SELECT id, owner, name, description, network, created_at_ms, updated_at_ms FROM project WHERE id = ?1",
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
         WHERE owner = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3 OFFSET ?4"
    } else {
        "SELECT id, owner, name, description, network, created_at_ms, updated_at_ms FROM project
         WHERE owner = ?1 AND (?2 IS NULL OR id > ?2) ORDER BY id LIMIT ?3 OFFSET ?4"
    };
    let rows: Vec<Row> = query_as(sql)
        .bind(&owner.0)
        .bind(page.after.map(|id| id.to_string()))
        .bind(page.limit.saturating_add(1))
        .bind(i64::try_from(page.skip).unwrap_or(i64::MAX))
        .fetch_all(readers)
        .await?;
    let total: i64 = sqlx::query_scalar("SELECT count(*) FROM project WHERE owner = ?1")
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
         WHERE id = ?1 RETURNING id, owner, name, description, network, created_at_ms, updated_at_ms",
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
