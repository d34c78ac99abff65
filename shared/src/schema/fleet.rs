//! What workers tell about themselves with each heartbeat, and what the fleet looks like from it.

use serde::{Deserialize, Serialize};

use super::id::WorkerId;

/// One worker's state, written with each heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// Which worker.
    pub id: WorkerId,
    /// Drover's version.
    pub version: String,
    /// The Claude CLI's version; `None` while there is no usable CLI.
    pub claude_version: Option<String>,
    /// How many jobs it runs at once at most.
    pub slots: u32,
    /// How many jobs it runs now.
    pub active_jobs: u32,
    /// How many Claude CLI processes it owns now.
    pub claude_processes: u32,
    /// How many processes it has killed or reaped after their slot had ended, since it started.
    pub zombie_processes_cleaned: u64,
    /// The models it can serve.
    pub models: Vec<String>,
    /// The model for requests that name none.
    pub default_model: Option<String>,
    /// Whether it finishes what it has and takes nothing new.
    pub draining: bool,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_at_ms: i64,
}

/// The fleet, as the store knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// Jobs that wait for a worker.
    pub queued: u64,
    /// Jobs that run.
    pub running: u64,
    /// How long the oldest waiting job has waited, in milliseconds.
    pub oldest_queued_ms: Option<u64>,
    /// The workers whose heartbeat is recent.
    pub alive: Vec<WorkerReport>,
    /// The models that the fleet offers: those of the live workers, or, when none lives, those that the
    /// last ones offered. Sorted, no duplicates.
    pub models: Vec<String>,
    /// The model for requests that name none.
    pub default_model: Option<String>,
}
