//! Deletes jobs that ended longer ago than they are kept.

use drover_shared::schema::limits;
use drover_shared::store::StoreError;

use super::{rounds, tell};
use crate::app::App;

pub(super) async fn keep(app: &App) {
    let mut rounds = rounds(limits::PRUNE_EVERY);
    loop {
        rounds.tick().await;
        tell("prune", once(app).await);
    }
}

/// In batches, so that nobody waits long for the store.
async fn once(app: &App) -> Result<u64, StoreError> {
    let retention_ms = app.settings.retention.as_millis().try_into().unwrap_or(u64::MAX);
    let before = app.clock.now_ms().saturating_sub_unsigned(retention_ms);
    let mut total = 0;
    loop {
        let jobs = app.store.prune(before, limits::PRUNE_BATCH).await?;
        total += jobs;
        if jobs < limits::PRUNE_BATCH.into() {
            return Ok(total);
        }
    }
}
