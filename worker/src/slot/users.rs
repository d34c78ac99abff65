//! A user for each slot, so that slots are strangers to each other and to the worker.
//!
//! ```text
//! /run/drover/users/   one folder for all workers of a machine
//!   60578 60579 …      a file per user id, locked while a slot has that user
//! ```

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::walls::User;

/// Where all workers of a machine look.
const FOLDER: &str = "/run/drover/users";

/// User ids from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserRange {
    first: u32,
    last: u32,
}

/// The users that slots of this worker may have.
#[derive(Debug)]
pub struct Users {
    range: UserRange,
    folder: PathBuf,
    next: AtomicU32,
}

/// A user that nobody else has until this is dropped.
#[derive(Clone, Debug)]
pub struct LeasedUser {
    user: User,
    _lock: Arc<File>,
}

impl LeasedUser {
    /// Which.
    pub const fn user(&self) -> User {
        self.user
    }
}

impl Users {
    /// Those of the machine's folder.
    pub fn open(range: UserRange) -> io::Result<Self> {
        Self::open_in(Path::new(FOLDER), range)
    }

    fn open_in(folder: &Path, range: UserRange) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).recursive(true).create(folder)?;
        // Workers begin at different places, so that they seldom meet a lock.
        let next = AtomicU32::new(std::process::id().wrapping_mul(31));
        Ok(Self { range, folder: folder.to_owned(), next })
    }

    /// A user that no living slot has. Its group has the same number.
    pub fn lease(&self) -> io::Result<LeasedUser> {
        for _ in 0..self.range.len() {
            let uid = self.range.first + self.next.fetch_add(1, Ordering::Relaxed) % self.range.len();
            if let Some(lock) = self.try_lock(uid)? {
                return Ok(LeasedUser { user: User { uid, gid: uid }, _lock: Arc::new(lock) });
            }
        }
        Err(io::Error::other(format!("every user of {} has a slot already", self.range)))
    }

    fn try_lock(&self, uid: u32) -> io::Result<Option<File>> {
        let path = self.folder.join(uid.to_string());
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl UserRange {
    const fn len(self) -> u32 {
        self.last - self.first + 1
    }

    /// Any of them, to see what such a user may do.
    pub const fn any(self) -> User {
        User { uid: self.first, gid: self.first }
    }
}

impl FromStr for UserRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').ok_or("write it as FIRST-LAST")?;
        let number = |text: &str| text.trim().parse::<u32>().map_err(|error| format!("{text:?}: {error}"));
        let range = Self { first: number(first)?, last: number(last)? };
        // Root is none of them, and the last number means "no change" to the kernel.
        if range.first == 0 || range.last < range.first || range.last == u32::MAX {
            return Err("the first number must be above 0 and not above the last".to_owned());
        }
        Ok(range)
    }
}

impl std::fmt::Display for UserRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_user_is_leased_twice_even_by_two_workers() {
        let folder = tempfile::tempdir().expect("a directory");
        let range: UserRange = "70000-70002".parse().expect("a range");
        let open = || Users::open_in(&folder.path().join("users"), range).expect("a folder");
        let (one, other) = (open(), open());
        let leased = [one.lease(), other.lease(), one.lease()].map(|user| user.expect("a free user"));
        let uids: BTreeSet<u32> = leased.iter().map(|user| user.user().uid).collect();
        assert_eq!(uids, BTreeSet::from([70_000, 70_001, 70_002]));
        let refused = other.lease().expect_err("none is free").to_string();
        assert!(refused.contains("70000-70002"), "{refused}");

        let [first, ..] = leased;
        let uid = first.user().uid;
        drop(first);
        assert_eq!(other.lease().expect("one is free again").user(), User { uid, gid: uid });
    }

    #[test]
    fn ranges_that_hold_root_or_nobody_are_refused() {
        for wrong in ["", "1000", "0-5", "9-3", "1-x", "5-4294967295"] {
            assert!(wrong.parse::<UserRange>().is_err(), "{wrong}");
        }
        let range: UserRange = "60578-61183".parse().expect("a range");
        assert_eq!((range.len(), range.to_string().as_str()), (606, "60578-61183"));
    }
}
