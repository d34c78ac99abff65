//! Looking through a workspace while something else moves in it.

use std::cmp::Ordering;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use nix::dir::Dir;
use nix::fcntl::{AtFlags, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use super::inventory::Stamp;
use super::wipe::DIRECTORY;
use super::{FileError, FilePath, Meta, Tree};
use crate::schema::limits;

/// What kind of thing a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file that can be read.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; it is not followed.
    Link,
    /// A pipe, a socket or a device.
    Other,
}

impl Kind {
    pub(super) fn of(stat: &FileStat) -> Self {
        match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => Self::File,
            SFlag::S_IFDIR => Self::Directory,
            SFlag::S_IFLNK => Self::Link,
            _ => Self::Other,
        }
    }
}

/// Something that was met.
#[derive(Debug)]
pub struct Entry {
    /// The way to it, from the top of the workspace.
    pub path: Vec<u8>,
    /// What it is.
    pub meta: Meta,
    pub(super) stamp: Stamp,
    name: CString,
}

/// Meets everything below a directory, a directory before what it holds, names in the order of their bytes. What
/// vanishes meanwhile, cannot be opened, or lies deeper than [`limits::PROJECT_DEPTH`] is not entered.
pub struct Walk {
    levels: Vec<Level>,
    device: u64,
    recursive: bool,
    /// The name of directories that are met and not entered.
    without: &'static [u8],
    passed_over: bool,
}

struct Level {
    directory: OwnedFd,
    /// The way to it, with a slash at its end.
    prefix: Vec<u8>,
    /// Still to be met; the next one is the last.
    names: Vec<CString>,
}

impl Walk {
    /// From a directory at `path` on (the top of the workspace, if that is none), and `recursive`ly, if wanted.
    pub fn new(directory: OwnedFd, path: Option<&FilePath>, recursive: bool) -> Result<Self, FileError> {
        let device = fstat(&directory)?.st_dev;
        let mut prefix = path.map_or_else(Vec::new, |path| path.bytes().to_owned());
        if path.is_some() {
            prefix.push(b'/');
        }
        let levels = vec![Level::read(directory, prefix)?];
        Ok(Self { levels, device, recursive, without: b"", passed_over: false })
    }

    /// The same, which enters no directory of that name.
    pub(super) fn without(self, name: &'static [u8]) -> Self {
        Self { without: name, ..self }
    }

    /// Whether there was a directory that it could not enter.
    pub(super) fn has_passed_over(&self) -> bool {
        self.passed_over
    }

    /// Passes over what comes before or at `after`, which need not exist any more, and lies below where the walk
    /// began.
    pub fn skip_to(&mut self, after: &FilePath) {
        let Some(top) = self.levels.first() else { return };
        let Some(rest) = after.bytes().strip_prefix(top.prefix.as_slice()) else { return };
        for name in rest.split(|byte| *byte == b'/') {
            let Some(level) = self.levels.last_mut() else { return };
            let mut is_there = false;
            while let Some(next) = level.names.last() {
                match next.to_bytes().cmp(name) {
                    Ordering::Less => {}
                    Ordering::Equal => is_there = true,
                    Ordering::Greater => break,
                }
                level.names.pop();
            }
            let name = CString::new(name).unwrap_or_default();
            if !is_there || !self.recursive || !self.enter(&name) {
                return;
            }
        }
    }

    /// Opens the file that was met last.
    pub fn read(&self, tree: &Tree, met: &Entry) -> Result<(File, Meta), FileError> {
        // Only a directory is entered, so a file still lies in the level that it was met in.
        let level = self.levels.last().ok_or(FileError::NotFound)?;
        tree.read_in(&level.directory, &met.name)
    }

    /// Goes down into a directory; false if that cannot be.
    fn enter(&mut self, name: &CStr) -> bool {
        let Some(level) = self.levels.last() else { return false };
        if self.levels.len() > limits::PROJECT_DEPTH {
            return false;
        }
        let Ok(directory) = openat(&level.directory, name, DIRECTORY, Mode::empty()) else { return false };
        if fstat(&directory).is_ok_and(|stat| stat.st_dev != self.device) {
            return false;
        }
        let prefix = [&level.prefix, name.to_bytes(), b"/"].concat();
        Level::read(directory, prefix).map(|level| self.levels.push(level)).is_ok()
    }
}

impl Iterator for Walk {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let level = self.levels.last_mut()?;
            let Some(name) = level.names.pop() else {
                self.levels.pop();
                continue;
            };
            let Ok(stat) = fstatat(&level.directory, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) else {
                continue;
            };
            let path = [&level.prefix, name.to_bytes()].concat();
            let meta = Meta::of(&stat);
            if meta.kind == Kind::Directory && self.recursive && name.to_bytes() != self.without {
                self.passed_over |= !self.enter(&name);
            }
            return Some(Entry { path, meta, stamp: Stamp::of(&stat), name });
        }
    }
}

impl Level {
    fn read(directory: OwnedFd, prefix: Vec<u8>) -> Result<Self, FileError> {
        let mut names = Vec::new();
        for entry in Dir::from_fd(directory.as_fd().try_clone_to_owned()?)?.iter() {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            if names.len() >= limits::SLOT_FILES {
                return Err(FileError::Crowded);
            }
            names.push(name.to_owned());
        }
        names.sort_unstable_by(|one, other| other.cmp(one));
        Ok(Self { directory, prefix, names })
    }
}
