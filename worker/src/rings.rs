//! Hears what is meant for this worker: new tasks, and jobs called off. The sweep under the rings asks
//! the store for the latter while anything runs.

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
            call_off(store.as_ref(), &worker, &running).await;
        }
    }
}

async fn call_off(store: &dyn Store, worker: &WorkerId, running: &Running) {
    match store.called_off(worker).await {
        Ok(jobs) => jobs.into_iter().for_each(|(job, reason)| running.call_off(job, reason)),
        // The next sweep asks again.
        Err(error) => debug!(%error, "cannot ask for jobs called off"),
    }
}
