//! What every job of this worker uses.

use std::sync::Arc;

use drover_shared::schema::{WorkerId, WorkerReport};
use drover_shared::store::Store;
use tokio_util::sync::CancellationToken;

use crate::attempt::Limits;
use crate::pool::Pool;
use crate::publish::Publisher;
use crate::running::Running;
use crate::slot::census;

/// One per process.
pub struct Workshop {
    /// This worker.
    pub id: WorkerId,
    /// Where jobs come from.
    pub store: Arc<dyn Store>,
    /// Where their events go.
    pub publisher: Publisher,
    /// The jobs that run.
    pub running: Running,
    /// The processes they run on.
    pub pool: Arc<Pool>,
    /// How many jobs run at once.
    pub slots: u32,
    /// How long each may take.
    pub limits: Limits,
    /// Cancelled when nothing new is to be taken.
    pub draining: CancellationToken,
    /// Cancelled when running jobs have to stop at once.
    pub stop: CancellationToken,
    /// When the process started, in milliseconds since the Unix epoch.
    pub started_at_ms: i64,
}

impl Workshop {
    /// What the next heartbeat tells.
    pub fn report(&self) -> WorkerReport {
        let census = census();
        let parts = &self.pool.parts;
        WorkerReport {
            id: self.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            claude_version: Some(parts.claude.version.to_string()),
            slots: self.slots,
            active_jobs: self.running.count(),
            claude_processes: census.living,
            zombie_processes_cleaned: census.swept,
            pool: self.pool.report(),
            providers: parts.upstream.report(),
            agents: parts.run_agents().is_ok(),
            draining: self.draining.is_cancelled(),
            started_at_ms: self.started_at_ms,
        }
    }
}
