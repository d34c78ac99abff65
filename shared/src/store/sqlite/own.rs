//! The workers that beat through this handle, and whether they may judge others by their silence.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::schema::{WorkerId, limits};
use crate::store::{Millis, millis};

/// The process's own workers. None of them is ever rescued through this handle.
#[derive(Default)]
pub(super) struct Own(Mutex<HashMap<WorkerId, Pulse>>);

#[derive(Clone, Copy)]
struct Pulse {
    last: Millis,
    /// Since when no beat came late.
    steady_since: Millis,
}

impl Own {
    /// Notes a beat that has been stored.
    pub(super) fn beat(&self, worker: &WorkerId, now: Millis) {
        let mut pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pulse = pulses.entry(worker.clone()).or_insert(Pulse { last: now, steady_since: now });
        // Such a gap says that the database was out of reach. Half of what counts as death: others may have
        // been silent for up to two beats longer than we were.
        if now - pulse.last > millis(limits::DEAD_AFTER) / 2 {
            pulse.steady_since = now;
        }
        pulse.last = now;
    }

    /// Forgets a worker that has retired.
    pub(super) fn forget(&self, worker: &WorkerId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(worker);
    }

    /// Whether the worker beats through this handle.
    pub(super) fn has(&self, worker: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().any(|own| own.0 == worker)
    }

    /// Whether silence since `dead_before` means anything: not if one of ours could not beat either, lately.
    /// A locked database would otherwise make workers rescue each other the moment it is free again.
    pub(super) fn may_judge(&self, dead_before: Millis) -> bool {
        let pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pulses.values().all(|pulse| pulse.steady_since <= dead_before && pulse.last >= dead_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> WorkerId {
        WorkerId("me".to_owned())
    }

    #[test]
    fn who_has_no_worker_may_judge() {
        assert!(Own::default().may_judge(0));
    }

    #[test]
    fn a_late_beat_takes_the_right_to_judge_for_as_long_as_death_takes() {
        let (own, dead_after) = (Own::default(), millis(limits::DEAD_AFTER));
        let mut now = 1_000_000;
        own.beat(&me(), now);
        assert!(!own.may_judge(now - dead_after), "only just here");
        now += dead_after + 1;
        own.beat(&me(), now);
        assert!(!own.may_judge(now - dead_after), "just back from silence");
        for _ in 0..dead_after / 1_000 {
            now += 1_000;
            own.beat(&me(), now);
        }
        assert!(own.may_judge(now - dead_after));
        assert!(!own.may_judge(now + 1), "silent again");
    }
}
