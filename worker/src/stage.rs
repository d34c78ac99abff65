//! A CLI process and what belongs to it: a directory and a relay, its only way out. A chat process serves
//! one job after another, each a turn of its own.

use std::sync::Arc;
use std::time::Instant;

use drover_shared::cli::{self, Build, Decoder, Line, invocation};
use drover_shared::schema::limits;
use drover_shared::store::Claim;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use crate::install::Claude;
use crate::relay::{Address, Binding, Bound, Relay, Upstream};
use crate::slot::{Launch, LineError, Slot, SlotDir, SlotDirs};

/// What processes are made of.
pub struct Parts {
    /// The CLI.
    pub claude: Claude,
    /// Where slots live.
    pub dirs: SlotDirs,
    /// The provider.
    pub upstream: Arc<Upstream>,
}

/// Dropping it kills the process and closes the way to the provider; [`Stage::strike`] also waits for it.
pub struct Stage {
    /// The CLI.
    pub slot: Slot,
    decoder: Decoder,
    turn: Turn,
    served: Served,
    relay: Relay,
    dir: SlotDir,
}

/// What a process has done.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    /// Since when it runs.
    pub since: Instant,
    /// How many jobs it was given.
    pub jobs: u32,
    /// How many bytes it has printed.
    pub output_bytes: usize,
}

/// Where the process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It was given a user frame and has not begun with it.
    Asked,
    /// It is at it.
    Running,
    /// It waits for the next user frame.
    Over,
}

/// A stage could not be set; for the client.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StageError(String);

impl StageError {
    /// Nobody started the process in the end: the worker stops.
    pub(crate) fn lost() -> Self {
        Self("the worker stopped before the Claude CLI was started".to_owned())
    }
}

impl Stage {
    /// Starts a process.
    pub async fn open(parts: &Parts) -> Result<Self, StageError> {
        let dir = parts.dirs.create().map_err(|error| told("no directory for the slot", &error))?;
        let relay = open_relay(parts, &dir).map_err(|error| told("no relay for the slot", &error))?;
        let launch = launch(&parts.claude, &dir, &relay);
        let slot =
            Slot::launch(&launch).await.map_err(|error| told("the Claude CLI cannot be started", &error))?;
        let served = Served { since: Instant::now(), jobs: 0, output_bytes: 0 };
        Ok(Self { slot, decoder: Decoder::new(), turn: Turn::Over, served, relay, dir })
    }

    /// Lets the process play throwaway turns, which the relay answers by itself, so that its first job finds
    /// its first-turn work done.
    pub async fn prime(&mut self) -> Result<(), StageError> {
        for _ in 0..limits::PRIMING_TURNS {
            self.prime_once().await?;
        }
        Ok(())
    }

    async fn prime_once(&mut self) -> Result<(), StageError> {
        let placeholder = new_placeholder();
        let _priming = self.relay.prime(&placeholder);
        self.ask(&placeholder).await;
        let primed = tokio::time::timeout(limits::CLI_READY, self.turn_end()).await;
        match primed {
            Ok(true) => Ok(()),
            Ok(false) => Err(StageError("the Claude CLI did not take a turn of its warm-up".to_owned())),
            Err(_) => Err(StageError("the Claude CLI did not end a turn of its warm-up in time".to_owned())),
        }
    }

    /// Gives the process a job: binds it to the relay and hands over the placeholder that the relay puts the
    /// conversation for.
    pub async fn begin(&mut self, claim: &Claim) -> Binding {
        let placeholder = new_placeholder();
        let bound =
            Bound { job: claim.lease.job, spec: Arc::clone(&claim.spec), placeholder: placeholder.clone() };
        let binding = self.relay.bind(bound);
        self.served.jobs += 1;
        self.ask(&placeholder).await;
        binding
    }

    /// The next line, understood; `None` at the end of the output. What a process says between being asked
    /// and beginning with it belongs to no turn of ours and means nothing. May be dropped and asked again.
    pub async fn hear(&mut self) -> Result<Option<Line>, LineError> {
        let Some(line) = self.slot.lines.next().await? else { return Ok(None) };
        self.served.output_bytes += line.len();
        let line = self.decoder.line(&line);
        match line {
            Line::TurnBegan => self.turn = Turn::Running,
            Line::TurnEnded(_) => self.turn = Turn::Over,
            Line::Events(_) if self.turn == Turn::Asked => return Ok(Some(Line::Quiet)),
            Line::Events(_) | Line::Control { .. } | Line::Quiet => {}
        }
        Ok(Some(line))
    }

    /// Waits until the process takes the next turn. With the job's `binding` the running turn may end by itself,
    /// its further calls held; without one it is stopped. `false` where there is any doubt.
    pub async fn settle(&mut self, binding: Option<Binding>) -> bool {
        let settled = tokio::time::timeout(limits::CLI_SETTLE, self.wind_up(binding)).await;
        settled.unwrap_or(false)
    }

    async fn wind_up(&mut self, binding: Option<Binding>) -> bool {
        if self.turn == Turn::Over {
            return true;
        }
        if let Some(binding) = &binding {
            let mut reports = binding.watch();
            tokio::select! {
                ended = self.turn_end() => return ended,
                // A CLI that asks on after its answer never ends by itself.
                _ = reports.wait_for(|report| report.held > 0) => {}
            }
        }
        self.interrupt().await
    }

    /// Sends an interrupt; `true` once it was granted and the turn is over.
    async fn interrupt(&mut self) -> bool {
        let id = Uuid::new_v4().to_string();
        self.write(&invocation::interrupt(&id)).await;
        let mut granted = false;
        while !granted || self.turn != Turn::Over {
            match self.hear().await {
                Ok(Some(Line::Control { request_id, error })) if request_id == id => {
                    granted = error.is_none();
                    if !granted {
                        return false;
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return false,
            }
        }
        true
    }

    /// Listens until the turn is over; `false` if the process went instead.
    async fn turn_end(&mut self) -> bool {
        while self.turn != Turn::Over {
            if !matches!(self.hear().await, Ok(Some(_))) {
                return false;
            }
        }
        true
    }

    /// What it has done so far.
    pub const fn served(&self) -> Served {
        self.served
    }

    /// Whether the process has begun with its turn, or ended it.
    pub fn has_begun(&self) -> bool {
        self.turn != Turn::Asked
    }

    /// Whether the process waits for its next turn.
    pub fn is_idle(&self) -> bool {
        self.turn == Turn::Over
    }

    /// Kills what still runs, waits until nothing is left, and removes the directory.
    pub async fn strike(self) {
        let Self { slot, relay, dir, .. } = self;
        slot.kill();
        slot.exited().await;
        drop((slot, relay));
        dir.wipe().await;
    }

    async fn ask(&mut self, placeholder: &str) {
        self.turn = Turn::Asked;
        self.write(&invocation::user(&Uuid::new_v4().to_string(), placeholder)).await;
    }

    async fn write(&mut self, frame: &str) {
        // A process that is gone says so on its other pipes.
        if let Err(error) = self.slot.stdin.write_all(frame.as_bytes()).await {
            tracing::debug!(%error, "the CLI does not read");
        }
    }
}

fn new_placeholder() -> String {
    invocation::placeholder(&Uuid::new_v4().simple().to_string())
}

/// What went wrong, with the operating system's word but without the machine's paths.
fn told(what: &str, error: &dyn std::error::Error) -> StageError {
    tracing::warn!(%error, "{what}");
    let cause = std::iter::successors(error.source(), |error| error.source()).last();
    StageError(cause.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}")))
}

fn open_relay(parts: &Parts, dir: &SlotDir) -> Result<Relay, crate::relay::RelayError> {
    match parts.claude.build {
        Build::Native => Relay::unix(&dir.socket(), Arc::clone(&parts.upstream)),
        Build::JavaScript => Relay::loopback(Arc::clone(&parts.upstream)),
    }
}

fn launch(claude: &Claude, dir: &SlotDir, relay: &Relay) -> Launch {
    let upstream = match relay.address() {
        Address::Unix(path) => cli::Upstream::UnixSocket(path),
        Address::Loopback(address) => cli::Upstream::Port(address.port()),
    };
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let (home, tmp) = (dir.home(), dir.tmp());
    let slot = cli::Slot { home: &home, tmp: &tmp, upstream, token: relay.token().expose(), path: &path };
    let environment = invocation::environment(claude.build, &slot).into_iter();
    let chat = invocation::chat_arguments().into_iter().map(str::to_owned);
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
    }
}
