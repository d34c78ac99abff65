//! Whether a key may ask for a job more, decided in the transaction that would add it, so that all apis together let
//! nothing more through than the key may have.

use sqlx::SqliteConnection;

use super::ledger;
use crate::schema::{Allowance, Bucket, Denied, JobId, JobSpec, NewJob, Owner, limits};
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
    #[sqlx(flatten)]
    minute: Buckets,
}

/// The buckets of a key.
#[derive(sqlx::FromRow)]
struct Buckets {
    requests_per_minute: Option<u32>,
    tokens_per_minute: Option<u32>,
    requests_left: Option<i64>,
    tokens_left: Option<i64>,
    refilled_ms: Millis,
}

impl Buckets {
    /// That of requests at `now`, with its limit, if there is one.
    fn requests(&self, now: Millis) -> Option<(u32, Bucket)> {
        let limit = self.requests_per_minute?;
        Some((limit, Bucket::stored(self.requests_left, self.refilled_ms).refilled(limit, now)))
    }

    /// The same of tokens.
    fn tokens(&self, now: Millis) -> Option<(u32, Bucket)> {
        let limit = self.tokens_per_minute?;
        Some((limit, Bucket::stored(self.tokens_left, self.refilled_ms).refilled(limit, now)))
    }
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
        if let Some((limit, mut bucket)) = self.minute.requests(now) {
            bucket.take(limit, 1).map_err(|after_ms| Denied::Requests { limit, after_ms })?;
            taken.requests = Some(bucket);
        }
        if let Some((limit, mut bucket)) = self.minute.tokens(now) {
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
    write(conn, &job.owner.0, taken.requests, taken.tokens).await?;
    if taken.reserved > 0 { charged(conn, job.id, taken.reserved).await } else { Ok(()) }
}

/// Writes both buckets down: they are as of the same moment.
async fn write(
    conn: &mut SqliteConnection,
    owner: &str,
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
) -> Result<(), StoreError> {
    let Some(at) = [requests, tokens].into_iter().flatten().map(Bucket::at_ms).max() else { return Ok(()) };
    sqlx::query("UPDATE api_key SET requests_left = ?2, tokens_left = ?3, refilled_ms = ?4 WHERE owner = ?1")
        .bind(owner)
        .bind(requests.map(Bucket::parts))
        .bind(tokens.map(Bucket::parts))
        .bind(at)
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes how many of its key's tokens the job has been charged.
async fn charged(conn: &mut SqliteConnection, job: JobId, tokens: u64) -> Result<(), StoreError> {
    sqlx::query("UPDATE job SET reserved_tokens = ?2 WHERE id = ?1")
        .bind(job.to_string())
        .bind(i64::try_from(tokens).unwrap_or(i64::MAX).min(limits::KEY_LIMIT.into()))
        .execute(conn)
        .await?;
    Ok(())
}

/// Puts back what was set aside for a job that has ended, and takes what it has used: what the ledger says of all its
/// attempts, those of lost workers included. Doing it again takes no more than what has come to the ledger meanwhile.
pub(super) async fn settle(
    conn: &mut SqliteConnection,
    job: JobId,
    owner: &str,
    reserved: i64,
    now: Millis,
) -> Result<(), StoreError> {
    let minute: Option<Buckets> = sqlx::query_as(
        "SELECT requests_per_minute, tokens_per_minute, requests_left, tokens_left, refilled_ms
         FROM api_key WHERE owner = ?1 AND tokens_per_minute IS NOT NULL",
    )
    .bind(owner)
    .fetch_optional(&mut *conn)
    .await?;
    let Some((minute, (limit, mut tokens))) =
        minute.and_then(|minute| minute.tokens(now).map(|it| (minute, it)))
    else {
        return Ok(());
    };
    let used = ledger::tokens(conn, job).await?;
    let reserved = reserved.unsigned_abs();
    if used == reserved {
        return Ok(());
    }
    tokens.settle(limit, reserved, used);
    write(conn, owner, minute.requests(now).map(|(_, bucket)| bucket), Some(tokens)).await?;
    charged(conn, job, used).await
}

/// Settles again a job for which calls have come to the ledger, if it has ended without them.
pub(super) async fn settle_late(
    conn: &mut SqliteConnection,
    job: JobId,
    now: Millis,
) -> Result<(), StoreError> {
    let ended: Option<(String, i64)> = sqlx::query_as(
        "SELECT owner, reserved_tokens FROM job WHERE id = ?1 AND state NOT IN ('queued', 'running')",
    )
    .bind(job.to_string())
    .fetch_optional(&mut *conn)
    .await?;
    match ended {
        Some((owner, reserved)) => settle(conn, job, &owner, reserved, now).await,
        None => Ok(()),
    }
}

/// What is left at `now`.
pub(super) async fn left(
    conn: &mut SqliteConnection,
    owner: &Owner,
    now: Millis,
) -> Result<Allowance, StoreError> {
    let Some(row) = Row::read(conn, owner, now).await? else { return Ok(Allowance::default()) };
    Ok(Allowance {
        requests: row.minute.requests(now).map(|(limit, bucket)| bucket.gauge(limit)),
        tokens: row.minute.tokens(now).map(|(limit, bucket)| bucket.gauge(limit)),
    })
}
