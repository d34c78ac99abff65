//! `drover-worker`: see `--help`.

use std::sync::Arc;

use anyhow::Context;
use drover_shared::lifecycle::{Shutdown, announce};
use drover_shared::metrics::{Measured, Port, Teller};
use drover_shared::schema::limits;
use drover_shared::{config, store, telemetry};
use drover_worker::settings::{Arguments, Command, Settings};
use drover_worker::{doctor, serve, slot};

fn main() -> anyhow::Result<()> {
    // Before there is any other thread: this process may be a slot's supervisor.
    slot::supervise_if_asked();
    let arguments: Arguments = config::load();
    let _logs = telemetry::start(&arguments.settings.common, "drover-worker")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(run(arguments));
    // A process that cannot be killed must not keep this one from leaving.
    runtime.shutdown_timeout(limits::FAREWELL);
    result
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        None => work(arguments.settings).await,
        Some(Command::Doctor) => doctor::run(&arguments.settings).await,
        Some(Command::Ping) => doctor::ping(&arguments.settings).await,
    }
}

async fn work(settings: Settings) -> anyhow::Result<()> {
    tracing::info!(?settings, "starting");
    let shutdown = Shutdown::on_signals()?;
    let port = match &settings.metrics_address {
        Some(address) => Some(Port::open(address, Teller::Worker).await?),
        None => None,
    };
    let metrics = port.as_ref().map(Port::address);
    let store = store::open(&settings.common.database_url()).await.context("cannot open the store")?;
    let store = if port.is_some() { Arc::new(Measured::new(store)) } else { store };
    let worker = serve::Worker::start(&settings, store, port).await?;
    if let Some(file) = &settings.common.ready_file {
        announce(file, &worker.id().to_string(), metrics).context("cannot write the ready file")?;
    }
    worker.run(shutdown).await
}
