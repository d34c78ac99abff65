//! How something is put into the data folder: made in a folder beside its place, under a lock, and moved
//! into place in one step, so that nobody ever sees half of it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tokio::task;

use super::InstallError;

/// For everyone to run, for the owner to write: slots may have users of their own.
pub(super) const RUNNABLE: u32 = 0o755;
/// For everyone to read, for the owner to write.
pub(super) const READABLE: u32 = 0o644;
const PREFIX: &str = ".staging-";

/// A folder that goes away with whatever is left in it.
pub(super) struct Staging {
    /// Where.
    pub(super) path: PathBuf,
}

impl Staging {
    /// A new one in `folder`, whose lock the caller holds.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!("{PREFIX}{}", uuid::Uuid::new_v4().simple()));
        create(&path)?;
        Ok(Self { path })
    }

    /// Puts `ready` in place in one step; a damaged one moves out of the way, still usable by whoever runs it.
    pub(super) fn put(&self, ready: &Path, place: &Path) -> io::Result<()> {
        match fs::rename(place, self.path.join("damaged")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(ready, place)?;
        place.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next who holds the lock.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Waits until nobody else works in `folder`, and clears away what somebody who died there has left. The lock
/// is held until the file is dropped.
pub(super) async fn lock(folder: &Path) -> Result<File, InstallError> {
    let owned = folder.to_owned();
    blocking(folder, move || {
        create(&owned)?;
        let lock = File::options().create(true).truncate(false).write(true).open(owned.join(".lock"))?;
        lock.lock()?;
        remove_leftovers(&owned)?;
        Ok(lock)
    })
    .await
}

fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

pub(super) fn create(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(RUNNABLE).recursive(true).create(folder)
}

pub(super) fn data(path: &Path, source: io::Error) -> InstallError {
    InstallError::Data { path: path.to_owned(), source }
}

/// Does work on files off the threads that must not wait; an error names `path`.
pub(super) async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, InstallError> {
    let worked = task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    worked.map_err(|source| data(path, source))
}
