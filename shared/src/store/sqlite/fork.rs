//! Making a session from another.

use super::{SqliteStore, session};
use crate::schema::{Session, SessionId};
use crate::store::{Forked, StoreError};

/// Adds `fork` with the history and the transcript of `from`.
pub(super) async fn fork(store: &SqliteStore, from: SessionId, fork: &Session) -> Result<Forked, StoreError> {
    let mut tx = store.begin().await?;
    match session::is_busy(&mut tx, from).await? {
        None => return Ok(Forked::Unknown),
        Some(true) => return Ok(Forked::Busy),
        Some(false) => {}
    }
    let project = fork.project.map(|project| project.to_string());
    let whole: Option<bool> =
        sqlx::query_scalar("SELECT whole FROM session WHERE id = ?1 AND owner = ?2 AND project IS ?3")
            .bind(from.to_string())
            .bind(&fork.owner.0)
            .bind(project)
            .fetch_optional(&mut *tx)
            .await?;
    match whole {
        None => return Ok(Forked::Unknown),
        Some(false) => return Ok(Forked::NotWhole),
        Some(true) => {}
    }
    session::create(&mut tx, fork).await?;
    for copy in [
        "UPDATE session SET (message_count, history_bytes, transcript_bytes) =
             (SELECT message_count, history_bytes, transcript_bytes FROM session WHERE id = ?1) WHERE id = ?2",
        "INSERT INTO turn (session, seq, job, role, parts, created_at_ms)
         SELECT ?2, seq, job, role, parts, created_at_ms FROM turn WHERE session = ?1",
        "INSERT INTO transcript (session, seq, job, entry) SELECT ?2, seq, job, entry FROM transcript WHERE session = ?1",
    ] {
        sqlx::query(copy).bind(from.to_string()).bind(fork.id.to_string()).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(Forked::Made)
}
