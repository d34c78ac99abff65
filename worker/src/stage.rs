//! What one attempt plays on: a directory, a relay with the job bound to it, and a CLI process whose only
//! way out is that relay.

use std::sync::Arc;

use drover_shared::cli::{self, Build, invocation};
use drover_shared::store::Claim;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use crate::relay::{Address, Binding, Bound, Relay};
use crate::slot::{Launch, Slot, SlotDir};
use crate::workshop::Workshop;

/// Dropping it kills the process and closes the way to the provider; [`Stage::strike`] also waits for it.
pub struct Stage {
    /// The CLI.
    pub slot: Slot,
    /// The job's side of the relay.
    pub binding: Binding,
    relay: Relay,
    dir: SlotDir,
}

/// A stage could not be set; for the client.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StageError(String);

impl Stage {
    /// Starts a process for the job and hands it the placeholder that the relay puts the conversation for.
    pub async fn set(shop: &Workshop, claim: &Claim) -> Result<Self, StageError> {
        let dir = shop.dirs.create().map_err(|error| told("no directory for the slot", &error))?;
        let relay = open_relay(shop, &dir).map_err(|error| told("no relay for the slot", &error))?;
        let placeholder = invocation::placeholder(&Uuid::new_v4().simple().to_string());
        let bound =
            Bound { job: claim.lease.job, spec: Arc::clone(&claim.spec), placeholder: placeholder.clone() };
        let binding = relay.bind(bound);
        let launch = launch(shop, &dir, &relay);
        let slot =
            Slot::launch(&launch).await.map_err(|error| told("the Claude CLI cannot be started", &error))?;
        relay.admit(slot.process.supervisor());
        let mut stage = Self { slot, binding, relay, dir };
        let frame = invocation::user(&Uuid::new_v4().to_string(), &placeholder);
        // A process that is gone already says so on its other pipes.
        if let Err(error) = stage.slot.stdin.write_all(frame.as_bytes()).await {
            tracing::debug!(%error, "the CLI does not read");
        }
        Ok(stage)
    }

    /// Kills what still runs, waits until nothing is left, and removes the directory.
    pub async fn strike(self) {
        let Self { slot, binding, relay, dir } = self;
        drop(binding);
        slot.kill();
        slot.exited().await;
        drop((slot, relay));
        dir.wipe().await;
    }
}

/// What went wrong, with the operating system's word but without the machine's paths.
fn told(what: &str, error: &dyn std::error::Error) -> StageError {
    tracing::warn!(%error, "{what}");
    let cause = std::iter::successors(error.source(), |error| error.source()).last();
    StageError(cause.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}")))
}

fn open_relay(shop: &Workshop, dir: &SlotDir) -> Result<Relay, crate::relay::RelayError> {
    match shop.claude.build {
        Build::Native => Relay::unix(&dir.socket(), dir.user(), Arc::clone(&shop.upstream)),
        Build::JavaScript => Relay::loopback(Arc::clone(&shop.upstream)),
    }
}

fn launch(shop: &Workshop, dir: &SlotDir, relay: &Relay) -> Launch {
    let (upstream, port) = match relay.address() {
        Address::Unix(path) => (cli::Upstream::UnixSocket(path), None),
        Address::Loopback(address) => (cli::Upstream::Port(address.port()), Some(address.port())),
    };
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let (home, tmp) = (dir.home(), dir.tmp());
    let slot = cli::Slot { home: &home, tmp: &tmp, upstream, token: relay.token().expose(), path: &path };
    let environment = invocation::environment(shop.claude.build, &slot).into_iter();
    let chat = invocation::chat_arguments().into_iter().map(str::to_owned);
    let claude = &shop.claude;
    // node runs the JavaScript build; the native one runs itself.
    let (program, script) = match &claude.interpreter {
        Some(node) => (node, Some(claude.program.display().to_string())),
        None => (&claude.program, None),
    };
    Launch {
        program: program.clone(),
        arguments: script.into_iter().chain(chat).collect(),
        environment: environment
            .map(|(name, value)| (name.to_owned(), value.to_string_lossy().into_owned()))
            .collect(),
        directory: dir.work(),
        walls: Some(shop.walls.walls(dir, port)),
    }
}
