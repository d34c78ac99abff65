//! When an api may judge workers dead. (A worker's own beats tell the store the same of it.)

use std::time::{Duration, Instant};

use drover_shared::schema::limits;

/// Who came late itself must not judge others: a store that was locked kept everybody's beats back, so a
/// late judge waits as long as death takes before it rescues anybody.
#[derive(Debug)]
pub(super) struct Patience {
    round: Duration,
    last: Instant,
    until: Instant,
}

impl Patience {
    /// For a duty that reaches the store once in every `round`.
    pub(super) fn new(round: Duration, now: Instant) -> Self {
        Self { round, last: now, until: now }
    }

    /// Whether others may be judged now.
    pub(super) fn may_judge(&self, now: Instant) -> bool {
        now >= self.until && !self.is_late(now)
    }

    /// The store was reached.
    pub(super) fn reached(&mut self, now: Instant) {
        if self.is_late(now) {
            self.until = now + limits::DEAD_AFTER;
        }
        self.last = now;
    }

    fn is_late(&self, now: Instant) -> bool {
        now.duration_since(self.last) > 2 * self.round
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_late_waits_before_it_judges() {
        let round = limits::BEAT;
        let start = Instant::now();
        let mut patience = Patience::new(round, start);
        assert!(patience.may_judge(start + round));
        patience.reached(start + round);
        let late = start + 4 * round;
        assert!(!patience.may_judge(late));
        patience.reached(late);
        assert!(!patience.may_judge(late + round));
        let mut now = late;
        while now < late + limits::DEAD_AFTER {
            now += round;
            patience.reached(now);
        }
        assert!(patience.may_judge(now));
    }
}
