//! When an api may judge workers dead. (A worker's own beats tell the store the same of it.)

use std::time::{Duration, Instant};

use drover_shared::schema::limits;
use drover_shared::store::{Millis, millis};

/// Who came late itself must not judge others: a store that was locked kept everybody's beats back, so a
/// late judge waits as long as death takes before it rescues anybody.
///
/// Late is who lost time by either clock. Beats are written down in the machine's time, which leaps when a
/// machine wakes up or its clock is set; the other clock may not have moved then.
#[derive(Debug)]
pub(super) struct Patience {
    round: Duration,
    last: Instant,
    last_ms: Millis,
    until: Instant,
}

impl Patience {
    /// For a duty that reaches the store once in every `round`. `now_ms` is the machine's time.
    pub(super) fn new(round: Duration, now: Instant, now_ms: Millis) -> Self {
        Self { round, last: now, last_ms: now_ms, until: now }
    }

    /// Whether others may be judged now.
    pub(super) fn may_judge(&self, now: Instant, now_ms: Millis) -> bool {
        now >= self.until && !self.is_late(now, now_ms)
    }

    /// The store was reached.
    pub(super) fn reached(&mut self, now: Instant, now_ms: Millis) {
        if self.is_late(now, now_ms) {
            self.until = now + limits::DEAD_AFTER;
        }
        self.last = now;
        self.last_ms = now_ms;
    }

    fn is_late(&self, now: Instant, now_ms: Millis) -> bool {
        let patience = 2 * self.round;
        now.duration_since(self.last) > patience || now_ms.saturating_sub(self.last_ms) > millis(patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_late_waits_before_it_judges() {
        let round = limits::BEAT;
        let start = Instant::now();
        let mut patience = Patience::new(round, start, 0);
        assert!(patience.may_judge(start + round, millis(round)));
        patience.reached(start + round, millis(round));
        let late = start + 4 * round;
        let mut now_ms = millis(4 * round);
        assert!(!patience.may_judge(late, now_ms));
        patience.reached(late, now_ms);
        assert!(!patience.may_judge(late + round, now_ms + millis(round)));
        let mut now = late;
        while now < late + limits::DEAD_AFTER {
            now += round;
            now_ms += millis(round);
            patience.reached(now, now_ms);
        }
        assert!(patience.may_judge(now, now_ms));
    }

    #[test]
    fn a_leap_of_the_machines_clock_kills_nobody() {
        let round = limits::BEAT;
        let start = Instant::now();
        let mut patience = Patience::new(round, start, 0);
        let leapt = millis(limits::DEAD_AFTER) * 4;
        assert!(!patience.may_judge(start + round, leapt));
        patience.reached(start + round, leapt);
        assert!(!patience.may_judge(start + 2 * round, leapt + millis(round)));
    }
}
