//! The processes that wait for work, so that no job waits for a process to start.
//!
//! - *Spares* are chat processes that were started ahead and primed, and have served nobody.
//! - *Kept* ones have served a key and wait for its next job. A process serves one key, one job at a time.
//! - Agent spares wait to be bound to a project. A *resident* waits, in its project, for its session's next turn.
//!
//! What served its turn, is too old, or gives the slightest reason for doubt is put away.

mod agents;
mod keeper;
mod plan;
mod sessions;
mod shelf;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use drover_shared::schema::{Class, Owner, PoolReport, ProjectId, WorkerId, limits};
use drover_shared::store::{Claim, Store};
use futures_util::future::join_all;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::timeout;
use uuid::Uuid;

use self::agents::Agents;
use self::shelf::{From, Shelf};
use crate::relay::Binding;
use crate::stage::{Parts, Stage, StageError};

pub use self::keeper::keep;
pub use self::plan::{Isolation, Plan, default_spares};
pub use self::sessions::TakeError;

/// What a job got.
pub enum Taken {
    /// A chat process.
    Chat(Stage),
    /// An agent process, in the job's project.
    Agent(Stage),
}

/// One per worker.
pub struct Pool {
    /// What processes are made of.
    pub parts: Parts,
    plan: Plan,
    store: Arc<dyn Store>,
    worker: WorkerId,
    state: Mutex<State>,
    /// Rung when there may be something for the keeper to do.
    changed: Notify,
    /// How many jobs wait for their first content.
    urgent: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    shelf: Shelf<Stage>,
    agents: Agents,
    /// Spares that are being started.
    preparing: usize,
    /// Jobs that wait for one of those.
    waiting: VecDeque<oneshot::Sender<Stage>>,
    /// Processes that are ending a turn, each under its key, with the job that waits for it.
    settling: Vec<Settling>,
    draining: bool,
    tally: Tally,
}

/// A process that its key's next job may have in a moment.
struct Settling {
    id: Uuid,
    owner: Owner,
    promise: Option<oneshot::Sender<Stage>>,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    spare_claims: u64,
    kept_claims: u64,
    resident_claims: u64,
    cold_starts: u64,
    recycled: u64,
}

/// In what state a job leaves its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aftermath {
    /// The answer is whole, or has failed as answers do; the process ends its turn by itself.
    Ending,
    /// The turn is still at it and has to be stopped.
    Running,
    /// Nobody can tell.
    Doubtful,
}

impl Pool {
    /// An empty pool. [`keep`] fills it.
    pub fn new(parts: Parts, plan: Plan, store: Arc<dyn Store>, worker: WorkerId) -> Arc<Self> {
        let (urgent, _) = watch::channel(0);
        let state = Mutex::default();
        Arc::new(Self { parts, plan, store, worker, state, changed: Notify::new(), urgent })
    }

    /// A process for a job: one that waits, one that is about to, or a fresh one. Dropping the future harms
    /// nobody: what was meant for it goes to the next, or is put away.
    pub async fn take(self: &Arc<Self>, claim: &Claim) -> Result<Taken, TakeError> {
        match &claim.spec.agent {
            Some(spec) => self.take_agent(claim, spec).await,
            None => Ok(Taken::Chat(self.take_chat(&claim.owner).await?)),
        }
    }

    /// Takes back what a job has played on; the process comes to rest and waits, or is put away. Answers the
    /// project that is to be given up once the job has ended.
    pub async fn put_back(
        &self,
        stage: Stage,
        binding: Binding,
        claim: &Claim,
        after: Aftermath,
    ) -> Option<ProjectId> {
        match claim.spec.class() {
            Class::Chat => {
                self.put_back_chat(stage, binding, claim.owner.clone(), after).await;
                None
            }
            Class::Agent => {
                drop(binding);
                self.put_back_agent(stage, claim, after).await
            }
        }
    }

    async fn take_chat(self: &Arc<Self>, owner: &Owner) -> Result<Stage, StageError> {
        if let Some(stage) = self.settled_soon(owner).await {
            self.state().tally.kept_claims += 1;
            return Ok(stage);
        }
        if let Some(stage) = self.waiting_one(owner) {
            self.changed.notify_one();
            return Ok(stage);
        }
        self.state().tally.cold_starts += 1;
        if let Some(soon) = self.join()
            // Longer than a process takes to start, something is wrong with that one.
            && let Ok(Ok(stage)) = timeout(limits::SPARE_PATIENCE, soon).await
        {
            return Ok(stage);
        }
        self.start_cold().await
    }

    /// The turn is ended first, if need be; then the process waits for the key's next job, or is put away.
    async fn put_back_chat(&self, mut stage: Stage, binding: Binding, owner: Owner, after: Aftermath) {
        let keep = !self.state().draining && self.plan.may_keep(after, &stage.served());
        // The job's calls are held while the process ends its turn by itself. Otherwise the model stops now.
        let binding = Some(binding).filter(|_| keep && after == Aftermath::Ending);
        let settling = keep.then(|| self.begin_settling(&owner));
        let keep = keep && stage.settle(binding).await;
        let promise = settling.and_then(|id| self.end_settling(id));
        let leaving = match (keep, promise) {
            (false, _) => Some(stage),
            (true, None) => self.shelve(stage, owner),
            (true, Some(promise)) => promise.send(stage).err().and_then(|stage| self.shelve(stage, owner)),
        };
        if let Some(stage) = leaving {
            self.state().tally.recycled += 1;
            stage.strike().await;
        }
        self.changed.notify_one();
    }

    /// Marks a job as waiting for its first content, until the guard is dropped; meanwhile no spare is
    /// started beside it.
    pub fn urgent(self: &Arc<Self>) -> Urgent {
        self.urgent.send_modify(|urgent| *urgent += 1);
        Urgent(Arc::clone(self))
    }

    /// Puts away everything that waits, and keeps nothing from now on.
    pub async fn drain(&self) {
        let (stages, agents) = {
            let mut state = self.state();
            state.draining = true;
            (state.shelf.empty(), state.agents.empty())
        };
        tokio::join!(join_all(stages.into_iter().map(Stage::strike)), self.let_go(agents));
    }

    /// The counts of this moment.
    pub fn report(&self) -> PoolReport {
        let state = self.state();
        let count = |many| u32::try_from(many).unwrap_or(u32::MAX);
        PoolReport {
            chat_spares: count(state.shelf.spares()),
            agent_spares: count(state.agents.spares()),
            kept: count(state.shelf.kept()),
            residents: count(state.agents.residents()),
            spare_claims: state.tally.spare_claims,
            kept_claims: state.tally.kept_claims,
            resident_claims: state.tally.resident_claims,
            cold_starts: state.tally.cold_starts,
            recycled: state.tally.recycled,
        }
    }

    /// The process of this key that is just ending its turn, if none waits and one is about to: it is there
    /// sooner than another has done its first job. Not for long, since a turn may also have to be stopped.
    async fn settled_soon(&self, owner: &Owner) -> Option<Stage> {
        let (soon, courtesy) = {
            let mut state = self.state();
            let has_spare = state.shelf.spares() > 0;
            if state.shelf.has_kept(owner) {
                return None;
            }
            let free = |settling: &&mut Settling| {
                let taken = settling.promise.as_ref().is_some_and(|promise| !promise.is_closed());
                settling.owner == *owner && !taken
            };
            let settling = state.settling.iter_mut().find(free)?;
            let (promise, soon) = oneshot::channel();
            settling.promise = Some(promise);
            (soon, if has_spare { limits::SETTLE_COURTESY } else { limits::SETTLE_COURTESY_COLD })
        };
        timeout(courtesy, soon).await.ok()?.ok()
    }

    fn begin_settling(&self, owner: &Owner) -> Uuid {
        let id = Uuid::new_v4();
        self.state().settling.push(Settling { id, owner: owner.clone(), promise: None });
        id
    }

    fn end_settling(&self, id: Uuid) -> Option<oneshot::Sender<Stage>> {
        let mut state = self.state();
        let at = state.settling.iter().position(|settling| settling.id == id)?;
        state.settling.swap_remove(at).promise
    }

    fn waiting_one(&self, owner: &Owner) -> Option<Stage> {
        let mut state = self.state();
        while let Some((stage, from)) = state.shelf.take(owner) {
            if stage.slot.has_exited() {
                state.tally.recycled += 1;
                tokio::spawn(stage.strike());
                continue;
            }
            match from {
                From::Spare => state.tally.spare_claims += 1,
                From::Kept => state.tally.kept_claims += 1,
            }
            return Some(stage);
        }
        None
    }

    /// A place in the line for a spare that is being started, if one is to be had.
    fn join(&self) -> Option<oneshot::Receiver<Stage>> {
        let mut state = self.state();
        state.waiting.retain(|waiting| !waiting.is_closed());
        (state.preparing > state.waiting.len()).then(|| {
            let (promise, soon) = oneshot::channel();
            state.waiting.push_back(promise);
            soon
        })
    }

    async fn start_cold(self: &Arc<Self>) -> Result<Stage, StageError> {
        let pool = Arc::clone(self);
        let started = in_own_task(async move { Stage::open(&pool.parts).await.map(Some) }).await?;
        started.ok_or_else(StageError::lost)
    }

    fn shelve(&self, used: Stage, owner: Owner) -> Option<Stage> {
        let mut state = self.state();
        if state.draining {
            return Some(used);
        }
        state.shelf.keep(used, owner, Instant::now(), self.plan.kept)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements, so a panic elsewhere cannot have torn it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job that waits for its first content.
pub struct Urgent(Arc<Pool>);

impl Drop for Urgent {
    fn drop(&mut self) {
        self.0.urgent.send_modify(|urgent| *urgent -= 1);
    }
}

/// Starts something in a task of its own, so that a job that is called off meanwhile leaves nothing half-done:
/// what nobody waits for any more is put away.
async fn in_own_task(
    start: impl Future<Output = Result<Option<Stage>, StageError>> + Send + 'static,
) -> Result<Option<Stage>, StageError> {
    let (promise, started) = oneshot::channel();
    tokio::spawn(async move {
        if let Err(Ok(Some(unwanted))) = promise.send(start.await) {
            unwanted.strike().await;
        }
    });
    started.await.unwrap_or_else(|_| Err(StageError::lost()))
}
