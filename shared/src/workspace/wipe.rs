//! Removing a directory that an untrusted program has filled.
//!
//! No symbolic link is followed, directories without permissions are opened up first, and however deep the
//! tree, no path grows and no descriptor is kept per level: each directory found is moved up to the top
//! before it is emptied.
//!
//! A project's workspace is not removed: where one is met, it is sent home.

use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::{Homes, Record};
use crate::schema::limits;

/// Removes `path` with all in it, but for workspaces, which move to their `homes` first. Tries again when
/// something is still being written into it.
pub fn wipe(path: &Path, homes: &Homes) -> io::Result<()> {
    homes.bring_back_from(path)?;
    for slot in homes.slots_below(path)? {
        wipe(&slot, homes)?;
    }
    let mut attempt = 1;
    loop {
        match wipe_once(path, homes) {
            Err(error)
                if error.kind() == io::ErrorKind::DirectoryNotEmpty && attempt < limits::WIPE_ATTEMPTS =>
            {
                thread::sleep(Duration::from_millis(10) * attempt);
                attempt += 1;
            }
            result => return result,
        }
    }
}

fn wipe_once(path: &Path, homes: &Homes) -> io::Result<()> {
    let parent = nix::fcntl::open(path.parent().unwrap_or(Path::new("/")), DIRECTORY, Mode::empty())?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let top = open_up(&parent, name)?;
    let mut moved_up: Vec<CString> = Vec::new();
    let spared = Spared { homes, records: homes.records_of(path)? };
    empty(&top, &top, &mut moved_up, &spared)?;
    while let Some(name) = moved_up.pop() {
        let name = OsStr::from_bytes(name.as_bytes());
        let directory = open_up(&top, name)?;
        empty(&directory, &top, &mut moved_up, &spared)?;
        unlinkat(&top, name, UnlinkatFlags::RemoveDir)?;
    }
    unlinkat(&parent, name, UnlinkatFlags::RemoveDir)?;
    spared.forget_destroyed()
}

/// How a directory is opened that nobody may have put a link in the place of.
pub const DIRECTORY: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Opens a directory, having given its owner all permissions. By way of `/proc/self/fd`, because a mode can
/// be changed neither through a descriptor that lacks permissions nor by name without following links.
pub(super) fn open_up(parent: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    let handle = openat(parent, name, DIRECTORY | OFlag::O_PATH, Mode::empty())?;
    let itself = format!("/proc/self/fd/{}", handle.as_raw_fd());
    fs::set_permissions(itself, Permissions::from_mode(0o700))?;
    Ok(openat(&handle, ".", DIRECTORY, Mode::empty())?)
}

/// Removes every file in `directory` and moves every directory in it to the top, under names of our own.
fn empty(
    directory: &OwnedFd,
    top: &OwnedFd,
    moved_up: &mut Vec<CString>,
    spared: &Spared<'_>,
) -> io::Result<()> {
    for (name, is_directory) in list(directory)? {
        if is_directory {
            if spared.sent_home(directory, &name)? {
                continue;
            }
            moved_up.push(move_up(directory, &name, top)?);
            continue;
        }
        match unlinkat(directory, name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The workspaces that may lie somewhere in what is wiped: those that went into this very slot. The inode of one
/// that was destroyed may be a stranger's directory by now, in any other place.
struct Spared<'a> {
    homes: &'a Homes,
    records: Vec<Record>,
}

impl Spared<'_> {
    /// Whether `name` was a workspace, which is at home now.
    fn sent_home(&self, directory: &OwnedFd, name: &CStr) -> io::Result<bool> {
        if self.records.is_empty() {
            return Ok(false);
        }
        let stat = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let Some(record) = self.records.iter().find(|record| record.is(&stat)) else { return Ok(false) };
        let _lock = self.homes.lock()?;
        self.homes.take_home(directory, name, record).map(|()| true)
    }

    /// What was not met anywhere has been removed by the process that worked in it.
    fn forget_destroyed(&self) -> io::Result<()> {
        self.records.iter().try_for_each(|record| self.homes.forget(record))
    }
}

fn list(directory: &OwnedFd) -> io::Result<Vec<(CString, bool)>> {
    let mut entries = Vec::new();
    for entry in Dir::from_fd(directory.as_fd().try_clone_to_owned()?)?.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            entries.push((name.to_owned(), is_directory(directory, &entry)));
        }
    }
    Ok(entries)
}

fn is_directory(directory: &OwnedFd, entry: &nix::dir::Entry) -> bool {
    match entry.file_type() {
        Some(kind) => kind == Type::Directory,
        // Some file systems do not tell.
        None => openat(directory, entry.file_name(), DIRECTORY | OFlag::O_PATH, Mode::empty()).is_ok(),
    }
}

fn move_up(directory: &OwnedFd, name: &CString, top: &OwnedFd) -> io::Result<CString> {
    // The kernel lets a directory move only if it is writable itself.
    open_up(directory, OsStr::from_bytes(name.as_bytes()))?;
    let ours = CString::new(format!(".wiped-{}", uuid::Uuid::new_v4().simple()))?;
    renameat(directory, name.as_c_str(), top, ours.as_c_str())?;
    Ok(ours)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn wipe(path: &Path) -> io::Result<()> {
        super::wipe(path, &Homes::beside(path))
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let place = tempfile::tempdir().expect("a directory");
        let outside = place.path().join("outside");
        fs::create_dir_all(&outside).expect("created");
        fs::write(outside.join("precious"), "kept").expect("written");
        let slot = place.path().join("slot");
        fs::create_dir_all(slot.join("work")).expect("created");
        symlink(&outside, slot.join("work/link")).expect("linked");
        symlink("/no/such/place", slot.join("dangling")).expect("linked");

        wipe(&slot).expect("wiped");
        assert!(!slot.exists());
        assert_eq!(fs::read_to_string(outside.join("precious")).expect("still there"), "kept");

        symlink(&outside, &slot).expect("linked");
        wipe(&slot).expect_err("a link in the place of the directory itself is not entered");
        assert!(outside.join("precious").exists());
    }

    #[test]
    fn permissions_keep_nothing_alive() {
        let place = tempfile::tempdir().expect("a directory");
        let slot = place.path().join("slot");
        fs::create_dir_all(slot.join("a/b")).expect("created");
        fs::write(slot.join("a/b/file"), "x").expect("written");
        for (path, mode) in [("a/b/file", 0o000), ("a/b", 0o000), ("a", 0o555), ("", 0o500)] {
            fs::set_permissions(slot.join(path), Permissions::from_mode(mode)).expect("set");
        }
        wipe(&slot).expect("wiped");
        assert!(!slot.exists());
    }

    #[test]
    fn a_tree_deeper_than_any_path_or_descriptor_limit_is_removed() {
        let place = tempfile::tempdir().expect("a directory");
        let slot = place.path().join("slot");
        fs::create_dir(&slot).expect("created");
        let mut here = nix::fcntl::open(&slot, DIRECTORY, Mode::empty()).expect("opened");
        for _ in 0..3_000 {
            nix::sys::stat::mkdirat(&here, "deeper", Mode::S_IRWXU).expect("created");
            here = openat(&here, "deeper", DIRECTORY, Mode::empty()).expect("opened");
        }
        wipe(&slot).expect("wiped");
        assert!(!slot.exists());
    }
}
