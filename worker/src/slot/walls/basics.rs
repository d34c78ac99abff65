//! What every process that a supervisor starts is kept from, walls or none.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, getppid, setsid};

/// A session of its own, signals as usual, no descriptor but the three, no core dumps, private files.
pub(super) fn put_up() -> io::Result<()> {
    setsid()?;
    reset_signals()?;
    close_on_exec()?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    umask(Mode::from_bits_truncate(0o077));
    Ok(())
}

/// Asks for death with the supervisor; the kernel forgets this when the user changes.
pub(super) fn die_with(supervisor: Pid) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The supervisor may have died before the signal was asked for.
    if getppid() == supervisor { Ok(()) } else { Err(Errno::ESRCH.into()) }
}

#[expect(unsafe_code, reason = "dispositions can only be set by sigaction")]
fn reset_signals() -> io::Result<()> {
    for each in Signal::iterator().filter(|each| !matches!(each, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default disposition runs none of our code.
        unsafe { signal(each, SigHandler::SigDfl) }?;
    }
    Ok(SigSet::empty().thread_set_mask()?)
}

#[expect(unsafe_code, reason = "close_range has no safe wrapper")]
fn close_on_exec() -> io::Result<()> {
    // SAFETY: marks descriptors, touches no memory. They close at the exec and not now, because the
    // standard library reports a failed exec through one of them.
    let marked = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if marked == 0 { Ok(()) } else { close_on_exec_one_by_one() }
}

/// For kernels before 5.11.
#[expect(unsafe_code, reason = "the descriptors are known by number only")]
fn close_on_exec_one_by_one() -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse().ok()).unwrap_or(-1);
        if number > 2 {
            // SAFETY: sets a flag; a descriptor that is gone already answers EBADF, which harms nobody.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}
