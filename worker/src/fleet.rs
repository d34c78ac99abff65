//! The worker's place in the queue: an apalis backend that claims one job at a time, and only when a slot
//! is free. Wake-ups are rings with the sweep under them; storage errors are waited out and never end
//! the worker. Heartbeats are a duty of their own (`heartbeat`), so that they go on while it drains.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use apalis::prelude::{ParallelizeExt, WorkerBuilder, WorkerBuilderExt};
use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::error::WorkerError;
use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::worker::context::WorkerContext;
use drover_shared::clock::now_ms;
use drover_shared::schema::{LeaseToken, WorkerId, limits};
use drover_shared::store::{Claim, Store};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

/// Runs `handle` on every job claimed, at most `slots` at once, until `closing` is cancelled and the
/// last of them has ended.
pub async fn run<F, Fut>(
    config: FleetConfig,
    slots: usize,
    closing: CancellationToken,
    handle: F,
) -> Result<(), WorkerError>
where
    F: Fn(Claim) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let name = config.worker.to_string();
    WorkerBuilder::new(name)
        .backend(FleetBackend::start(config, closing))
        .concurrency(slots)
        .parallelize(tokio::spawn)
        .build(move |claim: Claim| handle(claim))
        .run()
        .await
}

/// Claims jobs for one worker.
struct FleetBackend {
    config: FleetConfig,
    wants: mpsc::Sender<()>,
    claims: mpsc::Receiver<Claim>,
    asked: bool,
}

/// What claiming needs.
#[derive(Clone)]
pub struct FleetConfig {
    /// Where jobs come from.
    pub store: Arc<dyn Store>,
    /// On whose behalf.
    pub worker: WorkerId,
    /// Rung when there may be something to claim.
    pub bell: Arc<Notify>,
}

impl FleetBackend {
    /// Starts claiming as soon as apalis asks for a first job. `closing` ends it, and with it the stream;
    /// what was claimed by then is still handed over.
    fn start(config: FleetConfig, closing: CancellationToken) -> Self {
        let (wants, wanted) = mpsc::channel(1);
        let (claimed, claims) = mpsc::channel(1);
        tokio::spawn(pull(config.clone(), wanted, claimed, closing));
        Self { config, wants, claims, asked: false }
    }
}

/// One job for each wish. A wish comes only when apalis has a free slot, so nothing is prefetched.
async fn pull(
    config: FleetConfig,
    mut wanted: mpsc::Receiver<()>,
    claimed: mpsc::Sender<Claim>,
    closing: CancellationToken,
) {
    while wanted.recv().await.is_some() {
        let Some(claim) = next_claim(&config, &closing).await else { return };
        if claimed.send(claim).await.is_err() {
            return;
        }
    }
}

async fn next_claim(config: &FleetConfig, closing: &CancellationToken) -> Option<Claim> {
    let mut told = false;
    loop {
        if closing.is_cancelled() {
            return None;
        }
        // Registered before the store is asked, so that no ring falls between the two.
        let rung = config.bell.notified();
        let pause = match config.store.claim(&config.worker, LeaseToken(Uuid::new_v4()), now_ms()).await {
            Ok(Some(claim)) => return Some(claim),
            Ok(None) => limits::SWEEP,
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    warn!(%error, "cannot claim jobs; trying on");
                }
                limits::STORE_RETRY
            }
        };
        tokio::select! {
            () = rung => {}
            () = tokio::time::sleep(pause) => {}
            () = closing.cancelled() => return None,
        }
    }
}

impl Backend for FleetBackend {
    type Task = Task<Claim>;
    type Error = std::convert::Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Self::Error>>> {
        if !self.asked {
            self.asked = self.wants.try_send(()).is_ok();
        }
        self.claims.poll_recv(cx).map(|claim| {
            self.asked = false;
            claim.map(|claim| Ok(TaskBuilder::new(claim).build()))
        })
    }

    /// Called once nothing runs any more. The claiming has ended by then: it is what ends the stream.
    fn poll_close(&mut self, _: &mut Context<'_>, worker: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        if let Err(error) = worker.stop() {
            warn!(%error, "apalis' worker did not stop");
        }
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for FleetBackend {
    type Args = Claim;
    type Id = ulid::Ulid;
    type Kind = Ephemeral;
    type Config = FleetConfig;
    type Layer = tower_layer::Identity;

    fn config(&self) -> &FleetConfig {
        &self.config
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Self::Layer {
        tower_layer::Identity::new()
    }
}
