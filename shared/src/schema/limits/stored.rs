//! What clients store.

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
