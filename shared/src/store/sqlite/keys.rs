//! The table `api_key`. What a key may use, and has used, is in `allowance` and `share`.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::error::{corrupt, not_json};
use super::{SqliteStore, allowance, share};
use crate::schema::{Allowance, ApiKey, Denied, JobSpec, KeyChange, KeyDigest, KeyLimits, Owner};
use crate::store::keys::{ApiKeys, KeyAdded, KnownKey};
use crate::store::{Millis, StoreError};

#[derive(sqlx::FromRow)]
struct Row {
    owner: String,
    name: String,
    digest: Vec<u8>,
    scopes: String,
    requests_per_minute: Option<u32>,
    tokens_per_minute: Option<u32>,
    concurrent_jobs: Option<u32>,
    queued_jobs: Option<u32>,
    daily_budget_microusd: Option<i64>,
    monthly_budget_microusd: Option<i64>,
    priority: i32,
    created_at_ms: Millis,
    expires_at_ms: Option<Millis>,
    last_used_at_ms: Option<Millis>,
    revoked_at_ms: Option<Millis>,
}

/// SQL: a key's row.
macro_rules! row {
    () => {
        "SELECT owner, name, digest, scopes, requests_per_minute, tokens_per_minute, concurrent_jobs, queued_jobs,
                daily_budget_microusd, monthly_budget_microusd, priority, created_at_ms, expires_at_ms, last_used_at_ms,
                revoked_at_ms
         FROM api_key"
    };
}

impl Row {
    fn into_known(self) -> Result<KnownKey, StoreError> {
        let scopes = serde_json::from_str(&self.scopes).map_err(|error| not_json(&self.owner, &error))?;
        let digest =
            self.digest.try_into().map_err(|_| corrupt(&self.owner, "a digest of another length"))?;
        let limits = KeyLimits {
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            concurrent_jobs: self.concurrent_jobs,
            queued_jobs: self.queued_jobs,
            daily_budget_microusd: self.daily_budget_microusd.map(i64::unsigned_abs),
            monthly_budget_microusd: self.monthly_budget_microusd.map(i64::unsigned_abs),
        };
        let key = ApiKey {
            owner: Owner(self.owner),
            name: self.name,
            scopes,
            limits,
            priority: self.priority,
            created_at_ms: self.created_at_ms,
            expires_at_ms: self.expires_at_ms,
            last_used_at_ms: self.last_used_at_ms,
            revoked_at_ms: self.revoked_at_ms,
        };
        Ok(KnownKey { key, digest })
    }
}

#[async_trait]
impl ApiKeys for SqliteStore {
    async fn create(&self, key: &ApiKey, digest: &KeyDigest, most: u32) -> Result<KeyAdded, StoreError> {
        let mut tx = self.begin().await?;
        let (count, is_known): (u32, bool) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM api_key WHERE revoked_at_ms IS NULL AND coalesce(expires_at_ms > ?3, 1)),
                    EXISTS (SELECT 1 FROM api_key WHERE owner = ?1 OR digest = ?2)",
        )
        .bind(&key.owner.0)
        .bind(&digest[..])
        .bind(key.created_at_ms)
        .fetch_one(&mut *tx)
        .await?;
        if is_known {
            return Ok(KeyAdded::Known);
        }
        if count >= most {
            return Ok(KeyAdded::Full);
        }
        sqlx::query(
            "INSERT INTO api_key (owner, name, digest, scopes, created_at_ms, refilled_ms) VALUES (?1, '', ?2, '[]', ?3, ?3)",
        )
        .bind(&key.owner.0)
        .bind(&digest[..])
        .bind(key.created_at_ms)
        .execute(&mut *tx)
        .await?;
        write(&mut tx, key).await?;
        tx.commit().await?;
        Ok(KeyAdded::Added)
    }

    async fn all(&self) -> Result<Vec<KnownKey>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(concat!(row!(), " ORDER BY created_at_ms, owner"))
            .fetch_all(&self.readers)
            .await?;
        rows.into_iter().map(Row::into_known).collect()
    }

    async fn revision(&self) -> Result<i64, StoreError> {
        let query = sqlx::query_scalar("SELECT revision FROM key_revision WHERE id = 1");
        Ok(query.fetch_one(&self.readers).await?)
    }

    async fn find(&self, owner: &Owner) -> Result<Option<ApiKey>, StoreError> {
        read(&mut *self.readers.acquire().await?, owner).await
    }

    async fn change(&self, owner: &Owner, change: KeyChange) -> Result<Option<ApiKey>, StoreError> {
        let mut tx = self.begin().await?;
        let Some(mut key) = read(&mut tx, owner).await? else { return Ok(None) };
        change.apply(&mut key);
        write(&mut tx, &key).await?;
        tx.commit().await?;
        // It may run more jobs than before.
        self.ring_task();
        Ok(Some(key))
    }

    async fn revoke(&self, owner: &Owner, now: Millis) -> Result<Option<ApiKey>, StoreError> {
        let mut tx = self.begin().await?;
        let Some(mut key) = read(&mut tx, owner).await? else { return Ok(None) };
        key.revoked_at_ms = key.revoked_at_ms.or(Some(now));
        write(&mut tx, &key).await?;
        tx.commit().await?;
        Ok(Some(key))
    }

    async fn note_use(&self, used: &[(Owner, Millis)]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for (owner, at) in used {
            sqlx::query(
                "UPDATE api_key SET last_used_at_ms = max(coalesce(last_used_at_ms, 0), ?2) WHERE owner = ?1",
            )
            .bind(&owner.0)
            .bind(at)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn forget_spent(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        let gone = sqlx::query(
            "DELETE FROM spent WHERE (owner, day) IN (SELECT owner, day FROM spent WHERE day < ?1 / 86400000 LIMIT ?2)",
        )
        .bind(before)
        .bind(limit)
        .execute(&self.writer)
        .await?;
        Ok(gone.rows_affected())
    }

    async fn denied(&self, owner: &Owner, spec: &JobSpec, now: Millis) -> Result<Option<Denied>, StoreError> {
        let asked = allowance::ask(&mut *self.readers.acquire().await?, owner, spec, now).await?;
        Ok(asked.err())
    }

    async fn allowance(&self, owner: &Owner, now: Millis) -> Result<Allowance, StoreError> {
        allowance::left(&mut *self.readers.acquire().await?, owner, now).await
    }
}

async fn read(conn: &mut SqliteConnection, owner: &Owner) -> Result<Option<ApiKey>, StoreError> {
    let row: Option<Row> =
        sqlx::query_as(concat!(row!(), " WHERE owner = ?1")).bind(&owner.0).fetch_optional(conn).await?;
    Ok(row.map(Row::into_known).transpose()?.map(|known| known.key))
}

/// Writes all that may change of a key, where others look for it too, and says that it has changed.
async fn write(conn: &mut SqliteConnection, key: &ApiKey) -> Result<(), StoreError> {
    let money = |microusd: Option<u64>| microusd.map(|amount| i64::try_from(amount).unwrap_or(i64::MAX));
    let scopes = serde_json::to_string(&key.scopes).map_err(|error| corrupt(&key.owner, error))?;
    sqlx::query(
        "UPDATE api_key SET name = ?2, scopes = ?3, requests_per_minute = ?4, tokens_per_minute = ?5,
                concurrent_jobs = ?6, queued_jobs = ?7, daily_budget_microusd = ?8, monthly_budget_microusd = ?9,
                priority = ?10, expires_at_ms = ?11, revoked_at_ms = ?12
         WHERE owner = ?1",
    )
    .bind(&key.owner.0)
    .bind(&key.name)
    .bind(scopes)
    .bind(key.limits.requests_per_minute)
    .bind(key.limits.tokens_per_minute)
    .bind(key.limits.concurrent_jobs)
    .bind(key.limits.queued_jobs)
    .bind(money(key.limits.daily_budget_microusd))
    .bind(money(key.limits.monthly_budget_microusd))
    .bind(key.priority)
    .bind(key.expires_at_ms)
    .bind(key.revoked_at_ms)
    .execute(&mut *conn)
    .await?;
    share::set(conn, key).await?;
    sqlx::query("UPDATE key_revision SET revision = revision + 1 WHERE id = 1").execute(conn).await?;
    Ok(())
}
