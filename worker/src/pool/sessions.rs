//! Agent jobs: which process a session's next turn gets, and what becomes of it and of the project it works in.

use std::sync::Arc;

use drover_shared::clock::now_ms;
use drover_shared::schema::{AgentSpec, Failure, FailureKind, ProjectId, limits};
use drover_shared::store::{Appended, Claim, StoreError};
use futures_util::future::join_all;
use tracing::{error, warn};

use super::agents::Left;
use super::{Aftermath, Pool, Taken, in_own_task};
use crate::stage::{Stage, StageError};

/// No process can be had.
#[derive(Debug)]
pub enum TakeError {
    /// It cannot be started now; another attempt may go better.
    Stage(StageError),
    /// The job cannot be run here, or not at all.
    Refused(Failure),
}

impl From<StageError> for TakeError {
    fn from(error: StageError) -> Self {
        Self::Stage(error)
    }
}

impl Pool {
    /// A process for an agent's job: its session's own, a spare bound to its project, or one started there.
    pub(super) async fn take_agent(
        self: &Arc<Self>,
        claim: &Claim,
        spec: &AgentSpec,
    ) -> Result<Taken, TakeError> {
        self.may_run(spec).map_err(TakeError::Refused)?;
        let (resident, leaving) = self.state().agents.take_resident(claim, spec);
        join_all(leaving.into_iter().map(Stage::strike)).await;
        if let Some(stage) = resident {
            self.state().tally.resident_claims += 1;
            return Ok(Taken::Agent(stage));
        }
        let transcript = self.transcript(spec).await?;
        let usual = spec.options.are_usual() && spec.network.is_empty() && transcript.is_empty();
        if usual && let Some(stage) = self.claim_spare(claim).await? {
            return Ok(Taken::Agent(stage));
        }
        self.state().tally.cold_starts += 1;
        let (pool, claim) = (Arc::clone(self), claim.clone());
        let started =
            in_own_task(async move { Stage::open_agent(&pool.parts, &claim, &transcript).await.map(Some) });
        Ok(Taken::Agent(started.await?.ok_or_else(StageError::lost)?))
    }

    /// What an agent's job leaves: its process waits for the session's next turn, or goes. Answers the project if
    /// it stands in no slot any more, to be given up once the job has ended.
    pub(super) async fn put_back_agent(
        &self,
        mut stage: Stage,
        claim: &Claim,
        after: Aftermath,
    ) -> Option<ProjectId> {
        let spec = claim.spec.agent.as_ref()?;
        let rested = after != Aftermath::Doubtful && stage.settle(None).await;
        let known = rested && self.remember(&mut stage, claim, spec).await;
        let stage = if known { self.settle_down(stage, claim, spec)? } else { stage };
        self.state().tally.recycled += 1;
        stage.strike().await;
        Some(spec.project)
    }

    /// Tells the store that the project can be had by any worker, unless the next job of it has left a process
    /// there by now.
    pub async fn give_up(&self, project: ProjectId) {
        while !self.state().agents.stand_in(project) {
            match self.store.release(&self.worker, project).await {
                // A job of it may have been claimed again meanwhile, by this very worker: then it keeps it.
                Ok(_) => return,
                Err(error @ StoreError::Corrupt(_)) => {
                    error!(%error, %project, "a project cannot be given up before this worker retires");
                    return;
                }
                Err(error) => {
                    warn!(%error, %project, "a project cannot be given up; trying on");
                    tokio::time::sleep(limits::STORE_RETRY).await;
                }
            }
        }
    }

    /// Gives up the projects of residents that are deleted and, if this worker has no room for their jobs, those that
    /// others wait for.
    pub async fn make_way(&self, is_full: bool) {
        if self.state().agents.residents() == 0 {
            return;
        }
        let mut projects = self.store.unwanted(&self.worker).await.unwrap_or_default();
        if is_full {
            projects.extend(self.store.wanted(&self.worker, now_ms()).await.unwrap_or_default());
        }
        if !projects.is_empty() {
            let leaving = self.state().agents.in_projects(&projects);
            self.let_go(leaving).await;
        }
    }

    /// Puts away what left the pool, and gives up the projects it stood in.
    pub(super) async fn let_go(&self, left: Left) {
        let spares = left.spares.into_iter().map(Stage::strike);
        let residents = left.residents.into_iter().map(|resident| async move {
            resident.stage.strike().await;
            self.give_up(resident.spec.project).await;
        });
        tokio::join!(join_all(spares), join_all(residents));
    }

    fn may_run(&self, spec: &AgentSpec) -> Result<(), Failure> {
        let refused = |reason| Failure::new(FailureKind::SandboxUnavailable, reason);
        self.parts.run_agents().map_err(refused)?;
        // The api has looked at what all workers let agents do; this one may have been set up anew since.
        match self.parts.agents.lacks(&spec.options) {
            Some(what) => Err(Failure::new(FailureKind::InvalidRequest, format!("no agent here has {what}"))),
            None => Ok(()),
        }
    }

    async fn transcript(&self, spec: &AgentSpec) -> Result<Vec<String>, TakeError> {
        match self.store.transcript(spec.session).await {
            Ok(Some(entries)) => Ok(entries),
            Ok(None) => Err(TakeError::Refused(Failure::new(
                FailureKind::InvalidRequest,
                "the session has grown too long to be continued here",
            ))),
            Err(error) => Err(TakeError::Stage(StageError::store(&error))),
        }
    }

    async fn claim_spare(self: &Arc<Self>, claim: &Claim) -> Result<Option<Stage>, TakeError> {
        let Some(mut spare) = self.state().agents.take_spare() else { return Ok(None) };
        self.changed.notify_one();
        let (pool, claim) = (Arc::clone(self), claim.clone());
        let claimed = in_own_task(async move {
            let claimed = spare.claim(&pool.parts, &claim).await;
            if matches!(claimed, Ok(true)) {
                return Ok(Some(spare));
            }
            spare.strike().await;
            claimed.map(|_| None)
        });
        let claimed = claimed.await?;
        let mut state = self.state();
        let count = if claimed.is_some() { &mut state.tally.spare_claims } else { &mut state.tally.recycled };
        *count += 1;
        drop(state);
        Ok(claimed)
    }

    /// Stores what the turn has added to the session's transcript. `false`: only this process knows it, because the
    /// lease is lost or the store cannot keep it, so it is nobody's.
    async fn remember(&self, stage: &mut Stage, claim: &Claim, spec: &AgentSpec) -> bool {
        let entries = stage.take_mirror();
        if entries.is_empty() {
            return true;
        }
        loop {
            match self.store.remember(&claim.lease, spec.session, &entries, now_ms()).await {
                Ok(Appended::Stored | Appended::Full) => return true,
                Ok(Appended::Fenced) => return false,
                Err(error @ StoreError::Corrupt(_)) => {
                    error!(%error, session = %spec.session, "a turn cannot be stored; its session goes on without it");
                    return false;
                }
                Err(error) => {
                    warn!(%error, "a session's transcript cannot be stored; trying on");
                    tokio::time::sleep(limits::STORE_RETRY).await;
                }
            }
        }
    }

    /// Lets the process stay for its session; gives it back if it may not. Past the limit the least recently
    /// used leaves.
    fn settle_down(&self, process: Stage, claim: &Claim, spec: &AgentSpec) -> Option<Stage> {
        process.rest();
        let mut state = self.state();
        if state.draining || self.plan.residents == 0 {
            return Some(process);
        }
        state.agents.add_resident(process, claim, spec);
        self.changed.notify_one();
        None
    }
}
