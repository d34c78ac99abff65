//! Where slots live on disk.
//!
//! ```text
//! run/slots/                    one folder for all workers of a machine
//!   .lock                       held while a worker looks for its place among the others
//!   <worker>/                   one per worker, its name short so that socket paths are
//!     lock                      held as long as the worker lives; free means: dead, to be wiped
//!     <slot>/ home/ tmp/ work/  0700, unguessable, its own user's if it has one, wiped when the slot ends
//!             project/          workspaces while a process works in them; sent home and not wiped
//! ```

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use drover_shared::schema::limits;
use drover_shared::workspace::{Homes, PASSABLE, PRIVATE, PROJECT, wipe};
use tokio::task;
use ulid::Ulid;
use uuid::Uuid;

use super::users::{LeasedUser, Users};
use super::walls::User;

/// Letters of a slot's name, five random bits each: not to be guessed by a neighbour.
const SLOT_NAME: usize = 16;
/// Letters of a worker's name: enough to be alone.
const WORKER_NAME: usize = 8;

/// A worker's place for its slots. Wiped when dropped, or, if the worker dies, by the next one that starts.
pub struct SlotDirs {
    path: PathBuf,
    homes: Homes,
    users: Option<Users>,
    _alive: File,
}

impl SlotDirs {
    /// Takes a fresh folder under `root` and wipes those of workers that are dead. Each slot gets one of
    /// `users`, if there are any. Blocks.
    pub fn claim(root: &Path, users: Option<Users>) -> io::Result<Self> {
        create(root, PASSABLE, true)?;
        let root = root.canonicalize()?;
        // Held for the look around only: wiping may take long, and the dead are locked while they are wiped.
        let homes = Homes::beside(&root);
        let order = lock_file(&root.join(".lock"))?;
        order.lock()?;
        let dead = find_dead(&root)?;
        let path = root.join(random_name(WORKER_NAME));
        create(&path, PASSABLE, false)?;
        let alive = lock_file(&path.join("lock"))?;
        alive.lock()?;
        drop(order);
        for (path, _lock) in dead {
            wipe_or_warn(&path, &homes);
        }
        Ok(Self { path, homes, users, _alive: alive })
    }

    /// A fresh directory for one slot.
    pub fn create(&self) -> io::Result<SlotDir> {
        let user = self.users.as_ref().map(Users::lease).transpose()?;
        let path = self.path.join(random_name(SLOT_NAME));
        let directory = SlotDir { path, homes: self.homes.clone(), user };
        if directory.socket().as_os_str().as_bytes().len() > limits::SOCKET_PATH_BYTES {
            let path = self.path.display();
            return Err(io::Error::other(format!("{path} is too long a path for Unix sockets below it")));
        }
        create(&directory.path, PRIVATE, false)?;
        for part in [directory.home(), directory.tmp(), directory.work()] {
            create(&part, PRIVATE, false)?;
            directory.give(&part)?;
        }
        // Who works in a workspace passes through, but has no business with its name.
        create(&directory.project(), PASSABLE, false)?;
        // Last, so that nobody but this process was in there until now.
        directory.give(&directory.path)?;
        Ok(directory)
    }

    /// What the death of the process leaves: the files, and nobody who holds the lock.
    #[cfg(test)]
    #[expect(clippy::used_underscore_binding, reason = "it is held, and used by nobody else")]
    pub(super) fn crash(self) {
        let left = std::mem::ManuallyDrop::new(self);
        left._alive.unlock().expect("released");
    }
}

impl Drop for SlotDirs {
    fn drop(&mut self) {
        wipe_or_warn(&self.path, &self.homes);
    }
}

/// One slot's directory. Wiped when dropped, so drop it only when its processes are gone.
#[derive(Debug)]
pub struct SlotDir {
    path: PathBuf,
    homes: Homes,
    // Another slot may have the user again once this is wiped.
    user: Option<LeasedUser>,
}

impl SlotDir {
    /// The whole.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The slot's own user, if it has one.
    pub fn user(&self) -> Option<User> {
        self.user.as_ref().map(LeasedUser::user)
    }

    /// Makes a file the slot's user's, if it has one.
    pub fn give(&self, path: &Path) -> io::Result<()> {
        self.user().map_or(Ok(()), |user| chown(path, Some(user.uid), Some(user.gid)))
    }

    /// Writes a file in the slot that only the slot's user may read.
    pub fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        self.give(path)
    }

    /// The CLI's `HOME`.
    pub fn home(&self) -> PathBuf {
        self.path.join("home")
    }

    /// The CLI's `TMPDIR`.
    pub fn tmp(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// The CLI's working directory.
    pub fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// Where workspaces are while a process works in them; see [`Workspaces`](super::Workspaces).
    pub fn project(&self) -> PathBuf {
        self.path.join(PROJECT)
    }

    /// Where the relay listens; short enough for a Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.path.join("relay.sock")
    }

    /// Wipes it off the asynchronous threads; dropping it does the same in place.
    pub async fn wipe(self) {
        let _ = task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for SlotDir {
    fn drop(&mut self) {
        wipe_or_warn(&self.path, &self.homes);
    }
}

fn wipe_or_warn(path: &Path, homes: &Homes) {
    match wipe(path, homes) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "a directory could not be wiped; the next worker tries again");
        }
        _ => {}
    }
}

/// The folders whose worker is dead, each with the lock that keeps other workers from them.
fn find_dead(root: &Path) -> io::Result<Vec<(PathBuf, File)>> {
    let mut dead = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let lock = match lock_file(&entry.path().join("lock")) {
                // A worker that ends has just taken its folder away.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                lock => lock?,
            };
            match lock.try_lock() {
                Ok(()) => dead.push((entry.path(), lock)),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
    Ok(dead)
}

fn lock_file(path: &Path) -> io::Result<File> {
    // Private, so that no slot keeps a dead worker's folder alive by locking it.
    File::options().create(true).truncate(false).write(true).mode(0o600).open(path)
}

fn create(path: &Path, mode: u32, with_parents: bool) -> io::Result<()> {
    DirBuilder::new().mode(mode).recursive(with_parents).create(path)
}

fn random_name(letters: usize) -> String {
    let mut name = Ulid(Uuid::new_v4().as_u128()).to_string().to_ascii_lowercase();
    // The last letters are all random; the first ones carry the UUID's fixed version bits.
    name.split_off(name.len() - letters)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::super::walls::survey;
    use super::*;

    fn entries(path: &Path) -> BTreeSet<String> {
        let entries = fs::read_dir(path).expect("a directory").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_slot_has_private_parts_that_vanish_with_it() {
        let root = tempfile::tempdir().expect("a directory");
        let dirs = SlotDirs::claim(&root.path().join("run/slots"), None).expect("a place");
        let slot = dirs.create().expect("a slot");
        let path = slot.path().to_owned();
        for part in [path.clone(), slot.home(), slot.tmp(), slot.work()] {
            assert_eq!(fs::metadata(&part).expect("it exists").permissions().mode() & 0o777, PRIVATE);
        }
        std::os::unix::net::UnixListener::bind(slot.socket()).expect("a path that sockets take");
        assert_ne!(dirs.create().expect("another").path(), path);
        drop(slot);
        assert!(!path.exists());
        drop(dirs);
        assert_eq!(entries(&root.path().join("run/slots")), BTreeSet::from([".lock".to_owned()]));
    }

    #[test]
    fn a_slot_with_a_user_of_its_own_belongs_to_it() {
        if !survey().own_users {
            return;
        }
        let root = tempfile::tempdir().expect("a directory");
        let users = Users::open("61100-61120".parse().expect("a range")).expect("users");
        let dirs = SlotDirs::claim(root.path(), Some(users)).expect("a place");
        let slot = dirs.create().expect("a slot");
        let user = slot.user().expect("a user");
        for part in [slot.path().to_owned(), slot.home(), slot.tmp(), slot.work()] {
            let data = fs::metadata(&part).expect("it exists");
            assert_eq!((data.uid(), data.gid(), data.mode() & 0o777), (user.uid, user.gid, PRIVATE));
        }
        assert_ne!(dirs.create().expect("another").user(), Some(user));
        let path = slot.path().to_owned();
        drop(slot);
        assert!(!path.exists());
    }

    #[test]
    fn only_the_folders_of_dead_workers_are_wiped() {
        let root = tempfile::tempdir().expect("a directory");
        let alive = SlotDirs::claim(root.path(), None).expect("a place");
        let kept = alive.create().expect("a slot");
        let dead = root.path().join("dead");
        fs::create_dir_all(dead.join("slot/home")).expect("created");
        fs::write(dead.join("lock"), "").expect("written");
        fs::create_dir(root.path().join("died-before-it-locked")).expect("created");

        let starting = SlotDirs::claim(root.path(), None).expect("a place");
        let workers = [&alive.path, &starting.path].map(|path| path.file_name().expect("a name").to_owned());
        let mut expected: BTreeSet<_> =
            workers.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        expected.insert(".lock".into());
        assert_eq!(entries(root.path()), expected);
        assert!(kept.home().exists());
    }

    #[test]
    fn a_root_too_deep_for_sockets_is_refused_with_a_reason() {
        let root = tempfile::tempdir().expect("a directory");
        let dirs = SlotDirs::claim(&root.path().join("deep".repeat(20)), None).expect("a place");
        let error = dirs.create().expect_err("too long");
        assert!(error.to_string().contains("too long a path for Unix sockets"), "{error}");
    }
}
