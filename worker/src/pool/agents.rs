//! Agent processes: spares that wait to be claimed, residents that wait for their session's next turn, and the
//! projects that stand in their slots.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drover_shared::clock::now_ms;
use drover_shared::schema::{AgentSpec, Failure, FailureKind, ProjectId, limits};
use drover_shared::store::{Appended, Claim};
use futures_util::future::join_all;
use tracing::warn;

use super::{Aftermath, Pool, Taken, in_own_task};
use crate::stage::{Stage, StageError};

/// What waits of the agent class.
#[derive(Default)]
pub(super) struct Agents {
    /// Oldest first.
    spares: VecDeque<(Stage, Instant)>,
    /// Least recently used first.
    residents: Vec<Resident>,
}

/// A process that waits for its session's next turn.
struct Resident {
    stage: Stage,
    spec: AgentSpec,
    /// The client's system text: it was told once, when the process began.
    system: String,
    since: Instant,
}

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

impl Resident {
    fn serves(&self, claim: &Claim, spec: &AgentSpec) -> bool {
        // Others may have worked in the project since, if the worker has not held it all the time.
        claim.unbroken
            && self.spec.session == spec.session
            && self.spec.tools == spec.tools
            && self.spec.network == spec.network
            && self.system == claim.spec.system
            && !self.stage.slot.has_exited()
    }
}

impl Agents {
    /// The session's own process, and whichever else stands in the job's project and has to leave it.
    fn take_resident(&mut self, claim: &Claim, spec: &AgentSpec) -> (Option<Stage>, Vec<Stage>) {
        let here = self.residents.extract_if(.., |resident| resident.spec.project == spec.project);
        let (mine, others): (Vec<_>, Vec<_>) = here.partition(|resident| resident.serves(claim, spec));
        let stages = |residents: Vec<Resident>| residents.into_iter().map(|resident| resident.stage);
        let mut mine = stages(mine);
        let first = mine.next();
        (first, mine.chain(stages(others)).collect())
    }

    pub(super) fn spares(&self) -> usize {
        self.spares.len()
    }

    pub(super) fn residents(&self) -> usize {
        self.residents.len()
    }

    pub(super) fn add_spare(&mut self, stage: Stage) {
        self.spares.push_back((stage, Instant::now()));
    }

    fn take_spare(&mut self) -> Option<Stage> {
        std::iter::from_fn(|| self.spares.pop_front()).map(|(stage, _)| stage).find(|stage| {
            // What has died is wiped as it is dropped; it stood in no project.
            !stage.slot.has_exited()
        })
    }

    /// Takes out what is too old or has died.
    pub(super) fn sweep(&mut self, now: Instant, spare_age: Duration, resident_age: Duration) -> Left {
        let old = |since: Instant, age| now.saturating_duration_since(since) >= age;
        let spares = std::mem::take(&mut self.spares).into_iter();
        let (out, stay): (Vec<_>, Vec<_>) =
            spares.partition(|(stage, since)| old(*since, spare_age) || stage.slot.has_exited());
        self.spares = stay.into();
        let gone =
            |resident: &mut Resident| old(resident.since, resident_age) || resident.stage.slot.has_exited();
        Left {
            residents: self.residents.extract_if(.., gone).collect(),
            spares: out.into_iter().map(|(stage, _)| stage).collect(),
        }
    }

    /// Takes out everything.
    pub(super) fn empty(&mut self) -> Left {
        Left {
            residents: std::mem::take(&mut self.residents),
            spares: self.spares.drain(..).map(|(stage, _)| stage).collect(),
        }
    }
}

/// What leaves the pool.
pub(super) struct Left {
    residents: Vec<Resident>,
    spares: Vec<Stage>,
}

impl Left {
    pub(super) fn len(&self) -> usize {
        self.residents.len() + self.spares.len()
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
        let usual = spec.tools.is_empty() && spec.network.is_empty() && transcript.is_empty();
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
        let leaving = match rested && self.remember(&mut stage, claim, spec).await {
            true => self.settle_down(stage, claim, spec),
            false => Some(stage),
        };
        let stage = leaving?;
        self.state().tally.recycled += 1;
        stage.strike().await;
        Some(spec.project)
    }

    /// Tells the store that the project can be had by any worker.
    pub async fn give_up(&self, project: ProjectId) {
        loop {
            match self.store.release(&self.worker, project).await {
                // A job of it may have been claimed again meanwhile, by this very worker: then it keeps it.
                Ok(_) => return,
                Err(error) => {
                    warn!(%error, %project, "a project cannot be given up; trying on");
                    tokio::time::sleep(limits::STORE_RETRY).await;
                }
            }
        }
    }

    /// Gives up the projects of residents that others wait for, while this worker has no room for their jobs.
    pub async fn make_way(&self) {
        if self.state().agents.residents.is_empty() {
            return;
        }
        let Ok(wanted) = self.store.wanted(&self.worker, now_ms()).await else { return };
        let leaving: Vec<Resident> = {
            let mut state = self.state();
            let is_wanted = |resident: &mut Resident| wanted.contains(&resident.spec.project);
            state.agents.residents.extract_if(.., is_wanted).collect()
        };
        self.let_go(Left { residents: leaving, spares: Vec::new() }).await;
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
        let refused = |reason: String| Failure::new(FailureKind::SandboxUnavailable, reason);
        if let Err(reason) = &self.parts.walls.agents {
            return Err(refused(reason.clone()));
        }
        if let Err(refusal) = &self.parts.claude.root {
            return Err(refused(refusal.to_string()));
        }
        let is_name = |tool: &String| !tool.is_empty() && tool.chars().all(|c| c.is_ascii_alphanumeric());
        if !spec.tools.iter().all(is_name) {
            return Err(Failure::new(FailureKind::InvalidRequest, "a tool's name is letters and digits"));
        }
        Ok(())
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
        let Some(mut stage) = self.state().agents.take_spare() else { return Ok(None) };
        self.changed.notify_one();
        let (pool, claim) = (Arc::clone(self), claim.clone());
        let claimed = in_own_task(async move {
            match stage.claim(&pool.parts, &claim).await {
                Ok(true) => Ok(Some(stage)),
                Ok(false) => {
                    stage.strike().await;
                    Ok(None)
                }
                Err(error) => {
                    stage.strike().await;
                    Err(error)
                }
            }
        });
        let claimed = claimed.await?;
        let mut state = self.state();
        match claimed.is_some() {
            true => state.tally.spare_claims += 1,
            false => state.tally.recycled += 1,
        }
        drop(state);
        Ok(claimed)
    }

    /// Stores what the turn has added to the session's transcript. `false`: only this process knows it, and the
    /// lease is lost, so it is nobody's.
    async fn remember(&self, stage: &mut Stage, claim: &Claim, spec: &AgentSpec) -> bool {
        let entries = stage.take_mirror();
        if entries.is_empty() {
            return true;
        }
        loop {
            match self.store.remember(&claim.lease, spec.session, &entries, now_ms()).await {
                Ok(Appended::Stored | Appended::Full) => return true,
                Ok(Appended::Fenced) => return false,
                Err(error) => {
                    warn!(%error, "a session's transcript cannot be stored; trying on");
                    tokio::time::sleep(limits::STORE_RETRY).await;
                }
            }
        }
    }

    /// Lets the process stay for its session; gives it back if it may not. Past the limit the least recently
    /// used leaves.
    fn settle_down(&self, stage: Stage, claim: &Claim, spec: &AgentSpec) -> Option<Stage> {
        stage.rest();
        let mut state = self.state();
        if state.draining || self.plan.residents == 0 {
            return Some(stage);
        }
        let system = claim.spec.system.clone();
        state.agents.residents.push(Resident { stage, spec: spec.clone(), system, since: Instant::now() });
        self.changed.notify_one();
        None
    }

    /// Takes out residents past the limit.
    pub(super) fn crowded_out(&self) -> Left {
        let mut state = self.state();
        let past = state.agents.residents.len().saturating_sub(self.plan.residents);
        Left { residents: state.agents.residents.drain(..past).collect(), spares: Vec::new() }
    }
}
