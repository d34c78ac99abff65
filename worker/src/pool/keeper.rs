//! The duty that fills the pool and puts away what has waited too long.

use std::sync::Arc;
use std::time::Instant;

use drover_shared::cli::Feature;
use drover_shared::schema::{Class, limits};
use futures_util::future::join_all;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Pool;
use crate::stage::{Stage, StageError};

/// Keeps the pool filled until `closing`; then puts away all that waits.
pub async fn keep(pool: Arc<Pool>, closing: CancellationToken) {
    let (mut pause, mut not_before) = (limits::SPARE_RETRY, Instant::now());
    closing
        .run_until_cancelled(async {
            loop {
                pool.sweep().await;
                let Some(class) = pool.lacks().filter(|_| Instant::now() >= not_before) else {
                    let _ = timeout(limits::POOL_ROUND, pool.changed.notified()).await;
                    continue;
                };
                pool.calm().await;
                let prepared = match class {
                    Class::Chat => pool.prepare().await,
                    Class::Agent => pool.prepare_agent().await,
                };
                match prepared {
                    Ok(()) => pause = limits::SPARE_RETRY,
                    Err(error) => {
                        warn!(%error, retry_after_s = pause.as_secs(), "no spare process can be started");
                        not_before = Instant::now() + pause;
                        pause = (pause * 2).min(limits::SPARE_RETRY_MAX);
                    }
                }
            }
        })
        .await;
    pool.drain().await;
}

impl Pool {
    /// Puts away what has waited too long or has died.
    async fn sweep(&self) {
        let (leaving, agents, crowded) = {
            let (mut state, now) = (self.state(), Instant::now());
            let leaving = state.shelf.sweep(now, self.plan.ages(), |stage| stage.slot.has_exited());
            let agents = state.agents.sweep(now, self.plan.spare_age, self.plan.resident_age);
            let crowded = state.agents.past(self.plan.residents);
            state.tally.recycled += (leaving.len() + agents.len() + crowded.len()) as u64;
            (leaving, agents, crowded)
        };
        let leaving = join_all(leaving.into_iter().map(Stage::strike));
        tokio::join!(leaving, self.let_go(agents), self.let_go(crowded));
    }

    /// Of which class a spare is missing.
    fn lacks(&self) -> Option<Class> {
        let state = self.state();
        if state.shelf.spares() + state.preparing < self.plan.spares {
            return Some(Class::Chat);
        }
        (self.agent_spares() > state.agents.spares()).then_some(Class::Agent)
    }

    /// How many agent spares there are to be: none where the CLI knows none, or where no agent may run.
    fn agent_spares(&self) -> usize {
        let claude = &self.parts.claude;
        let can = Feature::AwaitClaim.in_version(claude.build, claude.version)
            && claude.root.is_ok()
            && self.parts.walls.agents.is_ok();
        if can { self.plan.agent_spares } else { 0 }
    }

    async fn prepare_agent(&self) -> Result<(), StageError> {
        let spare = Stage::open_spare_agent(&self.parts).await?;
        let unwanted = {
            let mut state = self.state();
            if state.draining {
                Some(spare)
            } else {
                state.agents.add_spare(spare);
                None
            }
        };
        if let Some(unwanted) = unwanted {
            unwanted.strike().await;
        }
        Ok(())
    }

    /// Waits until no job waits for its first content, nor has done so a moment ago, though not for ever:
    /// starting a process takes half a second of a core.
    async fn calm(&self) {
        let mut urgent = self.urgent.subscribe();
        let lull = async {
            loop {
                // An error would mean that the pool is gone, which this very call keeps.
                let _ = urgent.wait_for(|urgent| *urgent == 0).await;
                if timeout(limits::SPARE_LULL, urgent.wait_for(|urgent| *urgent > 0)).await.is_err() {
                    return;
                }
            }
        };
        let _ = timeout(limits::SPARE_COURTESY, lull).await;
    }

    /// Starts one spare. One at a time: the other cores are for the jobs.
    async fn prepare(self: &Arc<Self>) -> Result<(), StageError> {
        let _preparing = Preparing::begin(Arc::clone(self));
        let mut stage = Stage::open(&self.parts).await?;
        if let Err(error) = stage.prime().await {
            stage.strike().await;
            return Err(error);
        }
        if let Some(unwanted) = self.deliver(stage) {
            unwanted.strike().await;
        }
        Ok(())
    }

    /// Hands a spare to the job that waits longest, else to the shelf; gives it back if the pool closes.
    fn deliver(&self, mut spare: Stage) -> Option<Stage> {
        let mut state = self.state();
        while let Some(promise) = state.waiting.pop_front() {
            match promise.send(spare) {
                Ok(()) => return None,
                Err(unwanted) => spare = unwanted,
            }
        }
        if state.draining {
            return Some(spare);
        }
        state.shelf.add_spare(spare, Instant::now());
        None
    }
}

/// A spare that is being started; jobs may count on it while this exists.
struct Preparing(Arc<Pool>);

impl Preparing {
    fn begin(pool: Arc<Pool>) -> Self {
        pool.state().preparing += 1;
        Self(pool)
    }
}

impl Drop for Preparing {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.preparing -= 1;
        // Whoever counted on it starts a process of its own, now that the promise is broken.
        let (preparing, waiting) = (state.preparing, state.waiting.len());
        state.waiting.drain(..waiting.saturating_sub(preparing)).for_each(drop);
    }
}
