//! Where workspaces are at home, and which are out.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fmt;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use super::wipe::{DIRECTORY, open_up};
use super::{PASSABLE, PRIVATE, PROJECT};
use crate::schema::ProjectId;

const OUT: &str = ".out";
const IN: &str = ".in";
const GONE: &str = ".gone";

/// The homes of all workspaces, and the slots that they may be in.
#[derive(Clone, Debug)]
pub struct Homes {
    projects: PathBuf,
    slots: PathBuf,
}

/// A workspace that is out, as the name of a file in `.out`. A name needs no second write to be whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose workspace.
    pub project: ProjectId,
    /// Which directory it is.
    pub inode: u64,
    worker: String,
    slot: String,
}

/// Whether a worker lives.
pub enum Worker {
    /// Its process holds its lock.
    Alive,
    /// The lock, where there is one left, keeps others from its folder.
    Dead(Option<File>),
}

impl Homes {
    /// Those in `root/projects`, for slots in `root/slots`; makes both folders.
    pub fn open(root: &Path) -> io::Result<Self> {
        let slots = root.join("slots");
        DirBuilder::new().mode(PASSABLE).recursive(true).create(&slots)?;
        // As those who wipe slots see it: both must come to the same homes.
        let homes = Self::beside(&slots.canonicalize()?);
        for folder in [OUT, IN, GONE] {
            DirBuilder::new().mode(PRIVATE).recursive(true).create(homes.projects.join(folder))?;
        }
        Ok(homes)
    }

    /// The homes that belong to a folder of slots; there need not be any.
    pub fn beside(slots: &Path) -> Self {
        Self { projects: slots.with_file_name("projects"), slots: slots.to_owned() }
    }

    pub(super) fn projects(&self) -> &Path {
        &self.projects
    }

    /// Where something for a project arrives.
    pub(super) fn arrivals(&self, project: ProjectId) -> PathBuf {
        self.all_arrivals().join(project.to_string())
    }

    pub(super) fn all_arrivals(&self) -> PathBuf {
        self.projects.join(IN)
    }

    /// Where a workspace goes that is to be wiped.
    pub(super) fn doomed(&self, project: ProjectId) -> PathBuf {
        self.projects.join(GONE).join(project.to_string())
    }

    /// Moves a workspace from its home to where it is wiped. `false`: another one lies there still.
    pub(super) fn doom(&self, project: ProjectId) -> io::Result<bool> {
        let doomed = self.doomed(project);
        if !self.has(project) {
            return Ok(true);
        }
        if doomed.symlink_metadata().is_ok() {
            return Ok(false);
        }
        open_up(&open(&self.projects, DIRECTORY, Mode::empty())?, project.to_string().as_ref())?;
        fs::rename(self.projects.join(project.to_string()), doomed)?;
        Ok(true)
    }

    /// Held while a workspace moves or it is decided where it is.
    pub fn lock(&self) -> io::Result<File> {
        let lock =
            File::options().create(true).truncate(false).write(true).open(self.projects.join(".lock"))?;
        lock.lock()?;
        Ok(lock)
    }

    /// All that are out, or were when their worker died.
    pub fn records(&self) -> io::Result<Vec<Record>> {
        match fs::read_dir(self.projects.join(OUT)) {
            Ok(entries) => entries
                .map(|entry| Ok(entry?.file_name().to_str().and_then(|name| name.parse().ok())))
                .filter_map(io::Result::transpose)
                .collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The slot that a workspace went into.
    pub fn slot(&self, record: &Record) -> PathBuf {
        self.slots.join(&record.worker).join(&record.slot)
    }

    /// Whether the worker lives into whose slot it went.
    pub fn worker(&self, record: &Record) -> io::Result<Worker> {
        let lock = match File::options().write(true).open(self.slots.join(&record.worker).join("lock")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Worker::Dead(None)),
            lock => lock?,
        };
        match lock.try_lock() {
            Ok(()) => Ok(Worker::Dead(Some(lock))),
            Err(TryLockError::WouldBlock) => Ok(Worker::Alive),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether anything is in the place of the project's home.
    pub fn has(&self, project: ProjectId) -> bool {
        self.projects.join(project.to_string()).symlink_metadata().is_ok()
    }

    /// Makes an empty workspace, if there is none at home.
    pub fn make(&self, project: ProjectId) -> io::Result<()> {
        match DirBuilder::new().mode(PRIVATE).create(self.projects.join(project.to_string())) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    /// Whether this very workspace is at home.
    pub fn is_back(&self, record: &Record) -> io::Result<bool> {
        let home = open(&self.projects, DIRECTORY, Mode::empty())?;
        Ok(look(&home, record.project)?.is_some_and(|stat| record.is(&stat)))
    }

    /// Drops the note that a workspace is out.
    pub fn forget(&self, record: &Record) -> io::Result<()> {
        match fs::remove_file(self.projects.join(OUT).join(record.to_string())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Notes that a workspace goes out, and moves it into the slot.
    pub fn send_out(&self, project: ProjectId, slot: &Path) -> io::Result<(Record, OwnedFd)> {
        let home = open(&self.projects, DIRECTORY, Mode::empty())?;
        let name = project.to_string();
        let itself = openat(&home, name.as_str(), DIRECTORY | OFlag::O_PATH, Mode::empty())?;
        let record = Record::new(project, fstat(&itself)?.st_ino, slot).ok_or(io::ErrorKind::InvalidInput)?;
        let into = open(&slot.join(PROJECT), DIRECTORY, Mode::empty())?;
        File::create(self.projects.join(OUT).join(record.to_string()))?;
        let moved = renameat(&home, name.as_str(), &into, name.as_str());
        if let Err(error) = moved {
            self.forget(&record)?;
            return Err(error.into());
        }
        Ok((record, itself))
    }

    /// Moves a workspace back from where it went; false if it is not there.
    pub fn bring_back(&self, record: &Record) -> io::Result<bool> {
        let slot = self.slot(record);
        let found = open_parent(&slot).and_then(|parent| {
            let slot = open_up(&parent, record.slot.as_ref())?;
            open_up(&slot, PROJECT.as_ref())
        });
        let there = match found {
            Err(error) if is_absence(&error) => return Ok(false),
            there => there?,
        };
        if !look(&there, record.project)?.is_some_and(|stat| record.is(&stat)) {
            return Ok(false);
        }
        let name = std::ffi::CString::new(record.project.to_string())?;
        self.take_home(&there, &name, record).map(|()| true)
    }

    /// Moves a workspace home from wherever it was met. Nothing is ever put in the place of another directory.
    pub fn take_home(&self, from: &OwnedFd, name: &CStr, record: &Record) -> io::Result<()> {
        let home = open(&self.projects, DIRECTORY, Mode::empty())?;
        if look(&home, record.project)?.is_some() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "the project has another directory at home",
            ));
        }
        // The kernel lets a directory move only if it is writable itself.
        open_up(from, std::os::unix::ffi::OsStrExt::from_bytes(name.to_bytes()))?;
        renameat(from, name, &home, record.project.to_string().as_str())?;
        self.forget(record)
    }

    /// What went into the slot at `path`.
    pub fn records_of(&self, path: &Path) -> io::Result<Vec<Record>> {
        Ok(self.records()?.into_iter().filter(|record| self.slot(record) == path).collect())
    }

    /// The slots below `path` into which something went.
    pub fn slots_below(&self, path: &Path) -> io::Result<BTreeSet<PathBuf>> {
        let slots = self.records()?.into_iter().map(|record| self.slot(&record));
        Ok(slots.filter(|slot| slot.starts_with(path) && slot != path && slot.exists()).collect())
    }

    /// Whether a slot is one of those that these homes are for.
    pub fn serve(&self, slot: &Path) -> bool {
        slot.starts_with(&self.slots)
    }

    /// Moves back all that went into slots at or below `path`, as far as it is where it went.
    pub fn bring_back_from(&self, path: &Path) -> io::Result<()> {
        let is_below = |record: &Record| self.slot(record).starts_with(path);
        if !self.records()?.iter().any(is_below) {
            return Ok(());
        }
        let _lock = self.lock()?;
        for record in self.records()?.iter().filter(|record| is_below(record)) {
            self.bring_back(record)?;
        }
        Ok(())
    }
}

fn open_parent(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path.parent().unwrap_or(Path::new("/")), DIRECTORY, Mode::empty())?)
}

fn is_absence(error: &io::Error) -> bool {
    [libc::ENOENT, libc::ENOTDIR, libc::ELOOP].iter().any(|&absent| error.raw_os_error() == Some(absent))
}

fn look(directory: &OwnedFd, project: ProjectId) -> io::Result<Option<FileStat>> {
    match fstatat(directory, project.to_string().as_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Record {
    fn new(project: ProjectId, inode: u64, slot: &Path) -> Option<Self> {
        let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
        Some(Self { project, inode, worker: name(slot.parent()?)?, slot: name(slot)? })
    }

    /// Whether this is the noted directory.
    pub fn is(&self, stat: &FileStat) -> bool {
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        kind == SFlag::S_IFDIR && stat.st_ino == self.inode
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.project, self.inode, self.worker, self.slot)
    }
}

impl FromStr for Record {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let [project, inode, worker, slot] = text.split('.').collect::<Vec<_>>()[..] else { return Err(()) };
        if worker.is_empty() || slot.is_empty() {
            return Err(());
        }
        let (project, inode) = (project.parse().map_err(drop)?, inode.parse().map_err(drop)?);
        Ok(Self { project, inode, worker: worker.to_owned(), slot: slot.to_owned() })
    }
}
