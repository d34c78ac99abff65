//! The worker's heartbeat, a duty of its own: it goes on while the worker is saturated, drains, or cannot
//! claim. The rescue of others' jobs goes on beside it; however much there is to rescue, no beat waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use drover_shared::clock::now_ms;
use drover_shared::schema::{WorkerReport, limits};
use drover_shared::store::{Patience, Store, StoreError};
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

async fn rescue(store: &dyn Store) {
    let mut rounds = rounds();
    let mut patience = Patience::new(limits::BEAT, Instant::now(), now_ms());
    loop {
        rounds.tick().await;
        match rescue_once(store, patience.may_judge(Instant::now(), now_ms())).await {
            Ok(rescued) => {
                patience.reached(Instant::now(), now_ms());
                if rescued > 0 {
                    info!(jobs = rescued, "took up jobs that had lost their worker or their task");
                }
            }
            Err(error) => {
                warn!(%error, "jobs of dead workers could not be taken up; the next round tries again");
            }
        }
    }
}

async fn rescue_once(store: &dyn Store, may_judge: bool) -> Result<u64, StoreError> {
    if !may_judge {
        return store.ready().await.map(|()| 0);
    }
    let now = now_ms();
    store.rescue(now - millis(limits::DEAD_AFTER), now).await
}

fn rounds() -> Interval {
    let mut rounds = interval(limits::BEAT);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    rounds
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
