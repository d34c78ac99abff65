//! The ledger: the table `call`.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqlitePool};

use super::error::corrupt;
use crate::schema::{
    Call, CallOutcome, Dimension, JobId, Owner, ProjectId, SessionId, Usage, UsageQuery, UsageRow, limits,
};
use crate::store::{Millis, StoreError};

/// Adds calls. Adding one again changes nothing: its writer could not know that it was stored.
pub(super) async fn insert(
    conn: &mut SqliteConnection,
    calls: impl Iterator<Item = &Call>,
) -> Result<(), StoreError> {
    let calls: Vec<&Call> = calls.collect();
    for some in calls.chunks(limits::CALLS_PER_INSERT) {
        let mut sql = QueryBuilder::new(
            "INSERT INTO call (job, attempt, number, owner, session, project, model, provider, provider_key,
                               upstream_model, started_at_ms, first_byte_ms, took_ms, outcome, input_tokens,
                               output_tokens, cache_read_tokens, cache_write_tokens, thinking_tokens,
                               web_searches, cost_microusd, unpriced_calls) ",
        );
        sql.push_values(some, |mut row, call| {
            row.push_bind(call.job.to_string())
                .push_bind(call.attempt)
                .push_bind(call.number)
                .push_bind(call.owner.0.as_str())
                .push_bind(call.session.map(|session| session.to_string()))
                .push_bind(call.project.map(|project| project.to_string()))
                .push_bind(call.model.as_str())
                .push_bind(call.provider.as_str())
                .push_bind(call.provider_key.as_str())
                .push_bind(call.upstream_model.as_str())
                .push_bind(call.started_at_ms)
                .push_bind(call.first_byte_ms)
                .push_bind(call.took_ms)
                .push_bind(call.outcome.code());
            // In the order of the columns.
            for figure in call.usage.figures() {
                row.push_bind(stored(figure));
            }
        });
        sql.push(" ON CONFLICT (job, attempt, number) DO NOTHING");
        sql.build().persistent(false).execute(&mut *conn).await?;
    }
    Ok(())
}

/// SQLite's integers have a sign, and sums of them must not overflow.
fn stored(figure: u64) -> i64 {
    i64::try_from(figure).unwrap_or(i64::MAX).min(limits::LEDGER_FIGURE)
}

#[derive(sqlx::FromRow)]
struct Figures {
    input_tokens: i64,
    output_tokens: i64,
    cache_read_tokens: i64,
    cache_write_tokens: i64,
    thinking_tokens: i64,
    web_searches: i64,
    cost_microusd: i64,
    unpriced_calls: i64,
}

impl From<Figures> for Usage {
    fn from(row: Figures) -> Self {
        Self {
            input_tokens: row.input_tokens.unsigned_abs(),
            output_tokens: row.output_tokens.unsigned_abs(),
            cache_read_tokens: row.cache_read_tokens.unsigned_abs(),
            cache_write_tokens: row.cache_write_tokens.unsigned_abs(),
            thinking_tokens: row.thinking_tokens.unsigned_abs(),
            web_searches: row.web_searches.unsigned_abs(),
            cost_microusd: row.cost_microusd.unsigned_abs(),
            unpriced_calls: row.unpriced_calls.unsigned_abs(),
        }
    }
}

/// The tokens that all calls of a job were billed, prompts and answers.
pub(super) async fn tokens(conn: &mut SqliteConnection, job: JobId) -> Result<u64, StoreError> {
    let sum: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(input_tokens + cache_read_tokens + cache_write_tokens + output_tokens), 0)
         FROM call WHERE job = ?1",
    )
    .bind(job.to_string())
    .fetch_one(conn)
    .await?;
    Ok(sum.unsigned_abs())
}

#[derive(sqlx::FromRow)]
struct Row {
    attempt: u32,
    number: u32,
    owner: String,
    session: Option<String>,
    project: Option<String>,
    model: String,
    provider: String,
    provider_key: String,
    upstream_model: String,
    started_at_ms: Millis,
    first_byte_ms: Option<u32>,
    took_ms: u32,
    outcome: String,
    #[sqlx(flatten)]
    figures: Figures,
}

/// The calls of a job, in order.
pub(super) async fn calls(readers: &SqlitePool, job: JobId) -> Result<Vec<Call>, StoreError> {
    let rows: Vec<Row> =
        sqlx::query_as("SELECT * FROM call WHERE job = ?1 ORDER BY attempt, number LIMIT ?2")
            .bind(job.to_string())
            .bind(limits::JOB_CALLS)
            .fetch_all(readers)
            .await?;
    rows.into_iter().map(|row| row.into_call(job)).collect()
}

impl Row {
    fn into_call(self, job: JobId) -> Result<Call, StoreError> {
        let name = || format!("call {job}/{}/{}", self.attempt, self.number);
        let outcome = CallOutcome::parse(&self.outcome);
        let session = self.session.as_deref().map(str::parse::<SessionId>).transpose();
        let project = self.project.as_deref().map(str::parse::<ProjectId>).transpose();
        Ok(Call {
            job,
            attempt: self.attempt,
            number: self.number,
            session: session.map_err(|error| corrupt(name(), error))?,
            project: project.map_err(|error| corrupt(name(), error))?,
            outcome: outcome.ok_or_else(|| corrupt(name(), format!("unknown outcome {}", self.outcome)))?,
            owner: Owner(self.owner),
            model: self.model,
            provider: self.provider,
            provider_key: self.provider_key,
            upstream_model: self.upstream_model,
            started_at_ms: self.started_at_ms,
            first_byte_ms: self.first_byte_ms,
            took_ms: self.took_ms,
            usage: self.figures.into(),
        })
    }
}

/// A sum over calls. A dimension that was not asked for is null.
#[derive(sqlx::FromRow)]
struct Sum {
    day: Option<String>,
    model: Option<String>,
    provider: Option<String>,
    upstream_model: Option<String>,
    job: Option<String>,
    session: Option<String>,
    project: Option<String>,
    key: Option<String>,
    provider_key: Option<String>,
    outcome: Option<String>,
    calls: i64,
    failed_calls: i64,
    #[sqlx(flatten)]
    figures: Figures,
}

impl Sum {
    fn take(&mut self, dimension: Dimension) -> Option<String> {
        let value = match dimension {
            Dimension::Day => &mut self.day,
            Dimension::Model => &mut self.model,
            Dimension::Provider => &mut self.provider,
            Dimension::UpstreamModel => &mut self.upstream_model,
            Dimension::Job => &mut self.job,
            Dimension::Session => &mut self.session,
            Dimension::Project => &mut self.project,
            Dimension::Key => &mut self.key,
            Dimension::ProviderKey => &mut self.provider_key,
            Dimension::Outcome => &mut self.outcome,
        };
        value.take()
    }

    fn into_row(mut self, query: &UsageQuery) -> UsageRow {
        let group = query.group_by.iter().map(|dimension| (*dimension, self.take(*dimension))).collect();
        UsageRow {
            group,
            calls: self.calls.unsigned_abs(),
            failed_calls: self.failed_calls.unsigned_abs(),
            usage: self.figures.into(),
        }
    }
}

/// A dimension's value of a call.
fn expression(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Day => "date(started_at_ms / 1000, 'unixepoch')",
        Dimension::Model => "model",
        Dimension::Provider => "provider",
        Dimension::UpstreamModel => "upstream_model",
        Dimension::Job => "job",
        Dimension::Session => "session",
        Dimension::Project => "project",
        Dimension::Key => "owner",
        Dimension::ProviderKey => "provider_key",
        Dimension::Outcome => "outcome",
    }
}

/// Adds calls up.
pub(super) async fn usage(readers: &SqlitePool, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
    let mut sql = QueryBuilder::new("SELECT ");
    for dimension in Dimension::ALL {
        let grouped = query.group_by.contains(&dimension);
        sql.push(if grouped { expression(dimension) } else { "NULL" });
        sql.push(" AS \"").push(dimension.name()).push("\", ");
    }
    sql.push(
        "count(*) AS calls, coalesce(sum(outcome <> 'answered'), 0) AS failed_calls,
         coalesce(sum(input_tokens), 0) AS input_tokens, coalesce(sum(output_tokens), 0) AS output_tokens,
         coalesce(sum(cache_read_tokens), 0) AS cache_read_tokens,
         coalesce(sum(cache_write_tokens), 0) AS cache_write_tokens,
         coalesce(sum(thinking_tokens), 0) AS thinking_tokens, coalesce(sum(web_searches), 0) AS web_searches,
         coalesce(sum(cost_microusd), 0) AS cost_microusd, coalesce(sum(unpriced_calls), 0) AS unpriced_calls
         FROM call WHERE started_at_ms >= ",
    );
    sql.push_bind(query.since_ms).push(" AND started_at_ms < ").push_bind(query.until_ms);
    narrow(&mut sql, query);
    for (place, dimension) in query.group_by.iter().enumerate() {
        sql.push(if place == 0 { " GROUP BY " } else { ", " }).push(expression(*dimension));
    }
    for (place, dimension) in query.group_by.iter().enumerate() {
        sql.push(if place == 0 { " ORDER BY " } else { ", " }).push(expression(*dimension));
    }
    sql.push(" LIMIT ").push_bind(i64::from(query.limit) + 1);
    let sums: Vec<Sum> = sql.build_query_as().persistent(false).fetch_all(readers).await?;
    Ok(sums.into_iter().map(|sum| sum.into_row(query)).collect())
}

fn narrow(sql: &mut QueryBuilder<Sqlite>, query: &UsageQuery) {
    if let Some(owner) = &query.owner {
        sql.push(" AND owner = ").push_bind(owner.0.clone());
    }
    for (dimension, value) in &query.only {
        sql.push(" AND ").push(expression(*dimension)).push(" = ").push_bind(value.clone());
    }
}

/// Forgets the oldest.
pub(super) async fn prune(writer: &SqlitePool, before: Millis, limit: u32) -> Result<u64, StoreError> {
    let gone = sqlx::query(
        "DELETE FROM call WHERE (job, attempt, number) IN
             (SELECT job, attempt, number FROM call WHERE started_at_ms < ?1 ORDER BY started_at_ms LIMIT ?2)",
    )
    .bind(before)
    .bind(limit)
    .execute(writer)
    .await?;
    Ok(gone.rows_affected())
}
