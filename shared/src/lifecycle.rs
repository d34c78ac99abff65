//! The life of a process: two-stage shutdown and the word that it is ready.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Shutdown in two stages: first take nothing new and finish what runs, then stop at once.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Take nothing new, finish what runs.
    pub soft: CancellationToken,
    /// Stop at once.
    pub hard: CancellationToken,
}

impl Shutdown {
    /// The first SIGTERM or SIGINT asks for the first stage, the second for the second.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stages = shutdown.clone();
        tokio::spawn(async move {
            for stage in [stages.soft, stages.hard] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                stage.cancel();
            }
        });
        Ok(shutdown)
    }
}

/// Tells whoever waits that the process is ready: `{"address": …, "pid": …}`, and where its metrics are if they are
/// anywhere, written in one piece.
pub fn announce(file: &Path, address: &str, metrics: Option<SocketAddr>) -> io::Result<()> {
    let mut ready = serde_json::json!({ "address": address, "pid": std::process::id() });
    if let Some(metrics) = metrics {
        ready["metrics"] = metrics.to_string().into();
    }
    let text = ready.to_string();
    let draft = file.with_extension("draft");
    std::fs::write(&draft, text)?;
    std::fs::rename(draft, file)
}
