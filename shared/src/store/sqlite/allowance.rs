//! Whether a key may ask for a job more, decided in the transaction that would add it, so that all apis together let
//! nothing more through than the key may have.

use sqlx::SqliteConnection;

use crate::schema::allowance::settled;
use crate::schema::{Allowance, Bucket, Denied, JobSpec, NewJob, Owner, Usage};
use crate::store::{Millis, StoreError};

/// SQL: which of the budgets of the key `k` is spent at `$now`: `day`, `month` or NULL. Days and months are those of UTC.
macro_rules! spent_budget {
    ($now:literal) => {
        concat!(
            "CASE
                 WHEN k.daily_budget_microusd <= (SELECT coalesce(sum(cost_microusd), 0) FROM spent
                     WHERE spent.owner = k.owner AND day = ",
            $now,
            " / 86400000) THEN 'day'
                 WHEN k.monthly_budget_microusd <= (SELECT coalesce(sum(cost_microusd), 0) FROM spent
                     WHERE spent.owner = k.owner
                       AND day >= unixepoch(",
            $now,
            " / 1000, 'unixepoch', 'start of month') / 86400) THEN 'month'
             END"
        )
    };
}
pub(super) use spent_budget;

#[derive(sqlx::FromRow)]
struct Row {
    is_valid: bool,
    spent: Option<String>,
    queued: i64,
    queued_jobs: Option<u32>,
    requests_per_minute: Option<u32>,
    tokens_per_minute: Option<u32>,
    requests_left: Option<i64>,
    tokens_left: Option<i64>,
    refilled_ms: Millis,
}

impl Row {
    /// `None`: the owner has no key here, and no limits.
    async fn read(
        conn: &mut SqliteConnection,
        owner: &Owner,
        now: Millis,
    ) -> Result<Option<Self>, StoreError> {
        let row = sqlx::query_as(concat!(
            "SELECT revoked_at_ms IS NULL AND coalesce(expires_at_ms > ?2, 1) AS is_valid, ",
            spent_budget!("?2"),
            " AS spent, coalesce((SELECT queued FROM share WHERE share.owner = k.owner), 0) AS queued, queued_jobs,
             requests_per_minute, tokens_per_minute, requests_left, tokens_left, refilled_ms
             FROM api_key AS k WHERE owner = ?1"
        ))
        .bind(&owner.0)
        .bind(now)
        .fetch_optional(conn)
        .await?;
        Ok(row)
    }

    fn requests(&self, limit: u32, now: Millis) -> Bucket {
        Bucket::stored(self.requests_left, self.refilled_ms).refilled(limit, now)
    }

    fn tokens(&self, limit: u32, now: Millis) -> Bucket {
        Bucket::stored(self.tokens_left, self.refilled_ms).refilled(limit, now)
    }

    /// What the job takes of the allowance, if there is room for it.
    fn take(&self, spec: &JobSpec, now: Millis) -> Result<Taken, Denied> {
        if !self.is_valid {
            return Err(Denied::Key);
        }
        match self.spent.as_deref() {
            None => {}
            Some("day") => return Err(Denied::DailyBudget),
            Some(_) => return Err(Denied::MonthlyBudget),
        }
        if let Some(most) = self.queued_jobs.filter(|most| self.queued >= i64::from(*most)) {
            return Err(Denied::Queued(most));
        }
        let mut taken = Taken::default();
        if let Some(limit) = self.requests_per_minute {
            let mut bucket = self.requests(limit, now);
            bucket.take(limit, 1).map_err(|after_ms| Denied::Requests { limit, after_ms })?;
            taken.requests = Some(bucket);
        }
        if let Some(limit) = self.tokens_per_minute {
            let mut bucket = self.tokens(limit, now);
            let wanted = spec.estimated_tokens();
            let got = bucket.take(limit, wanted).map_err(|after_ms| Denied::Tokens { limit, after_ms })?;
            taken.tokens = Some(bucket);
            taken.reserved = got;
        }
        Ok(taken)
    }
}

/// What a job takes of its key's allowance.
#[derive(Default)]
pub(super) struct Taken {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    reserved: u64,
}

/// What a job of the owner's would take at `now`, or why it may not.
pub(super) async fn ask(
    conn: &mut SqliteConnection,
    owner: &Owner,
    spec: &JobSpec,
    now: Millis,
) -> Result<Result<Taken, Denied>, StoreError> {
    let row = Row::read(conn, owner, now).await?;
    Ok(row.map_or(Ok(Taken::default()), |row| row.take(spec, now)))
}

/// Takes it, for a job that was added.
pub(super) async fn charge(
    conn: &mut SqliteConnection,
    job: &NewJob,
    taken: &Taken,
) -> Result<(), StoreError> {
    let Some(at) = [taken.requests, taken.tokens].into_iter().flatten().map(Bucket::at_ms).max() else {
        return Ok(());
    };
    sqlx::query("UPDATE api_key SET requests_left = ?2, tokens_left = ?3, refilled_ms = ?4 WHERE owner = ?1")
        .bind(&job.owner.0)
        .bind(taken.requests.map(Bucket::parts))
        .bind(taken.tokens.map(Bucket::parts))
        .bind(at)
        .execute(&mut *conn)
        .await?;
    if taken.reserved > 0 {
        sqlx::query("UPDATE job SET reserved_tokens = ?2 WHERE id = ?1")
            .bind(job.id.to_string())
            .bind(i64::try_from(taken.reserved).unwrap_or(i64::MAX))
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Puts back what was set aside for a job that has ended, and takes what it has used.
pub(super) async fn settle(
    conn: &mut SqliteConnection,
    owner: &str,
    reserved: i64,
    usage: &Usage,
) -> Result<(), StoreError> {
    let used = usage.prompt_tokens().saturating_add(usage.output_tokens);
    let change = settled(reserved.unsigned_abs(), used);
    if change == 0 {
        return Ok(());
    }
    sqlx::query(
        "UPDATE api_key SET tokens_left = coalesce(tokens_left, tokens_per_minute * 60000) + ?2
         WHERE owner = ?1 AND tokens_per_minute IS NOT NULL",
    )
    .bind(owner)
    .bind(change)
    .execute(conn)
    .await?;
    Ok(())
}

/// What is left at `now`.
pub(super) async fn left(
    conn: &mut SqliteConnection,
    owner: &Owner,
    now: Millis,
) -> Result<Allowance, StoreError> {
    let Some(row) = Row::read(conn, owner, now).await? else { return Ok(Allowance::default()) };
    Ok(Allowance {
        requests: row.requests_per_minute.map(|limit| row.requests(limit, now).gauge(limit)),
        tokens: row.tokens_per_minute.map(|limit| row.tokens(limit, now).gauge(limit)),
    })
}
