//! What a key may use in a minute: buckets that refill, without a clock of their own.

use super::limits;

/// Parts of one request or token that a bucket counts in: a limit per minute is then a whole number of them in each
/// millisecond.
const PARTS: i64 = 60_000;
/// How long an empty bucket takes to be full, in milliseconds.
const FULL_MS: i64 = 60_000;

/// What is left of a minute's allowance, as of some moment. Below zero where more was used than was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    parts: i64,
    at_ms: i64,
}

impl Bucket {
    /// As the store keeps it; `None`: full.
    pub fn stored(parts: Option<i64>, at_ms: i64) -> Self {
        Self { parts: parts.unwrap_or(i64::MAX), at_ms }
    }

    /// What the store keeps.
    pub fn parts(self) -> i64 {
        self.parts
    }

    /// As of when that is.
    pub fn at_ms(self) -> i64 {
        self.at_ms
    }

    /// The bucket at `now`, refilled by `limit` a minute. Time that has been counted is not counted again: while a clock
    /// is behind, nothing is added. If it is behind by more than it takes to fill the bucket, it was set back, and
    /// counting begins anew from there.
    #[must_use]
    pub fn refilled(self, limit: u32, now: i64) -> Self {
        let full = full(limit);
        let passed = now.saturating_sub(self.at_ms);
        let at_ms = if passed < -FULL_MS { now } else { self.at_ms.max(now) };
        let added = passed.max(0).saturating_mul(i64::from(limit));
        Self { parts: self.parts.saturating_add(added).min(full), at_ms }
    }

    /// Takes `amount` out, or as much as the bucket holds when it is full if that is less; how much that was. If it is
    /// not there, the milliseconds until it is.
    pub fn take(&mut self, limit: u32, amount: u64) -> Result<u64, u64> {
        let amount = amount.min(u64::from(limit));
        let parts = i64::try_from(amount).unwrap_or(i64::MAX).saturating_mul(PARTS);
        let missing = parts.saturating_sub(self.parts);
        if missing > 0 {
            return Err(missing.unsigned_abs().div_ceil(u64::from(limit)).max(1));
        }
        self.parts -= parts;
        Ok(amount)
    }

    /// Puts back what was set aside for a job that has ended, as far as there is room for it, and takes what it has used. To
    /// be done to a refilled bucket: time that has passed until then pays no debt that is only made now.
    pub fn settle(&mut self, limit: u32, reserved: u64, used: u64) {
        self.parts = self.parts.saturating_add(settled(reserved, used)).min(full(limit));
    }

    /// What clients are told of it.
    pub fn gauge(self, limit: u32) -> Gauge {
        let missing = full(limit).saturating_sub(self.parts).max(0).unsigned_abs();
        Gauge {
            limit,
            remaining: self.parts.max(0).unsigned_abs() / PARTS.unsigned_abs(),
            reset_ms: missing.div_ceil(u64::from(limit)),
        }
    }
}

fn full(limit: u32) -> i64 {
    i64::from(limit) * PARTS
}

/// What a job has used beyond what was set aside for it, or below, in the parts that buckets count in.
fn settled(reserved: u64, used: u64) -> i64 {
    let most = u64::from(limits::KEY_LIMIT);
    let parts = |amount: u64| i64::try_from(amount.min(most)).unwrap_or(i64::MAX) * PARTS;
    parts(reserved) - parts(used)
}

/// A bucket, as clients are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// What it holds when it is full.
    pub limit: u32,
    /// What it holds.
    pub remaining: u64,
    /// How long it takes until it is full, in milliseconds.
    pub reset_ms: u64,
}

/// What is left of a key's minute, where it has limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Jobs.
    pub requests: Option<Gauge>,
    /// Tokens.
    pub tokens: Option<Gauge>,
}

/// Why a key may ask for nothing more now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It was revoked or has expired.
    Key,
    /// What it may spend on a day is spent.
    DailyBudget,
    /// What it may spend in a month is spent.
    MonthlyBudget,
    /// As many of its jobs wait as may.
    Queued(u32),
    /// As many of its jobs wait as may where others share the queue.
    Share(u64),
    /// As many requests came within a minute as may.
    Requests {
        /// How many that are.
        limit: u32,
        /// How long until there is room.
        after_ms: u64,
    },
    /// As many tokens were asked for within a minute as may.
    Tokens {
        /// How many that are.
        limit: u32,
        /// How long until there is room.
        after_ms: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    #[test]
    fn a_bucket_refills_as_time_passes() {
        let mut bucket = Bucket::stored(None, NOW).refilled(60, NOW);
        for _ in 0..60 {
            assert_eq!(bucket.take(60, 1), Ok(1));
        }
        assert_eq!(bucket.take(60, 1), Err(1_000), "one a second");
        assert_eq!(bucket.gauge(60), Gauge { limit: 60, remaining: 0, reset_ms: 60_000 });
        let mut later = bucket.refilled(60, NOW + 999);
        assert_eq!(later.take(60, 1), Err(1));
        let mut later = later.refilled(60, NOW + 1_000);
        assert_eq!((later.take(60, 1), later.take(60, 1)), (Ok(1), Err(1_000)));
        let full = later.refilled(60, NOW + 86_400_000);
        assert_eq!(full.gauge(60), Gauge { limit: 60, remaining: 60, reset_ms: 0 }, "and no more");
    }

    #[test]
    fn no_clock_hands_out_extra() {
        // Clocks of several processes that disagree, and one that was set back for good.
        for clocks in [[0, -900, 0, -900], [0, -30_000, 10, -30_000], [0, -3_600_000, -3_600_000, -3_599_990]]
        {
            let mut bucket = Bucket::stored(Some(0), NOW);
            for clock in clocks {
                bucket = bucket.refilled(60, NOW + clock);
                assert!(bucket.parts() <= 600, "{clocks:?}: {bucket:?}");
            }
        }
        // Nor does one that was set back lock anybody out.
        let back = Bucket::stored(Some(0), NOW).refilled(60, NOW - 3_600_000);
        assert_eq!(back.refilled(60, NOW - 3_599_000).gauge(60).remaining, 1);
    }

    #[test]
    fn what_is_larger_than_the_bucket_takes_all_of_it() {
        let mut bucket = Bucket::stored(None, NOW).refilled(100, NOW);
        assert_eq!(bucket.take(100, 5_000), Ok(100));
        assert_eq!(bucket.take(100, 5_000), Err(60_000));
    }

    #[test]
    fn a_debt_is_paid_off_before_anything_is_taken() {
        let mut bucket = Bucket::stored(None, NOW).refilled(100, NOW);
        let reserved = bucket.take(100, 40).expect("room");
        let mut debt = bucket;
        debt.settle(100, reserved, 300);
        assert_eq!(debt.gauge(100), Gauge { limit: 100, remaining: 0, reset_ms: 180_000 }, "{debt:?}");
        let mut paid = debt.refilled(100, NOW + 120_000);
        assert_eq!(paid.take(100, 1), Err(600));
        let mut unused = bucket;
        unused.settle(100, reserved, 10);
        assert_eq!(unused.gauge(100).remaining, 90);
        let mut full = bucket.refilled(100, NOW + 60_000);
        full.settle(100, reserved, 0);
        assert_eq!(full.gauge(100).remaining, 100, "what is put back does not overflow");
    }

    #[test]
    fn a_smaller_limit_counts_at_once() {
        let mut bucket = Bucket::stored(None, NOW).refilled(1_000, NOW).refilled(10, NOW);
        assert_eq!((bucket.take(10, 10), bucket.take(10, 1)), (Ok(10), Err(6_000)));
    }
}
