//! The table `kept`, and what follows from it for the rows of `job`.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::error::{corrupt, not_json};
use super::{SqliteStore, job};
use crate::schema::{JobId, JobSpec, Keep, KeptAnswer, KeptQuery, Metadata, NewJob, Owner};
use crate::store::kept::KeptAnswers;
use crate::store::{Millis, StoreError, queue};

/// Notes how the job's answer is told, and whether it is stored.
pub(super) async fn insert(conn: &mut SqliteConnection, new: &NewJob, keep: &Keep) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO kept (job, owner, dialect, form, metadata, created_at_ms, stored)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .bind(new.id.to_string())
    .bind(&new.owner.0)
    .bind(&keep.dialect)
    .bind(&keep.form)
    .bind(labels(new.id, &keep.metadata)?)
    .bind(new.created_at_ms)
    .bind(keep.stored)
    .execute(conn)
    .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    job: String,
    dialect: String,
    form: String,
    stored: bool,
    metadata: String,
}

impl Row {
    fn into_answer(self) -> Result<KeptAnswer, StoreError> {
        let job = job::parse_id(&self.job)?;
        let metadata = serde_json::from_str(&self.metadata).map_err(|error| not_json(job, &error))?;
        Ok(KeptAnswer {
            job,
            keep: Keep { dialect: self.dialect, form: self.form, stored: self.stored, metadata },
        })
    }
}

#[async_trait]
impl KeptAnswers for SqliteStore {
    async fn find(&self, owner: &Owner, dialect: &str, job: JobId) -> Result<Option<KeptAnswer>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT kept.job, dialect, form, stored, metadata FROM kept JOIN job ON job.id = kept.job
             WHERE kept.job = ?1 AND kept.owner = ?2 AND dialect = ?3 AND stored = 1 AND job.state = 'completed'",
        )
        .bind(job.to_string())
        .bind(&owner.0)
        .bind(dialect)
        .fetch_optional(&self.readers)
        .await?;
        row.map(Row::into_answer).transpose()
    }

    async fn list(&self, query: &KeptQuery) -> Result<Vec<KeptAnswer>, StoreError> {
        // A literal for each order: only so does SQLite walk the index, in either direction.
        let statement = if query.latest_first {
            "SELECT kept.job, dialect, form, stored, metadata FROM kept CROSS JOIN job ON job.id = kept.job
             WHERE kept.owner = ?1 AND dialect = ?2 AND stored = 1 AND (?3 IS NULL OR kept.job < ?3)
               AND job.state = 'completed' AND (?4 IS NULL OR job.model = ?4)
               AND NOT EXISTS (SELECT 1 FROM json_each(?5) AS wanted WHERE NOT EXISTS (
                   SELECT 1 FROM json_each(kept.metadata) AS has WHERE has.key = wanted.key AND has.value = wanted.value))
             ORDER BY kept.job DESC LIMIT ?6"
        } else {
            "SELECT kept.job, dialect, form, stored, metadata FROM kept CROSS JOIN job ON job.id = kept.job
             WHERE kept.owner = ?1 AND dialect = ?2 AND stored = 1 AND (?3 IS NULL OR kept.job > ?3)
               AND job.state = 'completed' AND (?4 IS NULL OR job.model = ?4)
               AND NOT EXISTS (SELECT 1 FROM json_each(?5) AS wanted WHERE NOT EXISTS (
                   SELECT 1 FROM json_each(kept.metadata) AS has WHERE has.key = wanted.key AND has.value = wanted.value))
             ORDER BY kept.job LIMIT ?6"
        };
        let rows: Vec<Row> = sqlx::query_as(statement)
            .bind(&query.owner.0)
            .bind(&query.dialect)
            .bind(query.after.map(|job| job.to_string()))
            .bind(&query.model)
            .bind(labels("a query", &query.metadata)?)
            .bind(i64::from(query.limit) + 1)
            .fetch_all(&self.readers)
            .await?;
        rows.into_iter().map(Row::into_answer).collect()
    }

    async fn form(&self, job: JobId) -> Result<Option<Keep>, StoreError> {
        let row: Option<Row> =
            sqlx::query_as("SELECT job, dialect, form, stored, metadata FROM kept WHERE job = ?1")
                .bind(job.to_string())
                .fetch_optional(&self.readers)
                .await?;
        Ok(row.map(Row::into_answer).transpose()?.map(|answer| answer.keep))
    }

    async fn spec(&self, job: JobId) -> Result<Option<JobSpec>, StoreError> {
        let body: Option<String> = sqlx::query_scalar("SELECT body FROM spec WHERE job = ?1")
            .bind(job.to_string())
            .fetch_optional(&self.readers)
            .await?;
        body.map(|body| serde_json::from_str(&body).map_err(|error| not_json(job, &error))).transpose()
    }

    async fn label(
        &self,
        owner: &Owner,
        dialect: &str,
        job: JobId,
        metadata: &Metadata,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE kept SET metadata = ?4 WHERE job = ?1 AND owner = ?2 AND dialect = ?3 AND stored = 1
               AND EXISTS (SELECT 1 FROM job WHERE job.id = kept.job AND job.state = 'completed')",
        )
        .bind(job.to_string())
        .bind(&owner.0)
        .bind(dialect)
        .bind(labels(job, metadata)?)
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn forget(&self, owner: &Owner, dialect: &str, job: JobId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let task: Option<String> = sqlx::query_scalar(
            "DELETE FROM job WHERE id = ?1 AND state = 'completed'
               AND EXISTS (SELECT 1 FROM kept WHERE kept.job = job.id AND kept.owner = ?2 AND dialect = ?3 AND stored = 1)
             RETURNING task",
        )
        .bind(job.to_string())
        .bind(&owner.0)
        .bind(dialect)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(task) = task else { return Ok(false) };
        queue::forget(&mut tx, job, &task).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn expire(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let old: Vec<String> = sqlx::query_scalar(
            "UPDATE kept SET stored = 0 WHERE job IN
               (SELECT job FROM kept WHERE stored = 1 AND created_at_ms < ?1 ORDER BY created_at_ms LIMIT ?2)
             RETURNING job",
        )
        .bind(before)
        .bind(limit)
        .fetch_all(&mut *tx)
        .await?;
        for job in &old {
            sqlx::query("UPDATE job SET kept = 0 WHERE id = ?1").bind(job).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(u64::try_from(old.len()).unwrap_or(u64::MAX))
    }
}

fn labels(row: impl std::fmt::Display, metadata: &Metadata) -> Result<String, StoreError> {
    serde_json::to_string(metadata).map_err(|error| corrupt(row, error))
}
