//! The worker's heartbeat, a duty of its own: it goes on while the worker is saturated, drains, or cannot
//! claim. The rescue of others' jobs goes on beside it; however much there is to rescue, no beat waits for it.

use std::sync::Arc;

use drover_shared::clock::now_ms;
use drover_shared::schema::{WorkerReport, limits};
use drover_shared::store::{Store, millis};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{info, warn};

/// Beats until it is dropped. `report` tells the state of the moment.
pub async fn run(store: Arc<dyn Store>, report: impl Fn() -> WorkerReport + Send) {
    tokio::join!(beat(store.as_ref(), report), rescue(store.as_ref()));
}

async fn beat(store: &dyn Store, report: impl Fn() -> WorkerReport + Send) {
    let mut beats = rounds();
    loop {
        beats.tick().await;
        if let Err(error) = store.beat(&report(), now_ms()).await {
            warn!(%error, "the heartbeat did not reach the store");
        }
    }
}

/// The store itself sees from the beats whether this worker may judge others by their silence.
async fn rescue(store: &dyn Store) {
    let mut rounds = rounds();
    loop {
        rounds.tick().await;
        let now = now_ms();
        match store.rescue(now - millis(limits::DEAD_AFTER), now).await {
            Ok(0) => {}
            Ok(jobs) => info!(jobs, "took up jobs that had lost their worker or their task"),
            Err(error) => {
                warn!(%error, "jobs of dead workers could not be taken up; the next round tries again");
            }
        }
    }
}

fn rounds() -> Interval {
    let mut rounds = interval(limits::BEAT);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    rounds
}
