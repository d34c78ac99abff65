//! What is left when a supervisor was killed: orphans that the kernel hands to the worker.
//!
//! The worker's only children are supervisors. Each is registered in the moment it is forked, so any other
//! child is an orphan of a supervisor that is gone, and is killed and reaped with all its descendants.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{process, thread};

use drover_shared::schema::limits;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use super::sweep::Family;

static SUPERVISORS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
static SUBREAPER: AtomicBool = AtomicBool::new(false);

/// Makes this process the foster parent of orphans among its descendants. Called once, by a worker, whose
/// children are supervisors only: from then on any other child may be killed.
pub fn become_subreaper() -> io::Result<()> {
    prctl::set_child_subreaper(true)?;
    SUBREAPER.store(true, Ordering::Release);
    Ok(())
}

/// A running supervisor, registered as the worker's own child.
pub(super) struct Registered {
    pub(super) child: Child,
    pub(super) pid: i32,
}

impl Registered {
    /// Forks and registers in one step, so that no sweep takes the new child for a stray.
    pub(super) fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut supervisors = supervisors();
        let child = command.spawn()?;
        let pid = child.id().map_or(0, u32::cast_signed);
        supervisors.insert(pid);
        Ok(Self { child, pid })
    }
}

impl Registered {
    pub(super) const fn pid(&self) -> i32 {
        self.pid
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        supervisors().remove(&self.pid);
    }
}

/// Kills and reaps until the worker has no child but supervisors; answers how many there were. Blocks.
pub(super) fn sweep() -> u32 {
    let mut strays = BTreeSet::new();
    let mut pause = Duration::from_millis(1);
    while SUBREAPER.load(Ordering::Acquire) && sweep_once(&mut strays) {
        thread::sleep(pause);
        pause = (pause * 2).min(limits::SWEEP_PAUSE);
    }
    u32::try_from(strays.len()).unwrap_or(u32::MAX)
}

fn sweep_once(strays: &mut BTreeSet<i32>) -> bool {
    let supervisors = supervisors();
    let family = Family::read();
    let mut orphans = family.children_of(process::id().cast_signed()).to_vec();
    orphans.retain(|pid| !supervisors.contains(pid));
    let mut doomed = family.with_descendants(&orphans);
    family.kill(&doomed);
    strays.append(&mut doomed);
    orphans.into_iter().for_each(reap);
    // Reaping may have handed over the next generation: look again until a round finds nobody.
    !family_is_clean(&supervisors)
}

fn family_is_clean(supervisors: &BTreeSet<i32>) -> bool {
    let family = Family::read();
    family.children_of(process::id().cast_signed()).iter().all(|pid| supervisors.contains(pid))
}

fn reap(pid: i32) {
    while let Err(Errno::EINTR) | Ok(WaitStatus::Continued(_)) =
        waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG))
    {}
}

fn supervisors() -> MutexGuard<'static, BTreeSet<i32>> {
    SUPERVISORS.lock().unwrap_or_else(PoisonError::into_inner)
}
