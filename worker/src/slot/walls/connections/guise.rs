//! Looking at a process as the user that it is: root without the right to trace, as in containers, may not.

use std::process;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, getresgid, getresuid, setresgid, setresuid};

use super::super::User;

/// This process in the guise of a slot's user, until this is dropped.
pub(super) struct Guise {
    own: Option<(Uid, Gid)>,
}

impl Guise {
    /// Without a user, or with its own, there is nothing to change. Its own identity stays with it as the
    /// saved one.
    pub(super) fn put_on(user: Option<User>) -> Result<Self, Errno> {
        let Some(user) = user else { return Ok(Self { own: None }) };
        let own = (getresuid()?.saved, getresgid()?.saved);
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        setresgid(gid, gid, own.1)?;
        let guise = Self { own: Some(own) };
        setresuid(uid, uid, own.0)?;
        Ok(guise)
    }
}

impl Drop for Guise {
    fn drop(&mut self) {
        let Some((uid, gid)) = self.own else { return };
        // A supervisor that is not itself again must not go on; with its end the slot ends.
        if setresuid(uid, uid, uid).and_then(|()| setresgid(gid, gid, gid)).is_err() {
            process::abort();
        }
    }
}
