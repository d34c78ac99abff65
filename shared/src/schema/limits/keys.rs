//! API keys.

use std::time::Duration;

/// Most keys that are valid at a time: every api remembers them all, and reads them again when one has changed.
pub const KEYS: u32 = 10_000;
/// How long an api relies on what it remembers of keys: within this time a revoked key is refused and a new one known,
/// and no flood of wrong ones has the store asked more often.
pub const KEYS_FRESH: Duration = Duration::from_secs(1);
/// How long an api goes on with what it remembers of keys while the store does not tell: longer than the store is locked by
/// anything ordinary, and as long at most as a revoked key opens anything then.
pub const KEYS_KEPT: Duration = Duration::from_secs(30);
/// How long the store may take to tell while there is something to go on with, and how long after it has failed to an api
/// asks again: requests that come meanwhile do not wait for it.
pub const KEYS_RETRY: Duration = Duration::from_millis(500);
/// How long is remembered what was spent: no budget looks back further than the month that it is, and clocks may differ.
pub const SPENT_KEPT: Duration = Duration::from_hours(62 * 24);
/// How often an api writes down which keys were used.
pub const KEYS_USED: Duration = Duration::from_mins(1);
/// The part of the queue that one of several keys may fill: half of it, so that a single one never keeps all others out,
/// and is hardly held up where the others ask for little.
pub const QUEUE_OWNERS: u64 = 2;
/// Largest limit of a key per minute, and largest number of its jobs: what is kept of it, in sixty-thousandths, is far
/// from overflowing.
pub const KEY_LIMIT: u32 = 1_000_000_000;
/// Furthest priority of a key from the usual one, which is 0.
pub const KEY_PRIORITY: i32 = 1_000;
/// Largest budget of a key, in millionths of a US dollar: a billion dollars.
pub const KEY_BUDGET_MICROUSD: u64 = 1_000_000_000_000_000;
/// Bytes of text that are taken for a token before anybody has counted.
pub const BYTES_PER_TOKEN: usize = 4;
/// Tokens that an image is taken for (Anthropic API reference, "Vision": about 1,600 for one of the largest kind).
pub const IMAGE_TOKENS: u64 = 1_600;
/// Tokens that an answer is taken for whose request says no limit: most are shorter, and what is used is counted at the
/// job's end.
pub const ANSWER_TOKENS: u64 = 1_024;
