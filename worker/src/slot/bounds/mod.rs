//! How much one process may take of the machine, with all that it spawns: memory, processes, CPU time, disk.
//!
//! Two guards stand behind one set of [`Bounds`]:
//!
//! - the watchdog ([`Watch`]) looks at the process tree and at the slot's directory again and again, kills
//!   what went past a bound, and says which one ([`Breach`]). It needs no privilege and is always there;
//! - a control group for each process ([`Groups`]), where the system delegates cgroup v2: the kernel itself
//!   then refuses memory and processes past the bound, and kills a whole tree in one blow.

mod breach;
mod cgroup;
mod cpu;
mod delegation;
mod disk;
mod machine;
mod tree;
mod watch;

pub use breach::Breach;
pub use cgroup::{Groups, survey};
pub use delegation::Survey;
pub use machine::memory_share;
pub use watch::{Pace, Watch};

pub(super) use cgroup::{Group, join, kill};

use drover_shared::schema::limits;

/// What a process may take of the machine, with all that it spawns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Memory of its own: anonymous, shared and swapped out, in bytes. Files it maps, such as its program,
    /// do not count.
    pub memory_bytes: u64,
    /// Processes at one time.
    pub processes: u32,
    /// CPU time that one job may use, in seconds.
    pub cpu_secs: u64,
    /// Disk that its slot's directory may fill, in bytes.
    pub disk_bytes: u64,
}

impl Bounds {
    /// Threads at one time, over all processes.
    const fn threads(&self) -> u64 {
        self.processes as u64 * limits::SLOT_THREADS_PER_PROCESS
    }
}
