//! Rows of `job` as their owners see them.

use std::fmt::Display;
use std::str::FromStr;

use async_trait::async_trait;
use serde::Serialize;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, Encode, Sqlite, SqlitePool, Type};

use super::error::corrupt;
use super::job::{from_json, parse_id, parse_priority, parse_state};
use super::project::listed;
use super::{SqliteStore, request};
use crate::schema::{
    Delivery, Job, JobId, JobQuery, JobState, Listed, Owner, Page, RequestKey, Terms, WorkerId, limits,
};
use crate::store::{Millis, OwnJobs, Recalled, Removed, StoreError, queue};

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    owner: String,
    state: String,
    model: String,
    attempts: u32,
    max_attempts: u32,
    worker: Option<String>,
    created_at_ms: Millis,
    deadline_at_ms: Millis,
    started_at_ms: Option<Millis>,
    finished_at_ms: Option<Millis>,
    failure: Option<String>,
    usage: Option<String>,
    changes: Option<String>,
    session: Option<String>,
    project: Option<String>,
    delivery: String,
    priority: i64,
    run_at_ms: Option<Millis>,
    tags: String,
    retry_of: Option<String>,
}

/// SQL: a job's row, without its spec.
macro_rules! row {
    () => {
        "SELECT id, owner, state, model, attempts, max_attempts, worker, created_at_ms, deadline_at_ms, started_at_ms,
                finished_at_ms, failure, usage, changes, session, project, delivery, priority, run_at_ms, tags, retry_of
         FROM job"
    };
}

/// SQL: what is asked of an owner's jobs. Whatever that is, they are walked in their order, of which no more are there than
/// retention has left.
macro_rules! asked {
    () => {
        " INDEXED BY job_owner WHERE owner = ?1
            AND (?2 IS NULL OR state IN (SELECT value FROM json_each(?2)))
            AND (?3 IS NULL OR model = ?3)
            AND (?4 IS NULL OR session = ?4)
            AND (?5 IS NULL OR project = ?5)
            AND (?6 IS NULL OR created_at_ms >= ?6)
            AND (?7 IS NULL OR created_at_ms < ?7)
            AND (?8 IS NULL OR (delivery = 'background') = ?8)
            AND (?9 IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(?9) AS wanted
                WHERE wanted.value NOT IN (SELECT value FROM json_each(job.tags))))"
    };
}

/// A job as its row tells it.
pub(super) async fn read(readers: &SqlitePool, id: JobId) -> Result<Option<Job>, StoreError> {
    let row: Option<Row> = sqlx::query_as(concat!(row!(), " WHERE id = ?1"))
        .bind(id.to_string())
        .fetch_optional(readers)
        .await?;
    row.map(Row::into_job).transpose()
}

impl Row {
    fn into_job(self) -> Result<Job, StoreError> {
        let id = parse_id(&self.id)?;
        let delivery = Delivery::parse(&self.delivery);
        Ok(Job {
            id,
            owner: Owner(self.owner),
            state: parse_state(id, &self.state)?,
            model: self.model,
            attempts: self.attempts,
            max_attempts: self.max_attempts,
            worker: self.worker.map(WorkerId),
            created_at_ms: self.created_at_ms,
            deadline_at_ms: self.deadline_at_ms,
            started_at_ms: self.started_at_ms,
            finished_at_ms: self.finished_at_ms,
            failure: self.failure.map(|json| from_json(id, &json)).transpose()?,
            usage: self.usage.map(|json| from_json(id, &json)).transpose()?,
            changes: self.changes.map(|json| from_json(id, &json)).transpose()?,
            session: parse_reference(id, self.session.as_deref())?,
            project: parse_reference(id, self.project.as_deref())?,
            terms: Terms {
                delivery: delivery
                    .ok_or_else(|| corrupt(id, format!("unknown delivery {}", self.delivery)))?,
                priority: parse_priority(id, self.priority)?,
                run_at_ms: self.run_at_ms,
                tags: from_json(id, &self.tags)?,
                retry_of: parse_reference(id, self.retry_of.as_deref())?,
            },
        })
    }
}

fn parse_reference<T>(id: JobId, text: Option<&str>) -> Result<Option<T>, StoreError>
where
    T: FromStr<Err: Display>,
{
    text.map(|text| text.parse().map_err(|error| corrupt(id, error))).transpose()
}

#[async_trait]
impl OwnJobs for SqliteStore {
    async fn list(
        &self,
        owner: &Owner,
        query: &JobQuery,
        page: &Page<JobId>,
    ) -> Result<Listed<Job>, StoreError> {
        // A literal for each order: only so does SQLite walk the index, in either direction.
        let sql = if page.newest_first {
            concat!(row!(), asked!(), " AND (?10 IS NULL OR id < ?10) ORDER BY id DESC LIMIT ?11 OFFSET ?12")
        } else {
            concat!(row!(), asked!(), " AND (?10 IS NULL OR id > ?10) ORDER BY id LIMIT ?11 OFFSET ?12")
        };
        let mut asked = asked(owner, query)?;
        bind(&mut asked, page.after.map(|id| id.to_string()))?;
        bind(&mut asked, page.limit.saturating_add(1))?;
        bind(&mut asked, i64::try_from(page.skip).unwrap_or(i64::MAX))?;
        let rows: Vec<Row> = sqlx::query_as_with(sql, asked).fetch_all(&self.readers).await?;
        let count = concat!("SELECT count(*) FROM (SELECT 1 FROM job", asked!(), " LIMIT ?10)");
        let mut asked = self::asked(owner, query)?;
        bind(&mut asked, limits::JOBS_COUNTED)?;
        let total: i64 = sqlx::query_scalar_with(count, asked).fetch_one(&self.readers).await?;
        listed(rows.into_iter().map(Row::into_job), total, page.limit)
    }

    async fn delete(&self, owner: &Owner, id: JobId) -> Result<Removed, StoreError> {
        let mut tx = self.begin().await?;
        let row: Option<(String, String)> =
            sqlx::query_as("SELECT state, task FROM job WHERE id = ?1 AND owner = ?2")
                .bind(id.to_string())
                .bind(&owner.0)
                .fetch_optional(&mut *tx)
                .await?;
        let Some((state, task)) = row else { return Ok(Removed::Unknown) };
        if !parse_state(id, &state)?.is_terminal() {
            return Ok(Removed::Busy);
        }
        // Chunks, spec and answer go with the row.
        sqlx::query("DELETE FROM job WHERE id = ?1").bind(id.to_string()).execute(&mut *tx).await?;
        queue::forget(&mut tx, id, &task).await?;
        tx.commit().await?;
        Ok(Removed::Gone)
    }

    async fn recall(&self, owner: &Owner, key: &RequestKey) -> Result<Option<Recalled>, StoreError> {
        request::recall(self, owner, key).await
    }

    async fn leave(&self, id: JobId, times: u32, now: Millis) -> Result<bool, StoreError> {
        request::leave(self, id, times, now).await
    }
}

/// The values of `asked!`.
fn asked(owner: &Owner, query: &JobQuery) -> Result<SqliteArguments, StoreError> {
    let mut values = SqliteArguments::default();
    let states: Vec<&str> = query.states.iter().copied().map(JobState::as_str).collect();
    bind(&mut values, owner.0.clone())?;
    bind(&mut values, list(&states)?)?;
    bind(&mut values, query.model.clone())?;
    bind(&mut values, query.session.map(|session| session.to_string()))?;
    bind(&mut values, query.project.map(|project| project.to_string()))?;
    bind(&mut values, query.since_ms)?;
    bind(&mut values, query.until_ms)?;
    bind(&mut values, query.background)?;
    bind(&mut values, list(&query.tags)?)?;
    Ok(values)
}

/// A list as JSON; `None` for an empty one.
fn list(items: &[impl Serialize]) -> Result<Option<String>, StoreError> {
    if items.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(items).map(Some).map_err(|error| corrupt("a query", error))
}

fn bind<T>(values: &mut SqliteArguments, value: T) -> Result<(), StoreError>
where
    T: for<'q> Encode<'q, Sqlite> + Type<Sqlite>,
{
    values.add(value).map_err(|error| corrupt("a query", error))
}
