//! What a slot's walls add to the start of a process.

use super::super::report::{Figure, Section};
use super::super::road::ms;
use super::super::statistics::{median, quantile};
use crate::harness::{ClaudeKind, binary, demo};
use drover_shared::cli::invocation::Account;
use drover_shared::cli::{Build, Decoder, Line, Slot as CliSlot, Upstream as CliUpstream, invocation};
use drover_shared::schema::{Event, limits};
use drover_worker::relay::{Relay, Upstream};
use drover_worker::slot::walls::{Plan, Walls, Wishes, survey, users};
use drover_worker::slot::{Launch, Slot, SlotDir, SlotDirs, Supervisor};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

const ROUNDS: usize = 30;
const PLACEHOLDER: &str = "Relayed conversation of the walls";

pub(super) async fn measure() -> Section {
    let place = tempfile::Builder::new().prefix("drover-").tempdir().expect("a directory");
    // Slots may have users of their own, who have to get to their directories.
    std::fs::set_permissions(place.path(), Permissions::from_mode(0o711)).expect("its mode can be set");
    let (walled, open) = (Ground::walled(&place), Ground::open(&place));
    let mut times = Pair::default();
    let mut running = Pair::default();
    for round in 0..=ROUNDS {
        // Whoever is first is so in every other round only.
        let mut order = [(&walled, true), (&open, false)];
        order.rotate_left(round % 2);
        for (ground, is_walled) in order {
            let took = ground.start().await;
            if round > 0 {
                times.of(is_walled).push(took.first_word_ms);
                running.of(is_walled).push(took.running_ms);
            }
        }
    }
    Section {
        title: format!(
            "Walls of a slot: cold start of a chat process, {ROUNDS} with in turn with {ROUNDS} without"
        ),
        figures: vec![
            Figure::new("start to first word, behind walls, median", median(&times.walled), "ms")
                .beside("without", median(&times.open))
                .ratio_at_most(1.1),
            Figure::new("start to first word, behind walls, p90", quantile(&times.walled, 0.9), "ms")
                .beside("without", quantile(&times.open, 0.9)),
            Figure::new("start to the CLI's running, behind walls, median", median(&running.walled), "ms")
                .beside("without", median(&running.open)),
        ],
    }
}

#[derive(Default)]
struct Pair {
    walled: Vec<f64>,
    open: Vec<f64>,
}

impl Pair {
    fn of(&mut self, is_walled: bool) -> &mut Vec<f64> {
        if is_walled { &mut self.walled } else { &mut self.open }
    }
}

/// Where processes of one kind are started.
struct Ground {
    program: PathBuf,
    dirs: SlotDirs,
    plan: Option<Plan>,
    upstream: Arc<Upstream>,
}

/// Of one start, in milliseconds.
struct Took {
    /// Until the worker knows that the CLI runs.
    running_ms: f64,
    /// Until its first word.
    first_word_ms: f64,
}

impl Ground {
    /// With all that a worker would put up here.
    fn walled(place: &TempDir) -> Self {
        let (program, root) = (program(), place.path().join("walled"));
        let wishes = Wishes {
            users: limits::SLOT_USERS.parse().expect("a range"),
            read: Vec::new(),
            allow_weak: false,
        };
        let (survey, cli) = (survey(), vec![program.clone()]);
        let users = users(survey, &wishes, &root, &cli).expect("slots can have what users they need");
        let plan = Plan::make(survey, &wishes, cli);
        plan.agents.as_ref().expect("walls that hold agents");
        Self {
            program,
            dirs: SlotDirs::claim(&root, users).expect("slots"),
            plan: Some(plan),
            upstream: demo(),
        }
    }

    fn open(place: &TempDir) -> Self {
        let dirs = SlotDirs::claim(&place.path().join("open"), None).expect("slots");
        Self { program: program(), dirs, plan: None, upstream: demo() }
    }

    /// Starts a process, has a turn of it, and waits until nothing is left.
    async fn start(&self) -> Took {
        let dir = self.dirs.create().expect("a slot");
        let relay = Relay::unix(&dir.socket(), dir.user(), Arc::clone(&self.upstream)).expect("a relay");
        let _answered = relay.prime(PLACEHOLDER);
        let launch = self.launch(&dir, &relay);
        let began = Instant::now();
        let slot = Supervisor::at(binary("drover-worker")).launch(&launch).await;
        let mut slot = slot.expect("the CLI starts");
        relay.admit(slot.process.supervisor());
        let running_ms = ms(began, Instant::now());
        slot.stdin.write_all(invocation::user("walls", PLACEHOLDER).as_bytes()).await.expect("it reads");
        first_word(&mut slot).await;
        let first_word_ms = ms(began, Instant::now());
        slot.kill();
        slot.exited().await;
        drop((slot, relay));
        dir.wipe().await;
        Took { running_ms, first_word_ms }
    }

    fn launch(&self, dir: &SlotDir, relay: &Relay) -> Launch {
        let path = std::env::var("PATH").unwrap_or_default();
        let (home, tmp, socket) = (dir.home(), dir.tmp(), dir.socket());
        let token = relay.token().expose();
        let upstream = CliUpstream::UnixSocket(&socket);
        let slot = CliSlot { home: &home, tmp: &tmp, upstream, token, account: Account::Key, path: &path };
        let environment = invocation::environment(Build::Native, &slot).into_iter();
        let walls = |plan: &Plan| -> Walls { plan.walls(dir, []) };
        Launch {
            program: self.program.clone(),
            arguments: invocation::chat_arguments(Account::Key).into_iter().map(str::to_owned).collect(),
            environment: environment
                .map(|(name, value)| (name.to_owned(), value.to_string_lossy().into_owned()))
                .collect(),
            directory: dir.work(),
            walls: self.plan.as_ref().map(walls),
        }
    }
}

async fn first_word(slot: &mut Slot) {
    let mut decoder = Decoder::new();
    loop {
        let line = slot.lines.next().await.expect("a line").expect("the CLI answers before it ends");
        if let Line::Events(events) = decoder.line(&line)
            && events.iter().any(|event| matches!(event, Event::TextDelta { .. }))
        {
            return;
        }
    }
}

fn program() -> PathBuf {
    ClaudeKind::Native.binary(Path::new("/")).canonicalize().expect("the CLI's path")
}
