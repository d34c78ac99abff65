//! Duties that every api does from time to time. Several apis may do them at once: each duty is safe to
//! repeat. A failure is told and forgotten; the next round tries again.

mod keys;
mod patience;
mod projects;
mod prune;
mod rescue;

use std::sync::Arc;
use std::time::Duration;

use drover_shared::store::StoreError;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::app::App;

/// Does all duties until the api leaves.
pub(crate) async fn run(app: Arc<App>) {
    let duties =
        async { tokio::join!(rescue::keep(&app), prune::keep(&app), projects::keep(&app), keys::keep(&app)) };
    app.shutdown.run_until_cancelled(duties).await;
}

/// The rounds of a duty.
fn rounds(pause: Duration) -> Interval {
    let mut rounds = interval(pause);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    rounds
}

/// What a round has come to, for the log.
fn tell(duty: &str, result: Result<u64, StoreError>) {
    match result {
        Ok(0) => {}
        Ok(rows) => tracing::info!(duty, rows, "done"),
        Err(error) => tracing::warn!(duty, %error, "could not be done; the next round tries again"),
    }
}
