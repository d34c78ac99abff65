//! The worker's heartbeat, a duty of its own: it goes on while the worker is saturated, drains, or cannot
//! claim. The rescue of others' jobs comes with it.

use std::sync::Arc;
use std::time::Duration;

use drover_shared::clock::now_ms;
use drover_shared::schema::{WorkerReport, limits};
use drover_shared::store::{Store, StoreError};
use tokio::time::Instant;
use tracing::{info, warn};

/// Beats until it is dropped. `report` tells the state of the moment.
pub async fn run(store: Arc<dyn Store>, report: impl Fn() -> WorkerReport + Send) {
    let mut beats = tokio::time::interval(limits::BEAT);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut patience = Patience::new(Instant::now());
    loop {
        beats.tick().await;
        match beat(store.as_ref(), &report(), patience.may_rescue(Instant::now())).await {
            Ok(()) => patience.beaten(Instant::now()),
            Err(error) => warn!(%error, "the heartbeat did not reach the store"),
        }
    }
}

async fn beat(store: &dyn Store, report: &WorkerReport, rescue: bool) -> Result<(), StoreError> {
    store.beat(report, now_ms()).await?;
    if rescue {
        let now = now_ms();
        let rescued = store.rescue(now - millis(limits::DEAD_AFTER), now).await?;
        if rescued > 0 {
            info!(jobs = rescued, "took up jobs that had lost their worker or their task");
        }
    }
    Ok(())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Who came late itself must not judge others: a store that was locked kept everybody's beats back, so a
/// late worker waits as long as death takes before it rescues anybody.
struct Patience {
    last: Instant,
    until: Instant,
}

impl Patience {
    fn new(now: Instant) -> Self {
        Self { last: now, until: now }
    }

    fn may_rescue(&self, now: Instant) -> bool {
        now >= self.until && now - self.last <= 2 * limits::BEAT
    }

    fn beaten(&mut self, now: Instant) {
        if now - self.last > 2 * limits::BEAT {
            self.until = now + limits::DEAD_AFTER;
        }
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_beat_late_waits_before_it_rescues() {
        let start = Instant::now();
        let mut patience = Patience::new(start);
        assert!(patience.may_rescue(start + limits::BEAT));
        patience.beaten(start + limits::BEAT);
        let late = start + 4 * limits::BEAT;
        assert!(!patience.may_rescue(late));
        patience.beaten(late);
        assert!(!patience.may_rescue(late + limits::BEAT));
        let mut now = late;
        while now < late + limits::DEAD_AFTER {
            now += limits::BEAT;
            patience.beaten(now);
        }
        assert!(patience.may_rescue(now));
    }
}
