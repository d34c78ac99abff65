//! How much of the disk a directory fills.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use nix::dir::Dir;
use nix::fcntl::{AtFlags, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use super::wipe::DIRECTORY;
use crate::schema::limits;

/// What a directory holds. Counting stops past the bounds, so these may be less than the truth then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Bytes on disk.
    pub bytes: u64,
    /// Files and directories.
    pub files: usize,
    /// Whether it nests deeper than anybody looks.
    pub too_deep: bool,
}

/// Adds up a tree on one file system, following no link; files with several names count once. What vanishes
/// meanwhile, or may not be read, does not count.
pub fn measure(top: OwnedFd, most_bytes: u64) -> Used {
    let mut used = Used::default();
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
    use std::path::Path;

    use nix::fcntl::open;

    use super::*;

    fn measure_at(path: &Path, most_bytes: u64) -> Used {
        measure(open(path, DIRECTORY, Mode::empty()).expect("a directory"), most_bytes)
    }

    #[test]
    fn links_add_nothing_and_are_not_followed() {
        let place = tempfile::tempdir().expect("a directory");
        let outside = place.path().join("outside");
        let slot = place.path().join("slot");
        fs::create_dir(&outside).expect("created");
        fs::create_dir_all(slot.join("a/b")).expect("created");
        fs::write(outside.join("huge"), vec![1; 4 << 20]).expect("written");
        fs::write(slot.join("a/b/file"), vec![1; 1 << 20]).expect("written");
        let alone = measure_at(&slot, u64::MAX);
        assert!((1 << 20..2 << 20).contains(&alone.bytes), "{alone:?}");
        assert_eq!(alone.files, 3);

        symlink(&outside, slot.join("link")).expect("linked");
        fs::hard_link(slot.join("a/b/file"), slot.join("again")).expect("linked");
        let linked = measure_at(&slot, u64::MAX);
        assert!(linked.bytes < 2 << 20, "{linked:?}");
    }

    #[test]
    fn counting_stops_past_the_bound() {
        let place = tempfile::tempdir().expect("a directory");
        for name in 0..20 {
            fs::write(place.path().join(name.to_string()), vec![1; 1 << 20]).expect("written");
        }
        let used = measure_at(place.path(), 3 << 20);
        assert!((3 << 20..6 << 20).contains(&used.bytes), "{used:?}");
    }

    #[test]
    fn a_tree_too_deep_to_look_into_is_told() {
        let place = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(place.path().join("d/".repeat(limits::SLOT_DEPTH - 1))).expect("created");
        assert!(!measure_at(place.path(), u64::MAX).too_deep);
        fs::create_dir_all(place.path().join("d/".repeat(limits::SLOT_DEPTH))).expect("created");
        assert!(measure_at(place.path(), u64::MAX).too_deep);
    }
}
