//! Deletes jobs that ended, answers that were stored, sessions that were written to, calls of the ledger that were
//! made and sums of what was spent longer ago than they are kept.

use drover_shared::schema::limits;
use drover_shared::store::{StoreError, millis};

use super::{rounds, tell};
use crate::app::App;

pub(super) async fn keep(app: &App) {
    let mut rounds = rounds(limits::PRUNE_EVERY);
    loop {
        rounds.tick().await;
        // Jobs after the answers that kept them.
        tell("prune stored answers", answers(app).await);
        tell("prune", jobs(app).await);
        tell("prune files", files(app).await);
        tell("prune tickets", tickets(app).await);
        tell("prune sessions", sessions(app).await);
        tell("prune the ledger", calls(app).await);
        tell("prune what was spent", spent(app).await);
    }
}

async fn answers(app: &App) -> Result<u64, StoreError> {
    let before = app.clock.now_ms().saturating_sub(millis(app.settings.stored));
    in_batches(|| app.store.answers().expire(before, limits::PRUNE_BATCH)).await
}

async fn files(app: &App) -> Result<u64, StoreError> {
    let now = app.clock.now_ms();
    let stale = now.saturating_sub(millis(limits::FILE_STALE));
    in_batches(|| app.store.files().expire(stale, now, limits::PRUNE_BATCH)).await
}

async fn jobs(app: &App) -> Result<u64, StoreError> {
    let before = app.clock.now_ms().saturating_sub(millis(app.settings.retention));
    in_batches(|| app.store.prune(before, limits::PRUNE_BATCH)).await
}

async fn tickets(app: &App) -> Result<u64, StoreError> {
    let now = app.clock.now_ms();
    in_batches(|| app.store.tickets().expire(now, limits::PRUNE_BATCH)).await
}

async fn sessions(app: &App) -> Result<u64, StoreError> {
    let before = app.clock.now_ms().saturating_sub(millis(app.settings.sessions));
    in_batches(|| app.store.prune_sessions(before, limits::PRUNE_BATCH)).await
}

async fn calls(app: &App) -> Result<u64, StoreError> {
    let before = app.clock.now_ms().saturating_sub(millis(app.settings.ledger));
    in_batches(|| app.store.prune_calls(before, limits::PRUNE_BATCH)).await
}

async fn spent(app: &App) -> Result<u64, StoreError> {
    let before = app.clock.now_ms().saturating_sub(millis(limits::SPENT_KEPT));
    in_batches(|| app.store.keys().forget_spent(before, limits::PRUNE_BATCH)).await
}

/// So that nobody waits long for the store.
async fn in_batches<F>(prune: impl Fn() -> F) -> Result<u64, StoreError>
where
    F: Future<Output = Result<u64, StoreError>>,
{
    let mut total = 0;
    loop {
        let pruned = prune().await?;
        total += pruned;
        if pruned < limits::PRUNE_BATCH.into() {
            return Ok(total);
        }
    }
}
