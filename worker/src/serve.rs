//! The life of a worker process: set up, work, drain, go.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use drover_shared::clock::now_ms;
use drover_shared::lifecycle::Shutdown;
use drover_shared::metrics::Port;
use drover_shared::schema::{WorkerId, limits};
use drover_shared::store::{Ring, RingRole, Store, WorkerLock, database_path, millis};
use drover_shared::telemetry;
use futures_util::FutureExt;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};
use uuid::Uuid;

use crate::attempt::Limits;
use crate::fleet::{self, FleetConfig};
use crate::pool::{self, Pool};
use crate::publish::Publisher;
use crate::registry::{self, Sources};
use crate::relay::Upstream;
use crate::running::Running;
use crate::settings::Settings;
use crate::slot::bounds::Groups;
use crate::slot::{self, SlotDirs, Supervisor, Workspaces, walls};
use crate::stage::Parts;
use crate::workshop::Workshop;
use crate::{heartbeat, install, metrics, rings, work};

/// A worker that has registered and waits to be run.
pub struct Worker {
    shop: Arc<Workshop>,
    rings: mpsc::Receiver<Ring>,
    publishing: JoinHandle<()>,
    sources: Sources,
    drain_grace: Duration,
    // Held for as long as the process lives: its release tells the others that it died.
    lock: WorkerLock,
    _metrics: Option<DropGuard>,
}

impl Worker {
    /// Finds or installs the CLI and registers the worker.
    ///
    /// Metrics are served at `port`, if there is one.
    pub async fn start(
        settings: &Settings,
        store: Arc<dyn Store>,
        port: Option<Port>,
    ) -> anyhow::Result<Self> {
        slot::become_subreaper().context("cannot adopt orphans")?;
        let id = mint_id();
        telemetry::identify(&id.0);
        let lock = lock(settings, &id)?;
        let supervisor = supervisor(settings);
        let claude = install::find_or_install(&settings.install()).await?;
        info!(worker = %id, version = %claude.version, build = ?claude.build, "found the Claude CLI");
        match &claude.root {
            Ok(root) => info!(%root, "agent jobs can run"),
            Err(refusal) => warn!(%refusal, "agent jobs cannot run here; chat jobs can"),
        }
        let (publisher, publishing) = Publisher::start(Arc::clone(&store));
        let rings = store.listen(RingRole::Worker, &id.0).await.context("cannot listen")?;
        let root = settings.slot_root();
        let (survey, wishes) = (walls::survey(), settings.walls());
        let users = walls::users(survey, &wishes, &root, &claude.files())?;
        let plan = walls::Plan::make(survey, &wishes, claude.files());
        let mcp = settings.mcp()?;
        let agents = settings.agents(claude.build, &mcp)?;
        let run_agents = plan.agents.is_ok() && claude.root.is_ok();
        let sources = Sources { agents: run_agents.then(|| agents.clone()), ..settings.registry() };
        let upstream = provider(&sources, settings)?;
        let dirs = SlotDirs::claim(&root, users)
            .with_context(|| format!("cannot make slot directories in {}", root.display()))?;
        let workspaces =
            Workspaces::open(&settings.common.work_root()).context("cannot use the projects' directory")?;
        let pool = Pool::new(
            Parts {
                claude,
                dirs,
                walls: plan,
                workspaces,
                supervisor,
                bounds: settings.bounds(),
                allowance: settings.allowance(),
                agents,
                mcp,
                account: settings.account(),
                upstream,
            },
            settings.pool(),
            Arc::clone(&store),
            id.clone(),
        );
        let shop = Arc::new(Workshop {
            id,
            store,
            publisher,
            running: Running::default(),
            pool,
            slots: settings.slots,
            limits: attempt_limits(settings),
            draining: CancellationToken::new(),
            stop: CancellationToken::new(),
            started_at_ms: now_ms(),
        });
        shop.store.beat(&shop.report(), now_ms()).await.context("cannot register the worker")?;
        let offer = shop.pool.parts.upstream.offer();
        shop.store.offer(&shop.id, &offer).await.context("cannot tell what the worker offers")?;
        let metrics = port.map(|port| metrics::serve(port, Arc::clone(&shop)));
        Ok(Self {
            shop,
            rings,
            publishing,
            sources,
            drain_grace: settings.drain_grace(),
            lock,
            _metrics: metrics,
        })
    }

    /// Which worker.
    pub fn id(&self) -> &WorkerId {
        &self.shop.id
    }

    /// Works until told to stop. First stage: takes nothing new, finishes what runs within the grace.
    /// Second stage, or the end of the grace: gives back what has not spoken, ends the rest.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let (shop, mut publishing) = (self.shop, self.publishing);
        let bell = Arc::new(Notify::new());
        let (store, beating) = (Arc::clone(&shop.store), Arc::clone(&shop));
        let mut beat = tokio::spawn(heartbeat::run(store, move || beating.report()));
        let (store, running) = (Arc::clone(&shop.store), shop.running.clone());
        let mut rung =
            tokio::spawn(rings::run(store, shop.id.clone(), self.rings, Arc::clone(&bell), running));
        let kept = tokio::spawn(pool::keep(Arc::clone(&shop.pool), shop.draining.clone()));
        let kept = kept.map(|ended| ended.is_ok()).shared();
        let making_way = tokio::spawn(make_way(Arc::clone(&shop)));
        let upstream = Arc::clone(&shop.pool.parts.upstream);
        let store = Arc::clone(&shop.store);
        let watching = tokio::spawn(registry::watch(self.sources, upstream, store, shop.id.clone()));
        tokio::spawn(stages(shutdown, Arc::clone(&shop), self.drain_grace));

        let config = FleetConfig { store: Arc::clone(&shop.store), worker: shop.id.clone(), bell };
        let jobs = Arc::clone(&shop);
        let handle = move |claim| work::run(Arc::clone(&jobs), claim);
        tokio::select! {
            ended = fleet::run(config, shop.slots as usize, shop.draining.clone(), handle) => ended?,
            _ = &mut beat => bail!("the heartbeat died"),
            _ = &mut rung => bail!("the doorbell's listener died"),
            _ = &mut publishing => bail!("the publisher died"),
            false = kept.clone() => bail!("the pool died"),
            () = overdue(&shop) => bail!("the last events of jobs could not be stored in time; others end them"),
        }
        if !shop.draining.is_cancelled() {
            bail!("claiming died");
        }
        // What waited went when draining began; this is for what was still on its way.
        kept.await;
        making_way.abort();
        watching.abort();
        beat.abort();
        rung.abort();
        shop.store.retire(&shop.id).await.context("cannot leave the fleet")?;
        self.lock.give_back();
        publishing.abort();
        info!(worker = %shop.id, "stopped");
        Ok(())
    }
}

/// Gives up what idle processes hold of deleted projects and, while every slot works, of those that others wait for;
/// else the worker claims it.
async fn make_way(shop: Arc<Workshop>) {
    loop {
        tokio::time::sleep(limits::SWEEP).await;
        shop.pool.make_way(shop.running.count() >= shop.slots).await;
    }
}

/// Waits until jobs that were told to stop should long have ended. They have not if the store is away: what
/// they have to say is lost then, and their lease with this process.
async fn overdue(shop: &Workshop) {
    shop.stop.cancelled().await;
    tokio::time::sleep(limits::LAST_WORDS).await;
}

/// Leads the worker through the stages of its shutdown.
async fn stages(shutdown: Shutdown, shop: Arc<Workshop>, grace: Duration) {
    shutdown.soft.cancelled().await;
    info!(running = shop.running.count(), "draining");
    shop.draining.cancel();
    tokio::select! {
        () = tokio::time::sleep(grace) => {}
        () = shutdown.hard.cancelled() => {}
    }
    shop.stop.cancel();
}

/// Beside the database, where the others look for it, which need not be the data directory.
fn lock(settings: &Settings, id: &WorkerId) -> anyhow::Result<WorkerLock> {
    let database = database_path(&settings.common.database_url())?;
    let dir = database.parent().context("the database has no directory")?;
    WorkerLock::acquire(dir, id).context("cannot take the worker's lock file")
}

/// Before any other process is started: setting up control groups may move this one into a group of its own.
fn supervisor(settings: &Settings) -> Supervisor {
    let (groups, survey) = Groups::set_up();
    let bounds = settings.bounds();
    info!(memory_mb = bounds.memory_bytes >> 20, processes = bounds.processes, "bounds of a slot: {survey}");
    match groups {
        Some(groups) => Supervisor::default().within(Arc::new(groups), bounds),
        None => Supervisor::default(),
    }
}

fn attempt_limits(settings: &Settings) -> Limits {
    Limits {
        wall_ms: millis(settings.job_timeout()),
        stall_ms: millis(settings.job_stall()),
        ready_ms: millis(limits::CLI_READY),
    }
}

fn provider(sources: &Sources, settings: &Settings) -> anyhow::Result<Arc<Upstream>> {
    let catalog = sources.load().context("the registry of providers")?;
    match catalog.endpoints.as_slice() {
        [] => info!("no provider's key is configured: the demo model answers"),
        some => info!(
            providers = some.iter().map(|endpoint| endpoint.id.as_str()).collect::<Vec<_>>().join(", "),
            default_model = catalog.offer.default_model,
            "providers"
        ),
    }
    Upstream::new(catalog, env!("CARGO_PKG_VERSION"), settings.provider_attempts)
        .context("the providers' settings")
}

fn mint_id() -> WorkerId {
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let random = Uuid::new_v4().simple().to_string();
    WorkerId(format!("{host}-{}-{}", std::process::id(), &random[..8]))
}
