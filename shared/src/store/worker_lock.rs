//! A lock file per worker, which tells at once when its process has died.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use crate::schema::WorkerId;

/// Held by a worker for as long as it lives; the kernel lets go of it when the process dies, however it
/// dies. Taken before the first beat. Where it is dropped the file stays behind: it is how the others, who
/// remove it, learn that jobs may have been left.
#[derive(Debug)]
pub struct WorkerLock {
    path: PathBuf,
    _lock: Flock<File>,
}

/// A rescuer that looks at the file holds its lock for an instant.
const TRIES: u32 = 200;
const TRY_AGAIN: Duration = Duration::from_millis(5);

impl WorkerLock {
    /// Takes the lock of `worker` in `data_dir`, the directory of the database file.
    pub fn acquire(data_dir: &Path, worker: &WorkerId) -> io::Result<Self> {
        let dir = dir(data_dir);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        if worker.0.contains('/') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the worker's id is no file name"));
        }
        let path = dir.join(format!("{worker}{SUFFIX}"));
        for _ in 0..TRIES {
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
            // A rescuer may have unlinked the file between the two calls: then the lock is worth nothing.
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) if is_at(&lock, &path) => return Ok(Self { path, _lock: lock }),
                Ok(_) | Err(_) => thread::sleep(TRY_AGAIN),
            }
        }
        Err(io::Error::new(io::ErrorKind::WouldBlock, "another process holds the worker's lock"))
    }

    /// Gives the lock back for a worker that has retired: there is nothing to learn from its file.
    pub fn give_back(self) {
        let _ = fs::remove_file(&self.path);
    }
}

const SUFFIX: &str = ".lock";

/// The lock file of a worker whose process is gone. Nobody else can find it dead while this lives.
pub(super) struct DeadLock {
    worker: String,
    path: PathBuf,
    _lock: Flock<File>,
}

impl DeadLock {
    /// Whose it was.
    pub(super) fn worker(&self) -> &str {
        &self.worker
    }

    /// Removes the file, once the death is on record.
    pub(super) fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The lock files that nobody holds.
pub(super) fn dead(data_dir: &Path) -> io::Result<Vec<DeadLock>> {
    let entries = match fs::read_dir(dir(data_dir)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(entries.filter_map(|entry| lock_of_dead(entry.ok()?.path())).collect())
}

fn lock_of_dead(path: PathBuf) -> Option<DeadLock> {
    let worker = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?.to_owned();
    let file = File::open(&path).ok()?;
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()?;
    is_at(&lock, &path).then_some(DeadLock { worker, path, _lock: lock })
}

/// Whether the locked file is still the one with that name.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => ours.dev() == there.dev() && ours.ino() == there.ino(),
        _ => false,
    }
}

fn dir(data_dir: &Path) -> PathBuf {
    data_dir.join("run/workers")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dead: &[DeadLock]) -> Vec<&str> {
        dead.iter().map(DeadLock::worker).collect()
    }

    #[test]
    fn a_held_lock_is_alive_and_a_left_one_dead() {
        let data = tempfile::tempdir().expect("a directory");
        let held = WorkerLock::acquire(data.path(), &WorkerId("held".to_owned())).expect("the lock");
        fs::write(dir(data.path()).join("left.lock"), "").expect("a file");
        let found = dead(data.path()).expect("the directory read");
        assert_eq!(names(&found), ["left"]);
        found.iter().for_each(DeadLock::remove);
        drop((found, held));
        assert_eq!(names(&dead(data.path()).expect("the directory read")), ["held"], "it has not retired");
    }

    #[test]
    fn of_a_worker_that_retired_nothing_is_left() {
        let data = tempfile::tempdir().expect("a directory");
        WorkerLock::acquire(data.path(), &WorkerId("held".to_owned())).expect("the lock").give_back();
        assert_eq!(fs::read_dir(dir(data.path())).expect("the directory").count(), 0);
    }

    #[test]
    fn two_processes_cannot_be_the_same_worker() {
        let data = tempfile::tempdir().expect("a directory");
        let worker = WorkerId("one".to_owned());
        let _held = WorkerLock::acquire(data.path(), &worker).expect("the lock");
        WorkerLock::acquire(data.path(), &worker).expect_err("held");
    }
}
