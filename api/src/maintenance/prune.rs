//! Deletes jobs that ended, and calls of the ledger that were made, longer ago than they are kept.

use drover_shared::schema::limits;
use drover_shared::store::{StoreError, millis};

use super::{rounds, tell};
use crate::app::App;

pub(super) async fn keep(app: &App) {
    let mut rounds = rounds(limits::PRUNE_EVERY);
    loop {
        rounds.tick().await;
        tell("prune", jobs(app).await);
        tell("prune the ledger", calls(app).await);
    }
}

/// In batches, so that nobody waits long for the store.
async fn jobs(app: &App) -> Result<u64, StoreError> {
    let before = app.clock.now_ms().saturating_sub(millis(app.settings.retention));
    let mut total = 0;
    loop {
        let jobs = app.store.prune(before, limits::PRUNE_BATCH).await?;
        total += jobs;
        if jobs < limits::PRUNE_BATCH.into() {
            return Ok(total);
        }
    }
}

async fn calls(app: &App) -> Result<u64, StoreError> {
    let before = app.clock.now_ms().saturating_sub(millis(app.settings.ledger));
    let mut total = 0;
    loop {
        let calls = app.store.prune_calls(before, limits::PRUNE_BATCH).await?;
        total += calls;
        if calls < limits::PRUNE_BATCH.into() {
            return Ok(total);
        }
    }
}
