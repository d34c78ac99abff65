//! The files of one workspace, whatever runs in it meanwhile.
//!
//! Every path is resolved by the kernel, beneath the workspace's descriptor and without links (`openat2`), or by
//! single names from one directory's descriptor to the next. Nothing is ever written in place: a file is received
//! elsewhere and renamed. What is put in the way meanwhile (links, pipes, directories that move) is refused, or moves
//! within what the agent could reach anyway.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, renameat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, geteuid, unlinkat};
use uuid::Uuid;

use super::incoming::{Gate, Incoming, Staged};
use super::walk::Kind;
use super::wipe::open_up;
use super::{FilePath, Used, measure};

/// A workspace, wherever it is: it may move while this is held.
pub struct Tree {
    top: OwnedFd,
}

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Nothing has that name.
    #[error("there is no such file")]
    NotFound,
    /// A file is asked for, and there is a directory.
    #[error("it is a directory")]
    IsDirectory,
    /// The way leads through something that is no directory, or one is asked for and there is none.
    #[error("it is no directory")]
    NotDirectory,
    /// A link: they are never followed.
    #[error("it is a link, or leads through one")]
    Link,
    /// A pipe, a socket or a device.
    #[error("it is neither a file nor a directory")]
    Special,
    /// A directory that holds something.
    #[error("the directory is not empty")]
    NotEmpty,
    /// Its permissions, or it has a name outside of the project.
    #[error("its permissions forbid it")]
    Forbidden,
    /// A directory that holds more than anybody may.
    #[error("the directory holds too many files to be listed")]
    Crowded,
    /// The disk or its quota is full.
    #[error("the disk is full")]
    Full,
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<Errno> for FileError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::ENOENT => Self::NotFound,
            Errno::EISDIR => Self::IsDirectory,
            Errno::ENOTDIR => Self::NotDirectory,
            Errno::ELOOP | Errno::EXDEV => Self::Link,
            Errno::ENXIO | Errno::ENODEV => Self::Special,
            Errno::ENOTEMPTY | Errno::EEXIST => Self::NotEmpty,
            Errno::EACCES | Errno::EPERM => Self::Forbidden,
            Errno::ENOSPC | Errno::EDQUOT => Self::Full,
            error => Self::Io(error.into()),
        }
    }
}

/// What is told of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// What it is.
    pub kind: Kind,
    /// How much it holds.
    pub bytes: u64,
    /// When that changed last, in milliseconds since the Unix epoch.
    pub modified_ms: i64,
    /// Whether its owner may run it.
    pub executable: bool,
}

/// What became of a file that was put in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// What is there now.
    pub meta: Meta,
    /// Whether there was nothing before.
    pub created: bool,
}

const BENEATH: ResolveFlag = ResolveFlag::RESOLVE_BENEATH
    .union(ResolveFlag::RESOLVE_NO_SYMLINKS)
    .union(ResolveFlag::RESOLVE_NO_MAGICLINKS)
    .union(ResolveFlag::RESOLVE_NO_XDEV);
/// A directory to go on from. Without `O_NOFOLLOW`, so that a link is told from other things that are none.
const HANDLE: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_PATH);

impl Tree {
    /// The workspace with this descriptor at its top.
    pub fn new(top: OwnedFd) -> Self {
        Self { top }
    }

    fn open(&self, path: &CStr, flags: OFlag) -> Result<OwnedFd, Errno> {
        beneath(&self.top, path, flags)
    }

    /// Opens a file for reading. Never waits, whatever stands there.
    pub fn read(&self, path: &FilePath) -> Result<(File, Meta), FileError> {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY;
        self.checked(self.open(path.whole(), flags)?)
    }

    /// The same, from its directory.
    pub(super) fn read_in(&self, directory: &OwnedFd, name: &CStr) -> Result<(File, Meta), FileError> {
        let flags =
            OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        self.checked(openat(directory, name, flags, Mode::empty())?)
    }

    /// A file that belongs to somebody else and has several names may be one from outside of the project.
    fn checked(&self, file: OwnedFd) -> Result<(File, Meta), FileError> {
        let stat = fstat(&file)?;
        let meta = Meta::of(&stat);
        match meta.kind {
            Kind::File if stat.st_nlink > 1 && stat.st_uid != fstat(&self.top)?.st_uid => {
                Err(FileError::Forbidden)
            }
            Kind::File => Ok((File::from(file), meta)),
            Kind::Directory => Err(FileError::IsDirectory),
            Kind::Link => Err(FileError::Link),
            Kind::Other => Err(FileError::Special),
        }
    }

    /// Opens a directory, the top if none is named.
    pub fn directory(&self, path: Option<&FilePath>) -> Result<OwnedFd, FileError> {
        Ok(self.open(path.map_or(c".", FilePath::whole), OFlag::O_DIRECTORY)?)
    }

    /// What stands there.
    pub fn meta(&self, path: &FilePath) -> Result<Meta, FileError> {
        Ok(Meta::of(&fstat(&self.open(path.whole(), OFlag::O_PATH | OFlag::O_NOFOLLOW)?)?))
    }

    /// What the workspace holds, up to so many bytes.
    pub fn used(&self, most_bytes: u64) -> Result<Used, FileError> {
        Ok(measure(self.directory(None)?, most_bytes))
    }

    /// Puts a file that has been received in its place, instead of the one that is there, and makes the
    /// directories on the way. It belongs to whom the workspace belongs to.
    pub fn place(&self, mut staged: Staged, path: &FilePath, _gate: &Gate) -> Result<Placed, FileError> {
        let owner = fstat(&self.top)?;
        let (way, name) = path.split().ok_or(FileError::NotFound)?;
        let directory =
            way.iter().try_fold(self.open(c".", HANDLE)?, |above, name| step_into(&above, name, &owner))?;
        let before = match fstatat(&directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => None,
            before => Some(Meta::of(&before?)),
        };
        match before {
            Some(Meta { kind: Kind::Directory, .. }) => return Err(FileError::IsDirectory),
            // A script stays one.
            Some(Meta { kind: Kind::File, executable: true, .. }) => fchmod(&staged.file, Mode::S_IRWXU)?,
            _ => {}
        }
        give(&staged.file, &owner)?;
        renameat(&staged.folder, staged.name.as_str(), &directory, name)?;
        staged.placed = true;
        Ok(Placed { meta: Meta::of(&fstat(&staged.file)?), created: before.is_none() })
    }

    /// Removes a file, or a directory; one that holds something only if that is `recursive`.
    pub fn remove(&self, path: &FilePath, recursive: bool, incoming: &Incoming) -> Result<(), FileError> {
        let gate = incoming.gate()?;
        let parent = match path.parent() {
            Some(parent) => self.open(parent.whole(), HANDLE)?,
            None => self.open(c".", HANDLE)?,
        };
        let (_, name) = path.split().ok_or(FileError::NotFound)?;
        let stat = fstatat(&parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        if Meta::of(&stat).kind != Kind::Directory {
            return Ok(unlinkat(&parent, name, UnlinkatFlags::NoRemoveDir)?);
        }
        if !recursive {
            return Ok(unlinkat(&parent, name, UnlinkatFlags::RemoveDir)?);
        }
        // The kernel lets a directory move only if it is writable itself.
        open_up(&parent, std::os::unix::ffi::OsStrExt::from_bytes(name.to_bytes()))?;
        let aside = Uuid::new_v4().simple().to_string();
        renameat(&parent, name, incoming.folder(), aside.as_str())?;
        drop(gate);
        incoming.wipe(&aside);
        Ok(())
    }
}

/// Opens a directory, making it if it is missing.
fn step_into(above: &OwnedFd, name: &CStr, owner: &FileStat) -> Result<OwnedFd, FileError> {
    match beneath(above, name, HANDLE) {
        Err(Errno::ENOENT) => {}
        there => return Ok(there?),
    }
    match mkdirat(above, name, Mode::S_IRWXU) {
        // Somebody was faster.
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let made = beneath(above, name, OFlag::O_DIRECTORY)?;
    give(&made, owner)?;
    Ok(made)
}

fn beneath(above: &OwnedFd, path: &CStr, flags: OFlag) -> Result<OwnedFd, Errno> {
    openat2(above, path, OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(BENEATH))
}

/// Makes the workspace's owner the owner of what we have made. What is anybody else's stays.
fn give(made: &impl AsFd, owner: &FileStat) -> Result<(), Errno> {
    let stat = fstat(made)?;
    if stat.st_uid != geteuid().as_raw() || stat.st_uid == owner.st_uid && stat.st_gid == owner.st_gid {
        return Ok(());
    }
    fchown(made, Some(Uid::from_raw(owner.st_uid)), Some(Gid::from_raw(owner.st_gid)))
}

impl Meta {
    pub(super) fn of(stat: &FileStat) -> Self {
        let modified_ms = stat.st_mtime.saturating_mul(1_000).saturating_add(stat.st_mtime_nsec / 1_000_000);
        Self {
            kind: Kind::of(stat),
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            modified_ms,
            executable: stat.st_mode & Mode::S_IXUSR.bits() != 0,
        }
    }
}
