//! What is on its way into a workspace: received in full where no agent sees it, then moved.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::open;
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use uuid::Uuid;

use super::homes::Homes;
use super::wipe::{DIRECTORY, wipe};
use super::{PRIVATE, Used, measure};
use crate::schema::ProjectId;

/// A project's own folder for what an api receives. What lies there counts as the project's.
pub struct Incoming {
    homes: Homes,
    path: PathBuf,
    folder: OwnedFd,
}

/// Held while something is put into a workspace or taken from it from outside, and while its owner changes: so
/// that whatever comes belongs to whom the rest belongs to.
pub struct Gate(File);

/// A file that is being received. Removed when dropped, unless it has been put in its place.
pub struct Staged {
    /// To write to.
    pub file: File,
    pub(super) folder: OwnedFd,
    pub(super) name: String,
    pub(super) placed: bool,
}

impl Homes {
    /// The project's folder, made if there is none.
    pub fn incoming(&self, project: ProjectId) -> io::Result<Incoming> {
        let path = self.arrivals(project);
        DirBuilder::new().mode(PRIVATE).recursive(true).create(&path)?;
        let folder = open(&path, DIRECTORY, Mode::empty())?;
        Ok(Incoming { homes: self.clone(), path, folder })
    }

    /// The same as [`sweep_incoming`](Self::sweep_incoming) for the projects in `root`, if there are any.
    pub fn sweep_incoming_in(root: &Path, age: Duration) -> io::Result<u64> {
        Self::beside(&root.join("slots")).sweep_incoming(age)
    }

    /// Removes what arrived longer ago than `age` and was never put in its place: its api has died.
    pub fn sweep_incoming(&self, age: Duration) -> io::Result<u64> {
        let mut swept = 0;
        for project in list(&self.all_arrivals())? {
            for path in list(&project)? {
                let Ok(metadata) = path.symlink_metadata() else { continue };
                let since = SystemTime::now().duration_since(metadata.modified()?);
                if since.is_ok_and(|since| since > age) {
                    let is_directory = metadata.is_dir();
                    if is_directory { wipe(&path, self) } else { fs::remove_file(&path) }?;
                    swept += 1;
                }
            }
        }
        Ok(swept)
    }
}

fn list(path: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

impl Incoming {
    /// Waits until nobody else changes the workspace from outside.
    pub fn gate(&self) -> io::Result<Gate> {
        let file = File::open(&self.path)?;
        file.lock()?;
        Ok(Gate(file))
    }

    /// A new file.
    pub fn stage(&self) -> io::Result<Staged> {
        let name = Uuid::new_v4().simple().to_string();
        let path = self.path.join(&name);
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Staged { file, folder: self.folder.try_clone()?, name, placed: false })
    }

    /// What lies here, up to so many bytes.
    pub fn used(&self, most_bytes: u64) -> io::Result<Used> {
        Ok(measure(open(&self.path, DIRECTORY, Mode::empty())?, most_bytes))
    }

    /// Wipes a directory that was taken out of the workspace. What cannot be wiped now is swept later.
    pub(super) fn wipe(&self, name: &str) {
        if let Err(error) = wipe(&self.path.join(name), &self.homes) {
            tracing::warn!(%error, "a directory that was removed from a project could not be wiped yet");
        }
    }

    pub(super) fn folder(&self) -> &OwnedFd {
        &self.folder
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.placed {
            // What stays is swept later.
            let _ = unlinkat(&self.folder, self.name.as_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // Closing it would do, were it not for descriptors that a process just being started has inherited.
        let _ = self.0.unlock();
    }
}
