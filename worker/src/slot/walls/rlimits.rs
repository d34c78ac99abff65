//! Limits that the kernel keeps for each process, or for each user.

use std::io;

use drover_shared::schema::limits;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// Resource limits of a slot. Memory is not among them: the CLI's runtime reserves far more address space
/// than it uses, so that a limit of address space would stop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimits {
    /// Open files of a process.
    pub files: u64,
    /// Largest file that can be written, in bytes.
    pub file_bytes: u64,
    /// Processes and threads of the user, if it is the slot's own.
    pub processes: Option<u64>,
}

impl Rlimits {
    /// Those of a slot; only the user of a single slot can be given a number of processes.
    pub(super) fn of_a_slot(own_user: bool) -> Self {
        Self {
            files: limits::SLOT_OPEN_FILES,
            file_bytes: limits::SLOT_FILE_BYTES,
            processes: own_user.then_some(limits::SLOT_TASKS),
        }
    }

    pub(super) fn apply(self) -> io::Result<()> {
        lower(Resource::RLIMIT_NOFILE, self.files)?;
        lower(Resource::RLIMIT_FSIZE, self.file_bytes)?;
        self.processes.map_or(Ok(()), |processes| lower(Resource::RLIMIT_NPROC, processes))
    }
}

/// Soft and hard limit at once, so that it cannot be raised again; one that is lower already stays.
fn lower(resource: Resource, most: u64) -> io::Result<()> {
    let (_, hard) = getrlimit(resource)?;
    let limit = most.min(hard);
    Ok(setrlimit(resource, limit, limit)?)
}
