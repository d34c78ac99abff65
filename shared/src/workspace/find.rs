//! Where a workspace is now, for who only wants its files.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, fstat};

use super::homes::{Homes, Record, Worker};
use super::wipe::{DIRECTORY, open_up, wipe};
use super::{PROJECT, Tree};
use crate::schema::ProjectId;

/// Why a workspace cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// It went into a slot and is not where it was put. It comes back when the slot is wiped.
    #[error("the project's files are not where they should be")]
    Lost,
    /// There are two directories for it.
    #[error("the project's files lie in two places")]
    Twice,
    /// The system refused: another user's, or not on this machine.
    #[error("the projects' directory cannot be used: {0}")]
    Io(#[from] io::Error),
}

impl From<Errno> for FindError {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

const HANDLE: OFlag = DIRECTORY.union(OFlag::O_PATH);

impl Homes {
    /// The project's files, at home or in a slot; `None` if there are none yet. Blocks.
    pub fn find(&self, project: ProjectId) -> Result<Option<Tree>, FindError> {
        let _lock = self.lock()?;
        self.look_for(project)
    }

    /// The same, and makes an empty workspace where there is none yet.
    pub fn find_or_make(&self, project: ProjectId) -> Result<Tree, FindError> {
        let _lock = self.lock()?;
        if let Some(tree) = self.look_for(project)? {
            return Ok(tree);
        }
        self.make(project)?;
        self.look_for(project)?.ok_or(FindError::Lost)
    }

    fn look_for(&self, project: ProjectId) -> Result<Option<Tree>, FindError> {
        for record in self.records()?.into_iter().filter(|record| record.project == project) {
            if self.is_back(&record)? || !self.slot(&record).exists() {
                continue;
            }
            if self.has(project) {
                return Err(FindError::Twice);
            }
            return Ok(Some(Tree::new(self.open_in_slot(&record)?)));
        }
        let home = open(self.projects(), DIRECTORY, Mode::empty())?;
        match handle(&home, &project.to_string()) {
            Ok(top) => Ok(Some(Tree::new(top))),
            Err(FindError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Steps from directory to directory, since what runs in the slot may put links in their place.
    fn open_in_slot(&self, record: &Record) -> Result<OwnedFd, FindError> {
        let there = open(&self.slot(record), HANDLE, Mode::empty())
            .and_then(|slot| openat(&slot, PROJECT, HANDLE, Mode::empty()))
            .map_err(FindError::from)
            .and_then(|there| handle(&there, &record.project.to_string()));
        let absent = [libc::ENOENT, libc::ENOTDIR, libc::ELOOP];
        match there {
            Ok(found) if record.is(&fstat(&found)?) => Ok(found),
            Ok(_) => Err(FindError::Lost),
            Err(FindError::Io(error)) if absent.map(Some).contains(&error.raw_os_error()) => {
                Err(FindError::Lost)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes the files of a project in which nobody will ever work again. `false`: they are still in a slot, and
    /// come back, or somebody else is removing them. To be called again if it fails; blocks.
    pub fn discard(&self, project: ProjectId) -> io::Result<bool> {
        let doomed = self.doomed(project);
        // What an attempt has left that broke off.
        self.wipe_if_there(&doomed)?;
        {
            let _gate = self.incoming(project)?.gate()?;
            let _lock = self.lock()?;
            for record in self.records()?.into_iter().filter(|record| record.project == project) {
                if self.is_back(&record)? || !self.slot(&record).exists() {
                    self.forget(&record)?;
                } else if matches!(self.worker(&record)?, Worker::Alive) || !self.bring_back(&record)? {
                    return Ok(false);
                }
            }
            if !self.doom(project)? {
                return Ok(false);
            }
        }
        self.wipe_if_there(&doomed)?;
        self.wipe_if_there(&self.arrivals(project))?;
        Ok(true)
    }

    fn wipe_if_there(&self, path: &Path) -> io::Result<()> {
        match wipe(path, self) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            wiped => wiped,
        }
    }
}

/// A directory that can be entered; one that was closed by whoever worked there last is opened up.
fn handle(parent: &OwnedFd, name: &str) -> Result<OwnedFd, FindError> {
    let handle = openat(parent, name, HANDLE, Mode::empty())?;
    if let Err(Errno::EACCES) = openat(&handle, ".", DIRECTORY, Mode::empty()) {
        open_up(parent, name.as_ref())?;
    }
    Ok(handle)
}
