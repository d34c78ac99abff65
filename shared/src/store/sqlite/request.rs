//! Jobs by the keys that their clients have given to their requests, and who waits for them under those keys.

use sqlx::SqliteConnection;

use super::{SqliteStore, job};
use crate::schema::{CancelReason, Delivery, JobId, Owner, RequestKey};
use crate::store::{Millis, Recalled, StoreError};

/// The job under the key. Looks before it takes the write lock: most keys are new.
pub(super) async fn recall(
    store: &SqliteStore,
    owner: &Owner,
    key: &RequestKey,
) -> Result<Option<Recalled>, StoreError> {
    match find(&mut *store.readers.acquire().await?, owner, key).await? {
        None => return Ok(None),
        Some(Recalled::Other) => return Ok(Some(Recalled::Other)),
        Some(Recalled::Same(_)) => {}
    }
    let mut tx = store.begin().await?;
    let known = attend(&mut tx, owner, key).await?;
    tx.commit().await?;
    Ok(known)
}

/// The same within a transaction.
pub(super) async fn attend(
    conn: &mut SqliteConnection,
    owner: &Owner,
    key: &RequestKey,
) -> Result<Option<Recalled>, StoreError> {
    let known = find(conn, owner, key).await?;
    if let Some(Recalled::Same(id)) = known {
        sqlx::query(
            "UPDATE job SET attended = attended + 1
             WHERE id = ?1 AND state IN ('queued', 'running') AND delivery <> ?2",
        )
        .bind(id.to_string())
        .bind(Delivery::Background.as_str())
        .execute(conn)
        .await?;
    }
    Ok(known)
}

async fn find(
    conn: &mut SqliteConnection,
    owner: &Owner,
    key: &RequestKey,
) -> Result<Option<Recalled>, StoreError> {
    let row: Option<(String, String)> =
        sqlx::query_as("SELECT id, request_digest FROM job WHERE owner = ?1 AND request_key = ?2")
            .bind(&owner.0)
            .bind(&key.key)
            .fetch_optional(conn)
            .await?;
    let Some((id, digest)) = row else { return Ok(None) };
    Ok(Some(if digest == key.digest { Recalled::Same(job::parse_id(&id)?) } else { Recalled::Other }))
}

/// Lets go of a job, which is called off if nobody else has it. Its key is then free: who asks again later wants an answer,
/// and not to be told that nobody had waited for it.
pub(super) async fn leave(
    store: &SqliteStore,
    id: JobId,
    times: u32,
    now: Millis,
) -> Result<bool, StoreError> {
    let mut tx = store.begin().await?;
    let left: Option<i64> = sqlx::query_scalar(
        "UPDATE job SET attended = max(attended - ?2, 0), request_key = iif(attended <= ?2, NULL, request_key)
         WHERE id = ?1 AND state IN ('queued', 'running') AND delivery <> ?3 RETURNING attended",
    )
    .bind(id.to_string())
    .bind(times)
    .bind(Delivery::Background.as_str())
    .fetch_optional(&mut *tx)
    .await?;
    let called = match left {
        Some(0) => job::call_off(&mut tx, id, CancelReason::ClientGone, now).await?,
        Some(_) | None => None,
    };
    tx.commit().await?;
    if let Some(called) = &called {
        called.ring(store, id);
    }
    Ok(called.is_some())
}
