//! `drover-api`: see `--help`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use drover_api::arguments::{Arguments, Command, Serving};
use drover_api::commands;
use drover_shared::lifecycle::{Shutdown, announce};
use drover_shared::metrics::{Measured, Port, Teller};
use drover_shared::store::Store;
use drover_shared::{config, store, telemetry};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Arguments = config::load();
    let _logs = telemetry::start(&arguments.serving.common, "drover-api")?;
    match arguments.command {
        None => serve(arguments.serving).await,
        Some(Command::Ping) => ping(&arguments.serving).await,
        Some(Command::Keys(command)) => {
            let store = open(&arguments.serving).await?;
            commands::keys(command, &*store, &mut std::io::stdout()).await
        }
    }
}

async fn serve(serving: Serving) -> anyhow::Result<()> {
    tracing::info!(?serving, "starting");
    let settings = match serving.settings(false) {
        Err(_) if has_keys(&serving).await? => serving.settings(true)?,
        settings => settings?,
    };
    let shutdown = Shutdown::on_signals()?;
    let port = match &serving.metrics_address {
        Some(address) => Some(Port::open(address, Teller::Api).await?),
        None => None,
    };
    let store = open(&serving).await?;
    let store: Arc<dyn Store> = if port.is_some() { Arc::new(Measured::new(store)) } else { store };
    let bind = serving.bind();
    let listener = TcpListener::bind(bind).await.with_context(|| format!("cannot listen at {bind}"))?;
    let address = listener.local_addr().context("cannot tell the address")?;
    tracing::info!(%address, "listening");
    if let Some(file) = &serving.common.ready_file {
        announce(file, &address.to_string(), port.as_ref().map(Port::address))
            .context("cannot write the ready file")?;
    }
    tokio::select! {
        served = drover_api::serve_on(listener, port, settings, store, shutdown.soft) => served,
        // A second signal does not wait for open answers.
        () = shutdown.hard.cancelled() => Ok(()),
    }
}

async fn open(serving: &Serving) -> anyhow::Result<Arc<dyn Store>> {
    store::open(&serving.common.database_url()).await.context("cannot open the store")
}

/// Whether the store has a key, so that nobody comes in without one: also after the last one has expired. A database that is
/// not there holds none, and is not made for nothing.
async fn has_keys(serving: &Serving) -> anyhow::Result<bool> {
    if !store::database_path(&serving.common.database_url())?.exists() {
        return Ok(false);
    }
    Ok(!open(serving).await?.keys().all().await?.is_empty())
}

/// How long a health check waits for its answer.
const PING: Duration = Duration::from_secs(2);

async fn ping(serving: &Serving) -> anyhow::Result<()> {
    let mut address = serving.bind();
    if address.ip().is_unspecified() {
        address.set_ip(std::net::IpAddr::from([127, 0, 0, 1]));
    }
    let answer = tokio::time::timeout(PING, ask(address)).await.context("no answer in time")??;
    if !answer.starts_with("HTTP/1.1 200") {
        bail!("not ready: {}", answer.lines().next().unwrap_or_default());
    }
    Ok(())
}

async fn ask(address: std::net::SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await.context("cannot connect")?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
