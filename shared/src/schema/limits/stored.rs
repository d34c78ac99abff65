//! What clients store, and what they say of their jobs.

use std::time::Duration;

/// Most labels of a stored completion (OpenAI API, `metadata`).
pub const LABELS: usize = 16;
/// Longest name of one, and longest label, in characters; likewise.
pub const LABEL_NAME_CHARS: usize = 64;
/// See [`LABEL_NAME_CHARS`].
pub const LABEL_CHARS: usize = 512;
/// Items of a list that one answer holds at most, and unless it is told (OpenAI API, `limit`).
pub const LISTED: u32 = 100;
/// See [`LISTED`].
pub const LISTED_USUALLY: u32 = 20;
/// How long stored completions are kept by default, in days; OpenAI's own time.
pub const STORED_DAYS: u32 = 30;

// --- Jobs of a key ------------------------------------------------------------------------------------

/// How far the jobs of a list are counted for its total: counting walks them all, and nobody turns so many pages.
pub const JOBS_COUNTED: u32 = 10_000;
/// Most labels of a job.
pub const TAGS: usize = 16;
/// Longest label of a job, in characters: it is a name, not a text.
pub const TAG_CHARS: usize = 64;
/// How far ahead a job may be meant to run: files and prices change, and a mistaken unit of time is noticed.
pub const RUN_AHEAD: Duration = Duration::from_hours(24 * 30);
/// How long a job may be left to wait once its time has come, where its client says so.
pub const WAIT_LONGEST: Duration = RUN_AHEAD;
