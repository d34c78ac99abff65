//! Who the process is, and what it is entitled to.

use std::io;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::User;

/// Version 3 of the capability calls (capabilities(7)).
const CAPABILITY_VERSION: u32 = 0x2008_0522;
/// Two sets of 32 capabilities, each effective, permitted and inheritable.
const CAPABILITY_WORDS: usize = 6;
/// Beyond the last capability that any kernel knows.
const CAPABILITIES: libc::c_ulong = 64;
/// `NOROOT`, `NO_SETUID_FIXUP`, `KEEP_CAPS` (off) and `NO_CAP_AMBIENT_RAISE`, the last three bits being their
/// locks: root is a user like any other (capabilities(7), "the securebits flags").
const SECURE_BITS: libc::c_ulong = 0b1110_1111;

/// Empties the bounding set and locks the secure bits, as far as this process may. One that may not has no
/// capability that could be kept, and without new privileges it cannot get one.
#[expect(unsafe_code, reason = "the capability calls have no safe wrapper")]
pub(super) fn bound_capabilities() -> io::Result<()> {
    for capability in 0..CAPABILITIES {
        // SAFETY: both calls take numbers only.
        let held = unsafe { libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) } == 1;
        if held {
            // SAFETY: as above.
            permitted_to_fail(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) })?;
        }
    }
    // SAFETY: as above.
    permitted_to_fail(unsafe { libc::prctl(libc::PR_SET_SECUREBITS, SECURE_BITS, 0, 0, 0) })
}

/// Becomes the slot's user, with no group but its own. Without a user of its own, a process that may still
/// leaves its groups: one of them may open the door to a container daemon.
pub(super) fn become_user(user: Option<User>) -> io::Result<()> {
    let Some(User { uid, gid }) = user else {
        return match setgroups(&[]) {
            Ok(()) | Err(Errno::EPERM) => Ok(()),
            Err(error) => Err(error.into()),
        };
    };
    // To the kernel the last number means "no change", which would leave it who it was.
    if [uid, gid].iter().any(|id| matches!(*id, 0 | u32::MAX)) {
        return Err(Errno::EINVAL.into());
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    Ok(setresuid(uid, uid, uid)?)
}

/// Drops every capability. Never optional: with some of them a process reads the memory of others in spite
/// of Landlock.
#[expect(unsafe_code, reason = "the capability calls have no safe wrapper")]
pub(super) fn drop_capabilities() -> io::Result<()> {
    // SAFETY: takes numbers only. Kernels before 4.3 know no ambient set.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    let header: [u32; 2] = [CAPABILITY_VERSION, 0];
    let none = [0_u32; CAPABILITY_WORDS];
    // SAFETY: the kernel reads a header of two words and, for this version, a body of six.
    let dropped = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    if dropped == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// No program gives it more rights than it has, be it set-user-ID or have capabilities of its own.
pub(super) fn renounce_privileges() -> io::Result<()> {
    Ok(prctl::set_no_new_privs()?)
}

fn permitted_to_fail(result: libc::c_int) -> io::Result<()> {
    match Errno::result(result) {
        Ok(_) | Err(Errno::EPERM | Errno::EINVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
