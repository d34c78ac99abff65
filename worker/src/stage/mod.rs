//! A CLI process and what belongs to it: a directory and a relay, its only way out. It serves one job after
//! another, each a turn of its own.

mod agent;
mod launch;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use drover_shared::cli::invocation::Account;
use drover_shared::cli::{Decoder, Line, McpServers, invocation};
use drover_shared::schema::{AgentsOffer, limits};
use drover_shared::store::{Claim, StoreError};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use self::agent::Agent;
use self::launch::{Command, Ground};
use crate::install::Claude;
use crate::relay::{Allowance, Binding, Bound, Relay, Upstream};
use crate::slot::bounds::{Bounds, Pace, Watch};
use crate::slot::walls::Plan;
use crate::slot::{LineError, Slot, SlotDir, SlotDirs, Supervisor, Workspace, Workspaces};

/// What processes are made of.
pub struct Parts {
    /// The CLI.
    pub claude: Claude,
    /// Where slots live.
    pub dirs: SlotDirs,
    /// What stands around slots, and whether agents may run behind it.
    pub walls: Plan,
    /// Where projects live.
    pub workspaces: Workspaces,
    /// What starts processes in them.
    pub supervisor: Supervisor,
    /// What each may take of the machine.
    pub bounds: Bounds,
    /// What a job may take of the provider, unless it says less.
    pub allowance: Allowance,
    /// What agents may do.
    pub agents: AgentsOffer,
    /// The operator's MCP servers.
    pub mcp: McpServers,
    /// What the CLI believes to be paid for with.
    pub account: Account,
    /// The providers.
    pub upstream: Arc<Upstream>,
}

impl Parts {
    /// Whether agents may run here; if not, why, for their clients.
    pub fn run_agents(&self) -> Result<(), String> {
        self.walls.agents.clone()?;
        self.claude.root.as_ref().map(drop).map_err(ToString::to_string)
    }
}

/// Dropping it kills the process and closes the way to the provider; [`Stage::strike`] also waits for it.
pub struct Stage {
    /// The CLI.
    pub slot: Slot,
    /// What sees to it that the CLI takes no more than it may.
    pub watch: Watch,
    decoder: Decoder,
    turn: Turn,
    served: Served,
    relay: Relay,
    /// What an agent process has besides.
    agent: Option<Agent>,
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
    fn new(what: &str) -> Self {
        Self(what.to_owned())
    }

    /// The store did not tell what the process has to know.
    pub(crate) fn store(error: &StoreError) -> Self {
        told("the store cannot be read", error)
    }

    /// Nobody started the process in the end: the worker stops.
    pub(crate) fn lost() -> Self {
        Self::new("the worker stopped before the Claude CLI was started")
    }
}

impl Stage {
    /// Starts a chat process.
    pub async fn open(parts: &Parts) -> Result<Self, StageError> {
        let ground = Ground::prepare(parts)?;
        let (arguments, environment) = ground.chat(parts);
        let directory = ground.dir.work();
        Self::start(
            parts,
            ground,
            Command { arguments, environment, directory: &directory, proxy: None },
            None,
        )
        .await
    }

    async fn start(
        parts: &Parts,
        ground: Ground,
        command: Command<'_>,
        agent: Option<Agent>,
    ) -> Result<Self, StageError> {
        let launch = ground.launch(parts, command);
        let started = parts.supervisor.launch(&launch).await;
        let slot = started.map_err(|error| told("the Claude CLI cannot be started", &error))?;
        let Ground { dir, relay } = ground;
        relay.admit(slot.process.supervisor());
        let watch = Watch::start(&slot.process, dir.path(), parts.bounds);
        let served = Served { since: Instant::now(), jobs: 0, output_bytes: 0 };
        let decoder = if agent.is_some() { Decoder::agent() } else { Decoder::new() };
        Ok(Self { slot, watch, decoder, turn: Turn::Over, served, relay, agent, dir })
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
            Ok(false) => Err(StageError::new("the Claude CLI did not take a turn of its warm-up")),
            Err(_) => Err(StageError::new("the Claude CLI did not end a turn of its warm-up in time")),
        }
    }

    /// Binds a chat job to the relay; `calls` counts the attempt's calls to providers. The process begins with the job
    /// once it is [asked](Self::ask) the placeholder that the relay puts the conversation for.
    pub fn assign(
        &mut self,
        claim: &Claim,
        allowance: Allowance,
        calls: Arc<AtomicU32>,
    ) -> (Binding, String) {
        let placeholder = new_placeholder();
        (self.bind(claim, placeholder.clone(), allowance, calls), placeholder)
    }

    fn bind(
        &mut self,
        claim: &Claim,
        placeholder: String,
        allowance: Allowance,
        calls: Arc<AtomicU32>,
    ) -> Binding {
        self.served.jobs += 1;
        // Its CPU time counts anew for each job, which begins where busy follows idle; but only an agent's
        // process can run programs and has to be watched closely.
        self.watch.pace(Pace::Busy);
        if self.agent.is_none() {
            self.watch.pace(Pace::Idle);
        }
        let spec = Arc::clone(&claim.spec);
        self.relay.bind(Bound {
            job: claim.lease.job,
            attempt: claim.lease.attempt,
            owner: claim.owner.clone(),
            spec,
            placeholder,
            allowance,
            calls,
        })
    }

    /// The next line, understood; `None` at the end of the output. What a process says between being asked
    /// and beginning with it belongs to no turn of ours and means nothing. May be dropped and asked again.
    pub async fn hear(&mut self) -> Result<Option<Line>, LineError> {
        let Some(line) = self.slot.lines.next().await? else { return Ok(None) };
        self.served.output_bytes += line.len();
        let line = self.decoder.line(&line);
        match line {
            Line::TurnBegan { .. } => self.turn = Turn::Running,
            Line::TurnEnded(_) => self.turn = Turn::Over,
            Line::Events(_) if self.turn == Turn::Asked => return Ok(Some(Line::Quiet)),
            Line::Mirror(entries) => {
                if let Some(agent) = &mut self.agent {
                    agent.mirrored(entries);
                }
                return Ok(Some(Line::Quiet));
            }
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
                Ok(Some(Line::Control { request_id, error, .. })) if request_id == id => {
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

    /// Has it watched as what nobody works in is watched.
    pub fn rest(&self) {
        self.watch.pace(Pace::Idle);
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

    /// Kills what still runs, waits until nothing is left, moves the project's files back, and removes the
    /// directory. Goes on when nobody waits for it any more: the files must not move, nor may another slot have
    /// this one's user, before all that ran here is gone.
    pub async fn strike(self) {
        // An error means that the worker ends, and everything with it.
        let _ = tokio::spawn(self.clear()).await;
    }

    async fn clear(self) {
        let Self { slot, watch, relay, agent, dir, .. } = self;
        drop(watch);
        slot.kill();
        slot.exited().await;
        drop((slot, relay));
        let workspace = agent.and_then(|agent| agent.workspace);
        // Wiping moves back, too, what could not be moved now.
        let _ = tokio::task::spawn_blocking(move || workspace.map(Workspace::leave)).await;
        dir.wipe().await;
    }

    /// Gives the process its next turn.
    pub async fn ask(&mut self, placeholder: &str) {
        self.turn = Turn::Asked;
        self.write(&invocation::user(&Uuid::new_v4().to_string(), placeholder)).await;
    }

    /// A process that is gone, or has been stopped by what runs in it, takes nothing. That it says nothing either
    /// is noticed by whoever listens.
    async fn write(&mut self, frame: &str) {
        let writing = self.slot.stdin.write_all(frame.as_bytes());
        match tokio::time::timeout(limits::CLI_READY, writing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the CLI does not read"),
            Err(_) => tracing::debug!("the CLI does not read in time"),
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
