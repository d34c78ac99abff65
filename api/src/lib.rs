//! Drover's HTTP server: checks requests, enqueues jobs, streams results. It starts no process and keeps
//! nothing: any number of them may serve the same store.
//!
//! Read `router` first, then `generate`, then `tail`.

mod admission;
mod app;
pub mod arguments;
mod auth;
mod clock;
pub mod commands;
mod completions;
pub mod cors;
mod envelope;
mod error;
mod events;
mod fleet;
mod generate;
mod head;
mod health;
mod identity;
mod jobs;
mod keys;
mod maintenance;
mod metrics;
mod models;
mod openapi;
mod projects;
mod providers;
mod reference;
mod resource;
mod results;
mod router;
mod server;
mod sessions;
mod settings;
mod socket;
mod sse;
mod tail;
mod unwanted;
mod uploads;
mod usage;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::Context as _;
use drover_shared::dialect::openai_chat::OpenAiChat;
use drover_shared::metrics::Port;
use drover_shared::store::Store;
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

pub use clock::Clock;
pub use settings::Settings;

use app::App;

/// Serves until `shutdown` is cancelled and the open answers are finished or cut. Fails when the settings
/// cannot be served, when the address cannot be bound, and when a background task dies.
pub async fn serve(
    settings: Settings,
    store: Arc<dyn Store>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let listener =
        TcpListener::bind(settings.bind).await.with_context(|| format!("cannot bind {}", settings.bind))?;
    serve_on(listener, None, settings, store, shutdown).await
}

/// The same on a socket that is bound already, so that the caller can tell the address first.
/// `settings.bind` is not looked at. Metrics are served at `port`, if there is one.
pub async fn serve_on(
    listener: TcpListener,
    port: Option<Port>,
    settings: Settings,
    store: Arc<dyn Store>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let requires_auth = settings.require_auth;
    let app = App::new(settings, store, Clock::system(), &OpenAiChat, shutdown);
    let is_guarded = !requires_auth || app.keys.any().await?;
    anyhow::ensure!(is_guarded, "a key is required, but none is configured");
    let _metrics = port.map(|port| metrics::serve(port, Arc::clone(&app)));
    run(listener, app).await
}

async fn run(listener: TcpListener, app: Arc<App>) -> anyhow::Result<()> {
    let cut = CancellationToken::new();
    let _cut_on_every_way_out = cut.clone().drop_guard();
    let tailer = tokio::spawn(Arc::clone(&app.tail).run(cut.clone()));
    let duties = tokio::spawn(maintenance::run(Arc::clone(&app)));
    tokio::select! {
        () = server::run(listener, Arc::clone(&app), cut.clone()) => {}
        died = death(tailer) => return Err(died).context("the tailer died"),
        died = death(duties) => return Err(died).context("maintenance died"),
    }
    app.tail.settle().await;
    Ok(())
}

/// Waits for a task to panic; one that ends in order has been told to.
async fn death(task: JoinHandle<()>) -> JoinError {
    match task.await {
        Ok(()) => std::future::pending().await,
        Err(died) => died,
    }
}
