//! How much of the disk a directory fills, measured when it may have changed.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use drover_shared::schema::limits;
use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::sys::statvfs::statvfs;

/// What a directory holds. Counting stops past the bounds, so these may be less than the truth then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) bytes: u64,
    pub(super) files: usize,
    pub(super) too_deep: bool,
}

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
            self.used = walk(&self.path, self.most_bytes);
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

const DIRECTORY: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Adds up a tree on one file system, following no link; files with several names count once. What vanishes
/// meanwhile, or may not be read, does not count.
fn walk(path: &Path, most_bytes: u64) -> Used {
    let mut used = Used::default();
    let Ok(top) = open(path, DIRECTORY, Mode::empty()) else { return used };
    let Ok(device) = fstat(&top).map(|stat| stat.st_dev) else { return used };
    let mut linked = HashSet::new();
    let names = look_into(&top, device, most_bytes, &mut used, &mut linked);
    let mut levels = vec![(top, names)];
    while let Some((directory, names)) = levels.last_mut() {
        let Some(name) = names.pop() else {
            levels.pop();
            continue;
        };
        let Ok(next) = openat(&*directory, name.as_c_str(), DIRECTORY, Mode::empty()) else { continue };
        if levels.len() >= limits::SLOT_DEPTH {
            used.too_deep = true;
            return used;
        }
        let names = look_into(&next, device, most_bytes, &mut used, &mut linked);
        if used.bytes > most_bytes || used.files > limits::SLOT_FILES {
            return used;
        }
        levels.push((next, names));
    }
    used
}

/// Adds what lies in a directory itself; answers the names of the directories in it.
fn look_into(
    directory: &OwnedFd,
    device: u64,
    most_bytes: u64,
    used: &mut Used,
    linked: &mut HashSet<u64>,
) -> Vec<CString> {
    let mut directories = Vec::new();
    let Ok(mut entries) =
        directory.as_fd().try_clone_to_owned().map_err(drop).and_then(|fd| Dir::from_fd(fd).map_err(drop))
    else {
        return directories;
    };
    for entry in entries.iter().flatten() {
        let name = entry.file_name();
        let Some(stat) = stat(directory, name).filter(|stat| stat.st_dev == device) else { continue };
        let is_directory = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR;
        if !is_directory && stat.st_nlink > 1 && !linked.insert(stat.st_ino) {
            continue;
        }
        used.files += 1;
        used.bytes += stat.st_blocks.cast_unsigned() * 512;
        if is_directory {
            directories.push(name.to_owned());
        }
        if used.bytes > most_bytes || used.files > limits::SLOT_FILES {
            break;
        }
    }
    directories
}

fn stat(directory: &OwnedFd, name: &CStr) -> Option<FileStat> {
    let is_itself = name == c"." || name == c"..";
    (!is_itself).then(|| fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_add_nothing_and_are_not_followed() {
        let place = tempfile::tempdir().expect("a directory");
        let outside = place.path().join("outside");
        let slot = place.path().join("slot");
        fs::create_dir(&outside).expect("created");
        fs::create_dir_all(slot.join("a/b")).expect("created");
        fs::write(outside.join("huge"), vec![1; 4 << 20]).expect("written");
        fs::write(slot.join("a/b/file"), vec![1; 1 << 20]).expect("written");
        let alone = walk(&slot, u64::MAX);
        assert!((1 << 20..2 << 20).contains(&alone.bytes), "{alone:?}");
        assert_eq!(alone.files, 3);

        symlink(&outside, slot.join("link")).expect("linked");
        fs::hard_link(slot.join("a/b/file"), slot.join("again")).expect("linked");
        let linked = walk(&slot, u64::MAX);
        assert!(linked.bytes < 2 << 20, "{linked:?}");
    }

    #[test]
    fn counting_stops_past_the_bound() {
        let place = tempfile::tempdir().expect("a directory");
        for name in 0..20 {
            fs::write(place.path().join(name.to_string()), vec![1; 1 << 20]).expect("written");
        }
        let used = walk(place.path(), 3 << 20);
        assert!((3 << 20..6 << 20).contains(&used.bytes), "{used:?}");
    }

    #[test]
    fn a_tree_too_deep_to_look_into_is_told() {
        let place = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(place.path().join("d/".repeat(limits::SLOT_DEPTH - 1))).expect("created");
        assert!(!walk(place.path(), u64::MAX).too_deep);
        fs::create_dir_all(place.path().join("d/".repeat(limits::SLOT_DEPTH))).expect("created");
        assert!(walk(place.path(), u64::MAX).too_deep);
    }

    #[test]
    fn free_space_that_hardly_shrinks_is_not_worth_a_walk() {
        let worth = Free { bytes: 100, files: 10 };
        let then = Free { bytes: 1_000, files: 50 };
        assert!(!shrunk(then, Free { bytes: 901, files: 41 }, worth));
        assert!(shrunk(then, Free { bytes: 900, files: 50 }, worth));
        assert!(shrunk(then, Free { bytes: 2_000, files: 40 }, worth));
    }
}
