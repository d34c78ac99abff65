//! The files of projects.

use std::time::Duration;

/// What a project's files may fill by default, in megabytes: half of what its slot may ([`SLOT_DISK_MB`](super::SLOT_DISK_MB)), so that an
/// agent has room to build what it was given.
pub const PROJECT_MB: u64 = 5_120;
/// Largest upload by default, in megabytes: OpenAI's own limit for a file.
pub const UPLOAD_MB: u64 = 512;
/// How long an upload may take: the largest one then needs 1.2 Mbit/s.
pub const UPLOAD: Duration = Duration::from_hours(1);
/// How long an upload may pause, and a reader of an archive.
pub const UPLOAD_STALL: Duration = Duration::from_mins(1);
/// Files of one form.
pub const UPLOADED_FILES: usize = 1_000;
/// Files that one answer lists at most, and unless another number is asked for.
pub const FILES_LISTED: u32 = 10_000;
/// See [`FILES_LISTED`].
pub const FILES_LISTED_USUAL: u32 = 1_000;
/// Archives that one api packs at a time; each occupies a thread and a core.
pub const ARCHIVES: usize = 4;
/// Pieces of an archive that wait for its reader.
pub const ARCHIVE_BACKLOG: usize = 16;
/// How long packing one may take, and reading it: what a project may hold by default then needs 12 Mbit/s.
pub const ARCHIVE: Duration = Duration::from_hours(1);
/// Most that an archive holds before it is packed, in bytes: twice what a slot may fill. Files with holes may claim any
/// size.
pub const ARCHIVE_BYTES: u64 = 20 << 30;
/// Size of its pieces, in bytes.
pub const ARCHIVE_PIECE_BYTES: usize = 32 << 10;
/// Requests of one api that look through files at a time; each occupies a thread and the disk.
pub const FILE_WORK: usize = 16;
/// Longest path of a file in a project, in bytes: with the slot's own it stays within the kernel's 4,096.
pub const PROJECT_PATH_BYTES: usize = 2_048;
/// Longest name of a file, in bytes (`NAME_MAX`).
pub const PROJECT_NAME_BYTES: usize = 255;
/// How deep directories may nest in a project, as far as its files can be named from outside: a slot may be as deep as
/// [`SLOT_DEPTH`](super::SLOT_DEPTH), and a project lies a few levels down in it.
pub const PROJECT_DEPTH: usize = 120;
