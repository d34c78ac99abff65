//! Giving a tree to another user, although an untrusted program has filled it.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use drover_shared::workspace::DIRECTORY;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::unistd::{Gid, Uid, fchownat};

/// Makes everything in the directory `top`, and then itself, the user's. The top comes last, so that its owner
/// tells that all is done: then nothing is looked at again, since whatever is made in it belongs to the user who
/// works in it.
///
/// No link is followed. A file with names outside of the tree stays who it belongs to: it may be one that
/// somebody else depends on. No process may work in the tree meanwhile. One descriptor at a time goes down and
/// comes back up through `..`, so that no depth exhausts anything.
pub(super) fn give(top: &OwnedFd, uid: u32, gid: u32) -> io::Result<()> {
    let to = User { uid, gid };
    if to.owns(&fstat(top)?) {
        return Ok(());
    }
    let mut linked = Linked::default();
    to.take_tree(top, &mut linked)?;
    linked.finish(top, &to)?;
    Ok(fchownat(top, c"", Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::AT_EMPTY_PATH)?)
}

struct User {
    uid: u32,
    gid: u32,
}

/// Files with several names, by inode: how often each was met, and how many names it has.
#[derive(Default)]
struct Linked(HashMap<u64, (u64, u64)>);

impl User {
    fn owns(&self, stat: &FileStat) -> bool {
        stat.st_uid == self.uid && stat.st_gid == self.gid
    }

    fn take(&self, directory: &OwnedFd, name: &CStr) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        Ok(fchownat(directory, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?)
    }

    fn take_tree(&self, top: &OwnedFd, linked: &mut Linked) -> io::Result<()> {
        walk(top, |directory, name, stat| {
            if !is_directory(stat) && stat.st_nlink > 1 {
                linked.0.entry(stat.st_ino).or_insert((0, stat.st_nlink)).0 += 1;
                return Ok(());
            }
            if self.owns(stat) { Ok(()) } else { self.take(directory, name) }
        })
    }
}

impl Linked {
    /// Takes those whose every name lies in the tree.
    fn finish(self, top: &OwnedFd, to: &User) -> io::Result<()> {
        let outside = self.0.values().filter(|(met, names)| met != names).count();
        if outside > 0 {
            tracing::warn!(files = outside, "files with names outside of their workspace keep their owner");
        }
        if self.0.len() == outside {
            return Ok(());
        }
        walk(top, |directory, name, stat| {
            let is_whole = self.0.get(&stat.st_ino).is_some_and(|(met, names)| met == names);
            if is_whole && !is_directory(stat) && !to.owns(stat) { to.take(directory, name) } else { Ok(()) }
        })
    }
}

fn is_directory(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR
}

/// A directory on the way down: which one, and what in it is still to be entered.
struct Level {
    inode: u64,
    pending: Vec<CString>,
}

/// Calls `visit` for everything below `top`.
fn walk(
    top: &OwnedFd,
    mut visit: impl FnMut(&OwnedFd, &CStr, &FileStat) -> io::Result<()>,
) -> io::Result<()> {
    let mut here = openat(top, c".", DIRECTORY, Mode::empty())?;
    let mut levels = vec![Level { inode: fstat(&here)?.st_ino, pending: look_into(&here, &mut visit)? }];
    while let Some(level) = levels.last_mut() {
        if let Some(name) = level.pending.pop() {
            here = openat(&here, name.as_c_str(), DIRECTORY, Mode::empty())?;
            levels.push(Level { inode: fstat(&here)?.st_ino, pending: look_into(&here, &mut visit)? });
            continue;
        }
        levels.pop();
        if let Some(above) = levels.last() {
            here = openat(&here, c"..", DIRECTORY, Mode::empty())?;
            if fstat(&here)?.st_ino != above.inode {
                return Err(io::Error::other("something moves directories about in the workspace"));
            }
        }
    }
    Ok(())
}

/// Visits what lies in a directory itself; answers the names of the directories in it.
fn look_into(
    directory: &OwnedFd,
    visit: &mut impl FnMut(&OwnedFd, &CStr, &FileStat) -> io::Result<()>,
) -> io::Result<Vec<CString>> {
    let mut directories = Vec::new();
    for entry in Dir::from_fd(directory.as_fd().try_clone_to_owned()?)?.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => continue,
            stat => stat?,
        };
        visit(directory, name, &stat)?;
        if is_directory(&stat) {
            directories.push(name.to_owned());
        }
    }
    Ok(directories)
}
