//! Counts of processes, for the worker's heartbeat.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What this worker process owns and has cleaned up since it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    /// CLI processes that run now.
    pub living: u32,
    /// Processes killed or reaped after their CLI had ended.
    pub swept: u64,
}

static LIVING: AtomicU32 = AtomicU32::new(0);
static SWEPT: AtomicU64 = AtomicU64::new(0);

/// The counts of this moment.
pub fn census() -> Census {
    Census { living: LIVING.load(Ordering::Relaxed), swept: SWEPT.load(Ordering::Relaxed) }
}

pub(super) fn count_swept(processes: u32) {
    SWEPT.fetch_add(processes.into(), Ordering::Relaxed);
}

/// Counts one CLI as living for as long as this exists.
pub(super) struct Living(());

impl Living {
    pub(super) fn begin() -> Self {
        LIVING.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        LIVING.fetch_sub(1, Ordering::Relaxed);
    }
}
