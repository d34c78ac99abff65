//! Files that clients upload.

/// Largest file, in bytes: the largest PDF that providers read (Anthropic API reference, "PDF support": 32 MB).
pub const FILE_BYTES: u64 = 32 << 20;
/// What the files of one key hold together at most, in bytes.
pub const FILES_BYTES: u64 = 1 << 30;
/// What a form may hold besides its file, in bytes.
pub const FORM_BYTES: u64 = 64 << 10;
/// Longest field of a form that is no file, in bytes.
pub const FORM_FIELD_BYTES: u64 = 1 << 10;
/// How much of a file is stored, and read, at a time, in bytes: a commit takes milliseconds.
pub const FILE_PIECE_BYTES: usize = 1 << 20;
/// Longest name of a file, in characters: what file systems take.
pub const FILE_NAME_CHARS: usize = 255;
/// How long a file may be asked to be kept, in seconds: from an hour to 30 days (OpenAI API, `expires_after`).
pub const FILE_LIFE_SECS: (i64, i64) = (3_600, 2_592_000);
/// Files that one answer lists at most, and unless it is told (OpenAI API, `limit`).
pub const UPLOADS_LISTED: u32 = 10_000;
/// What the files that a request shows hold together at most, in bytes: what would fit into it as base64.
pub const FILES_SHOWN_BYTES: usize = super::REQUEST_BODY_BYTES / 4 * 3;
/// How long a file may take to come in before it counts as abandoned: far longer than its request may take.
pub const FILE_STALE: std::time::Duration = std::time::Duration::from_hours(1);
