//! The worker's heartbeat, a duty of its own: it goes on while the worker is saturated, drains, or cannot
//! claim. The rescue of others' jobs comes with it.

use std::sync::Arc;

use drover_shared::clock::now_ms;
use drover_shared::schema::{WorkerReport, limits};
use drover_shared::store::{Store, StoreError, millis};
use tracing::{info, warn};

/// Beats until it is dropped. `report` tells the state of the moment.
pub async fn run(store: Arc<dyn Store>, report: impl Fn() -> WorkerReport + Send) {
    let mut beats = tokio::time::interval(limits::BEAT);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        if let Err(error) = beat(store.as_ref(), &report()).await {
            warn!(%error, "the heartbeat did not reach the store");
        }
    }
}

async fn beat(store: &dyn Store, report: &WorkerReport) -> Result<(), StoreError> {
    store.beat(report, now_ms()).await?;
    let now = now_ms();
    let rescued = store.rescue(now - millis(limits::DEAD_AFTER), now).await?;
    if rescued > 0 {
        info!(jobs = rescued, "took up jobs that had lost their worker or their task");
    }
    Ok(())
}
