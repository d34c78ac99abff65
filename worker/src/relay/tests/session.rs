//! A real CLI that is kept: it is started once and given one turn after another.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

use drover_shared::cli::invocation::Account;
use drover_shared::cli::{self, Build, Decoder, Line, TurnEnd, invocation};
use drover_shared::schema::Event;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use uuid::Uuid;

use super::super::{Address, Relay};
use super::provider::Provider;
use super::soon;

pub(super) const BUILDS: [Build; 2] = [Build::Native, Build::JavaScript];

/// A relay of the kind that the build can reach, and a home for the CLI.
pub(super) fn relay(provider: &Provider, build: Build) -> (TempDir, Relay) {
    match build {
        Build::Native => super::relay(provider.upstream()),
        Build::JavaScript => {
            let relay = Relay::loopback(provider.upstream()).expect("a relay");
            (TempDir::new().expect("a folder"), relay)
        }
    }
}

/// What an agent with Bash alone is started with.
pub(super) fn agent_arguments() -> Vec<&'static str> {
    let mut arguments: Vec<_> = "-p --input-format stream-json --output-format stream-json --verbose \
        --include-partial-messages --dangerously-skip-permissions --strict-mcp-config \
        --no-session-persistence --tools Bash --model claude-sonnet-4-5"
        .split_whitespace()
        .collect();
    arguments.extend(["--setting-sources", ""]);
    arguments
}

/// Starts the CLI as a worker does.
pub(super) fn spawn(build: Build, home: &Path, relay: &Relay, arguments: &[&str]) -> Child {
    let path = std::env::var("PATH").expect("a path");
    let upstream = match relay.address() {
        Address::Unix(path) => cli::Upstream::UnixSocket(path),
        Address::Loopback(at) => cli::Upstream::Port(at.port()),
    };
    let slot = cli::Slot {
        home,
        tmp: home,
        upstream,
        token: relay.token().expose(),
        account: Account::Key,
        path: &path,
    };
    let mut command = match build {
        Build::Native => Command::new(installed("DROVER_TEST_CLAUDE_NATIVE", "native", "bin/claude.exe")),
        Build::JavaScript => {
            let mut node = Command::new("node");
            node.arg(installed("DROVER_TEST_CLAUDE_JS", "js", "cli.js"));
            node
        }
    };
    command
        .args(arguments)
        .env_clear()
        .envs(invocation::environment(build, &slot))
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the CLI starts")
}

/// A CLI that `tests/setup.sh` has installed, or that the variable names.
fn installed(variable: &str, build: &str, file: &str) -> OsString {
    let installed = format!("../.drover/test/{build}/node_modules/@anthropic-ai/claude-code/{file}");
    let installed = || Path::new(env!("CARGO_MANIFEST_DIR")).join(installed).into_os_string();
    let path = std::env::var_os(variable).unwrap_or_else(installed);
    assert!(Path::new(&path).exists(), "{} is missing: run tests/setup.sh", Path::new(&path).display());
    path
}

/// One process, spoken to as a worker does.
pub(super) struct Session {
    pub(super) relay: Relay,
    _home: TempDir,
    _child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    decoder: Decoder,
}

impl Session {
    pub(super) fn start(provider: &Provider, build: Build) -> Self {
        Self::start_with(provider, build, &invocation::chat_arguments(Account::Key))
    }

    pub(super) fn start_with(provider: &Provider, build: Build, arguments: &[&str]) -> Self {
        let (home, relay) = relay(provider, build);
        let mut child = spawn(build, home.path(), &relay, arguments);
        let stdin = child.stdin.take().expect("its input");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self { relay, _home: home, _child: child, stdin, lines, decoder: Decoder::new() }
    }

    /// Begins a turn. A frame with an identifier that it knows already is passed over by the CLI.
    pub(super) async fn say(&mut self, text: &str) {
        self.write(&invocation::user(&Uuid::new_v4().to_string(), text)).await;
    }

    /// Has the turn ended, whatever it is at: waits for the answer to the request, and for the turn's end,
    /// in whichever order they come.
    pub(super) async fn interrupt(&mut self) -> TurnEnd {
        self.write(&invocation::interrupt("stop")).await;
        let (mut heeded, mut ended) = (false, None);
        loop {
            match self.line().await {
                Line::Control { request_id, error, .. } => {
                    assert_eq!((request_id.as_str(), error), ("stop", None));
                    heeded = true;
                }
                Line::TurnEnded(end) => assert_eq!(ended.replace(end), None, "one end"),
                Line::Events(_) | Line::TurnBegan { .. } | Line::Mirror(_) | Line::Quiet => {}
            }
            if heeded && let Some(end) = ended.take() {
                return end;
            }
        }
    }

    /// Orders a turn to end where there is none. The order is answered, and no turn ends.
    pub(super) async fn interrupt_idle(&mut self) {
        self.write(&invocation::interrupt("stop")).await;
        loop {
            match self.line().await {
                Line::Control { request_id, error, .. } => {
                    assert_eq!((request_id.as_str(), error), ("stop", None));
                    return;
                }
                Line::TurnEnded(end) => panic!("a turn ended: {end:?}"),
                Line::Events(_) | Line::TurnBegan { .. } | Line::Mirror(_) | Line::Quiet => {}
            }
        }
    }

    /// Reads to the end of the turn: the text that was said, and how it ended.
    pub(super) async fn turn(&mut self) -> (String, TurnEnd) {
        let mut said = String::new();
        loop {
            match self.line().await {
                Line::TurnEnded(end) => return (said, end),
                Line::Events(events) => said.extend(events.iter().filter_map(text)),
                Line::Control { .. } | Line::TurnBegan { .. } | Line::Mirror(_) | Line::Quiet => {}
            }
        }
    }

    /// Reads until the CLI has passed on such an event.
    pub(super) async fn until(&mut self, is_it: impl Fn(&Event) -> bool) {
        while !matches!(self.line().await, Line::Events(events) if events.iter().any(&is_it)) {}
    }

    async fn line(&mut self) -> Line {
        let line = soon(self.lines.next_line()).await.expect("its output").expect("it goes on");
        self.decoder.line(line.as_bytes())
    }

    async fn write(&mut self, frame: &str) {
        self.stdin.write_all(frame.as_bytes()).await.expect("it reads");
    }
}

fn text(event: &Event) -> Option<&str> {
    match event {
        Event::TextDelta { text, .. } => Some(text),
        _ => None,
    }
}
