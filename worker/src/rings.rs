//! Hears what is meant for this worker: new tasks, and jobs called off. The sweep under the rings asks the
//! store what the worker still holds, while anything runs: also a lost lease is noticed so, by an attempt
//! that has nothing to write.

use std::sync::Arc;

use drover_shared::schema::{WorkerId, limits};
use drover_shared::store::{Ring, Store};
use tokio::sync::{Notify, mpsc};
use tracing::debug;

use crate::running::Running;

/// Passes rings on until the process ends.
pub async fn run(
    store: Arc<dyn Store>,
    worker: WorkerId,
    mut rings: mpsc::Receiver<Ring>,
    bell: Arc<Notify>,
    running: Running,
) {
    let mut sweep = tokio::time::interval(limits::SWEEP);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let look = tokio::select! {
            ring = rings.recv() => match ring {
                Some(Ring::Task) => {
                    bell.notify_one();
                    false
                }
                Some(Ring::CalledOff(_)) => true,
                Some(Ring::Events(_)) => false,
                None => return,
            },
            _ = sweep.tick() => running.count() > 0,
        };
        if look {
            compare(store.as_ref(), &worker, &running).await;
        }
    }
}

async fn compare(store: &dyn Store, worker: &WorkerId, running: &Running) {
    // Taken before the store is asked: what is claimed meanwhile is not missed in its answer.
    let known = running.tokens();
    match store.held(worker).await {
        Ok(held) => running.compare(&known, &held),
        // The next sweep asks again.
        Err(error) => debug!(%error, "cannot ask what is held"),
    }
}
