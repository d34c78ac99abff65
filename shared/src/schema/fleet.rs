//! What workers tell about themselves with each heartbeat, and what the fleet looks like from it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::id::WorkerId;
use super::offer::{Offer, ProviderHealth};

/// One worker's state, written with each heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// How the providers do that it has keys for.
    #[serde(default)]
    pub providers: Vec<ProviderHealth>,
    /// Whether agent jobs can run there: its walls and the user it runs as allow it.
    #[serde(default = "everybody")]
    pub agents: bool,
    /// Whether it finishes what it has and takes nothing new.
    pub draining: bool,
    /// The processes it keeps ready, and how jobs got theirs.
    #[serde(default)]
    pub pool: PoolReport,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_at_ms: i64,
}

impl WorkerReport {
    /// A worker that has just begun: one slot, and nothing done.
    pub fn begun(id: WorkerId, started_at_ms: i64) -> Self {
        Self {
            id,
            version: String::new(),
            claude_version: None,
            slots: 1,
            active_jobs: 0,
            claude_processes: 0,
            zombie_processes_cleaned: 0,
            providers: Vec::new(),
            agents: true,
            draining: false,
            pool: PoolReport::default(),
            started_at_ms,
        }
    }
}

/// Workers that did not tell yet take every job.
fn everybody() -> bool {
    true
}

/// What a worker's pool holds now, and what it has done since the worker started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolReport {
    /// Primed chat processes that wait for their first job.
    pub chat_spares: u32,
    /// Agent processes that wait to be claimed.
    pub agent_spares: u32,
    /// Chat processes that wait for their key's next job.
    pub kept: u32,
    /// Agent processes that wait for their session's next job.
    pub residents: u32,
    /// Jobs that got a spare.
    pub spare_claims: u64,
    /// Jobs that got a process which had served their key before.
    pub kept_claims: u64,
    /// Jobs that got their session's resident process.
    pub resident_claims: u64,
    /// Jobs that had to wait for a process to start.
    pub cold_starts: u64,
    /// Processes put away for their age, what they had served, or a doubt.
    pub recycled: u64,
}

impl std::iter::Sum for PoolReport {
    fn sum<I: Iterator<Item = Self>>(reports: I) -> Self {
        reports.fold(Self::default(), |sum, one| Self {
            chat_spares: sum.chat_spares + one.chat_spares,
            agent_spares: sum.agent_spares + one.agent_spares,
            kept: sum.kept + one.kept,
            residents: sum.residents + one.residents,
            spare_claims: sum.spare_claims + one.spare_claims,
            kept_claims: sum.kept_claims + one.kept_claims,
            resident_claims: sum.resident_claims + one.resident_claims,
            cold_starts: sum.cold_starts + one.cold_starts,
            recycled: sum.recycled + one.recycled,
        })
    }
}

/// The fleet, as the store knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// Jobs that wait for a worker, those whose time has not come left out.
    pub queued: u64,
    /// Jobs whose time has not come.
    #[serde(default)]
    pub scheduled: u64,
    /// Jobs that run.
    pub running: u64,
    /// How long the oldest waiting job has waited, since its time had come, in milliseconds.
    pub oldest_queued_ms: Option<u64>,
    /// The workers whose heartbeat is recent.
    pub alive: Vec<WorkerReport>,
    /// What the live workers offer, or, when none lives, what the last ones did.
    pub offers: Vec<Offer>,
}
