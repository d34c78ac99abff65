//! How much of the disk a directory fills, measured when it may have changed.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use drover_shared::schema::limits;
use drover_shared::workspace::{DIRECTORY, Used, measure};
use nix::fcntl::open;
use nix::sys::stat::Mode;
use nix::sys::statvfs::statvfs;

/// Looks at a directory as seldom as possible: the file system's free space tells cheaply that nothing much
/// can have been written since the last look.
#[derive(Debug)]
pub(super) struct DiskMeter {
    path: PathBuf,
    most_bytes: u64,
    used: Used,
    free_then: Free,
    looks_skipped: u32,
}

/// What a file system has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Free {
    bytes: u64,
    files: u64,
}

/// One walk at a time in this process, so that many full slots do not occupy the disk together.
static WALKING: Mutex<()> = Mutex::new(());

impl DiskMeter {
    /// For the directory at `path`, which may fill `most_bytes`.
    pub(super) fn new(path: &Path, most_bytes: u64) -> Self {
        let free_then = free(path).unwrap_or_default();
        Self { path: path.to_owned(), most_bytes, used: Used::default(), free_then, looks_skipped: 0 }
    }

    /// What the directory holds, as far as it matters. Blocks.
    pub(super) fn measure(&mut self) -> Used {
        let Some(free_now) = free(&self.path) else { return self.used };
        self.looks_skipped += 1;
        let may_be_fuller = shrunk(self.free_then, free_now, self.room());
        // Somebody else may have freed what this one has filled.
        let overdue = self.looks_skipped >= limits::DISK_LOOKS_SKIPPED && free_now != self.free_then;
        if may_be_fuller || overdue {
            let _alone = WALKING.lock().unwrap_or_else(PoisonError::into_inner);
            let top = open(&self.path, DIRECTORY, Mode::empty());
            self.used = top.map(|top| measure(top, self.most_bytes)).unwrap_or_default();
            (self.free_then, self.looks_skipped) = (free_now, 0);
        }
        self.used
    }

    fn room(&self) -> Free {
        let files = limits::SLOT_FILES.saturating_sub(self.used.files) as u64;
        let least = Free { bytes: self.most_bytes / 64, files: limits::SLOT_FILES as u64 / 64 };
        Free {
            bytes: (self.most_bytes.saturating_sub(self.used.bytes) / 8).max(least.bytes),
            files: (files / 8).max(least.files),
        }
    }
}

fn free(path: &Path) -> Option<Free> {
    let told = statvfs(path).ok()?;
    Some(Free { bytes: told.blocks_free().saturating_mul(told.fragment_size()), files: told.files_free() })
}

/// Whether so much was taken that a walk is worth it.
fn shrunk(then: Free, now: Free, worth: Free) -> bool {
    then.bytes.saturating_sub(now.bytes) >= worth.bytes || then.files.saturating_sub(now.files) >= worth.files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_that_hardly_shrinks_is_not_worth_a_walk() {
        let worth = Free { bytes: 100, files: 10 };
        let then = Free { bytes: 1_000, files: 50 };
        assert!(!shrunk(then, Free { bytes: 901, files: 41 }, worth));
        assert!(shrunk(then, Free { bytes: 900, files: 50 }, worth));
        assert!(shrunk(then, Free { bytes: 2_000, files: 40 }, worth));
    }
}
