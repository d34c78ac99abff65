//! Hears what is meant for this worker: new tasks, and jobs called off. The sweep under the rings asks the
//! store what the worker still holds, while anything runs: also a lost lease is noticed so, by an attempt
//! that has nothing to write.

use std::sync::Arc;

use drover_shared::schema::{WorkerId, limits};
use drover_shared::store::{Ring, RingRole, Store};
use tokio::sync::{Notify, mpsc};
use tracing::{debug, warn};

use crate::running::Running;

/// Passes rings on until the process ends.
pub async fn run(
    store: Arc<dyn Store>,
    worker: WorkerId,
    rings: mpsc::Receiver<Ring>,
    bell: Arc<Notify>,
    running: Running,
) {
    let mut sweep = tokio::time::interval(limits::SWEEP);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut rings = Some(rings);
    loop {
        let look = tokio::select! {
            ring = next(&mut rings) => match ring {
                Some(Ring::Task) => {
                    bell.notify_one();
                    false
                }
                Some(Ring::CalledOff(_)) => true,
                Some(Ring::Events(_)) => false,
                None => {
                    warn!("the doorbell has fallen silent; work is found by looking until it is back");
                    rings = None;
                    false
                }
            },
            _ = sweep.tick() => {
                if rings.is_none() {
                    rings = store.listen(RingRole::Worker, &worker.0).await.ok();
                }
                running.count() > 0
            }
        };
        if look {
            compare(store.as_ref(), &worker, &running).await;
        }
    }
}

/// The next ring; `None` once there are no more. Waits for ever where there is nothing to listen to.
async fn next(rings: &mut Option<mpsc::Receiver<Ring>>) -> Option<Ring> {
    match rings {
        Some(rings) => rings.recv().await,
        None => std::future::pending().await,
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
