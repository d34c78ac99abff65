//! The tables `file` and `piece`.

use async_trait::async_trait;

use super::SqliteStore;
use super::error::corrupt;
use crate::schema::{FileId, FileQuery, Owner, StoredFile};
use crate::store::files::{Files, PieceAdded};
use crate::store::{Millis, StoreError};

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    owner: String,
    name: String,
    purpose: String,
    bytes: i64,
    created_at_ms: Millis,
    expires_at_ms: Option<Millis>,
}

impl Row {
    fn into_file(self) -> Result<StoredFile, StoreError> {
        let name = || format!("file {}", self.id);
        Ok(StoredFile {
            id: self.id.parse().map_err(|error| corrupt(name(), error))?,
            bytes: u64::try_from(self.bytes).map_err(|error| corrupt(name(), error))?,
            owner: Owner(self.owner),
            name: self.name,
            purpose: self.purpose,
            created_at_ms: self.created_at_ms,
            expires_at_ms: self.expires_at_ms,
        })
    }
}

#[async_trait]
impl Files for SqliteStore {
    async fn begin(&self, owner: &Owner, id: FileId, now: Millis) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO file (id, owner, created_at_ms) VALUES (?1, ?2, ?3)")
            .bind(id.to_string())
            .bind(&owner.0)
            .bind(now)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn add(&self, id: FileId, number: u32, piece: &[u8], quota: u64) -> Result<PieceAdded, StoreError> {
        let size = i64::try_from(piece.len()).unwrap_or(i64::MAX);
        let mut tx = Self::begin(self).await?;
        let held: Option<i64> = sqlx::query_scalar(
            "SELECT (SELECT sum(bytes) FROM file AS other WHERE other.owner = file.owner) FROM file
             WHERE id = ?1 AND whole = 0",
        )
        .bind(id.to_string())
        .fetch_optional(&mut *tx)
        .await?;
        let Some(held) = held else { return Ok(PieceAdded::Gone) };
        if held.saturating_add(size) > i64::try_from(quota).unwrap_or(i64::MAX) {
            return Ok(PieceAdded::QuotaFull);
        }
        sqlx::query("INSERT INTO piece (file, number, content) VALUES (?1, ?2, ?3)")
            .bind(id.to_string())
            .bind(number)
            .bind(piece)
            .execute(&mut *tx)
            .await?;
        sqlx::query("UPDATE file SET bytes = bytes + ?2 WHERE id = ?1")
            .bind(id.to_string())
            .bind(size)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(PieceAdded::Stored)
    }

    async fn finish(&self, file: &StoredFile) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE file SET whole = 1, name = ?2, purpose = ?3, expires_at_ms = ?4 WHERE id = ?1 AND whole = 0",
        )
        .bind(file.id.to_string())
        .bind(&file.name)
        .bind(&file.purpose)
        .bind(file.expires_at_ms)
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn find(&self, owner: &Owner, id: FileId, now: Millis) -> Result<Option<StoredFile>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, owner, name, purpose, bytes, created_at_ms, expires_at_ms FROM file
             WHERE id = ?1 AND owner = ?2 AND whole = 1 AND (expires_at_ms IS NULL OR expires_at_ms > ?3)",
        )
        .bind(id.to_string())
        .bind(&owner.0)
        .bind(now)
        .fetch_optional(&self.readers)
        .await?;
        row.map(Row::into_file).transpose()
    }

    async fn list(&self, query: &FileQuery, now: Millis) -> Result<Vec<StoredFile>, StoreError> {
        // A literal for each order: only so does SQLite walk the index, in either direction.
        let statement = if query.latest_first {
            "SELECT id, owner, name, purpose, bytes, created_at_ms, expires_at_ms FROM file
             WHERE owner = ?1 AND (?2 IS NULL OR id < ?2) AND whole = 1 AND (?3 IS NULL OR purpose = ?3)
               AND (expires_at_ms IS NULL OR expires_at_ms > ?4)
             ORDER BY id DESC LIMIT ?5"
        } else {
            "SELECT id, owner, name, purpose, bytes, created_at_ms, expires_at_ms FROM file
             WHERE owner = ?1 AND (?2 IS NULL OR id > ?2) AND whole = 1 AND (?3 IS NULL OR purpose = ?3)
               AND (expires_at_ms IS NULL OR expires_at_ms > ?4)
             ORDER BY id LIMIT ?5"
        };
        let rows: Vec<Row> = sqlx::query_as(statement)
            .bind(&query.owner.0)
            .bind(query.after.map(|id| id.to_string()))
            .bind(&query.purpose)
            .bind(now)
            .bind(i64::from(query.limit) + 1)
            .fetch_all(&self.readers)
            .await?;
        rows.into_iter().map(Row::into_file).collect()
    }

    async fn piece(&self, id: FileId, number: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let piece = sqlx::query_scalar("SELECT content FROM piece WHERE file = ?1 AND number = ?2")
            .bind(id.to_string())
            .bind(number)
            .fetch_optional(&self.readers)
            .await?;
        Ok(piece)
    }

    async fn delete(&self, owner: &Owner, id: FileId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM file WHERE id = ?1 AND owner = ?2")
            .bind(id.to_string())
            .bind(&owner.0)
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn expire(&self, stale: Millis, now: Millis, limit: u32) -> Result<u64, StoreError> {
        let old: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM file WHERE expires_at_ms IS NOT NULL AND expires_at_ms <= ?1
             UNION SELECT id FROM file WHERE whole = 0 AND created_at_ms < ?2 LIMIT ?3",
        )
        .bind(now)
        .bind(stale)
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        // A transaction each, so that writers are held up by one file's pieces at most.
        for id in &old {
            sqlx::query("DELETE FROM file WHERE id = ?1").bind(id).execute(&self.writer).await?;
        }
        Ok(u64::try_from(old.len()).unwrap_or(u64::MAX))
    }
}
