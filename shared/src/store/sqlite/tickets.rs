//! The table `ticket`.

use async_trait::async_trait;

use super::SqliteStore;
use super::error::corrupt;
use crate::schema::KeyDigest;
use crate::store::tickets::{Ticket, Tickets};
use crate::store::{Millis, StoreError};

#[async_trait]
impl Tickets for SqliteStore {
    async fn add(&self, ticket: &Ticket, most: u32, now: Millis) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let added = sqlx::query(
            "INSERT INTO ticket (digest, owner, keys, expires_at_ms)
             SELECT ?1, ?2, ?3, ?4
             WHERE (SELECT count(*) FROM ticket WHERE owner = ?2 AND expires_at_ms > ?6) < ?5",
        )
        .bind(&ticket.digest[..])
        .bind(&ticket.owner.0)
        .bind(ticket.keys.concat())
        .bind(ticket.expires_at_ms)
        .bind(most)
        .bind(now)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(added.rows_affected() > 0)
    }

    async fn redeem(&self, digest: &KeyDigest, now: Millis) -> Result<Option<Vec<KeyDigest>>, StoreError> {
        let mut tx = self.begin().await?;
        // One statement looks and takes, so that of two who come with it one alone gets it.
        let taken: Option<(Vec<u8>, Millis)> =
            sqlx::query_as("DELETE FROM ticket WHERE digest = ?1 RETURNING keys, expires_at_ms")
                .bind(&digest[..])
                .fetch_optional(&mut *tx)
                .await?;
        tx.commit().await?;
        let Some((keys, expires_at_ms)) = taken else { return Ok(None) };
        let (keys, []) = keys.as_chunks() else { return Err(corrupt("ticket", "half a digest")) };
        Ok((expires_at_ms > now).then(|| keys.to_vec()))
    }

    async fn expire(&self, now: Millis, limit: u32) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let gone = sqlx::query(
            "DELETE FROM ticket WHERE digest IN (SELECT digest FROM ticket WHERE expires_at_ms <= ?1 LIMIT ?2)",
        )
        .bind(now)
        .bind(limit)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(gone.rows_affected())
    }
}
