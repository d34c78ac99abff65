//! An agent process driven directly, started and spoken to as a worker would.

use super::parts::ClaudeKind;
use crate::client::PATIENCE;
use drover_shared::cli::invocation::Account;
use drover_shared::cli::invocation::{self, AGENT_TOOLS, AgentSetup, AgentStart, Leave};
use drover_shared::cli::{self, Decoder, Line, Transcript, TurnEnd};
use drover_shared::schema::agent::SUBAGENTS;
use drover_shared::schema::{Event, Permissions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use uuid::Uuid;

/// The directories of one agent.
pub struct AgentSlot(TempDir);

/// A running agent process. It is killed when this is dropped.
pub struct Agent {
    kind: ClaudeKind,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    decoder: Decoder,
    /// What its session's transcript has got so far.
    pub mirrored: Vec<String>,
    /// What has happened so far.
    pub events: Vec<Event>,
}

impl AgentSlot {
    /// Directories with a project in which a CLAUDE.md stands.
    pub fn with_project() -> Self {
        let slot = Self(tempfile::tempdir().expect("a slot"));
        for own in ["home", "tmp", "parking", "project/.claude"] {
            std::fs::create_dir_all(slot.path().join(own)).expect("a directory of the slot");
        }
        slot.write("CLAUDE.md", "Always count in moose.");
        slot
    }

    /// Writes a file of the project.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.project().join(name), text).expect("a file of the project");
    }

    /// The real path of the slot.
    pub fn path(&self) -> PathBuf {
        self.0.path().canonicalize().expect("the slot is there")
    }

    /// The real path of its project.
    pub fn project(&self) -> PathBuf {
        self.path().join("project")
    }

    /// Starts a process and waits until it is ready. `system` is ignored by a spare.
    pub async fn start(
        &self,
        kind: ClaudeKind,
        base_url: &str,
        start: AgentStart<'_>,
        system: &str,
    ) -> Agent {
        let mut agent = self.begin(kind, base_url, start, system).await;
        agent.granted().await.expect("the CLI is ready");
        agent
    }

    /// Starts a process without waiting: a turn may be said at once.
    pub async fn begin(
        &self,
        kind: ClaudeKind,
        base_url: &str,
        start: AgentStart<'_>,
        system: &str,
    ) -> Agent {
        let mut command = self.command(kind, base_url, start);
        let mut child = command.spawn().expect("the CLI starts");
        let mut agent = Agent {
            kind,
            stdin: child.stdin.take().expect("standard input is piped"),
            stdout: BufReader::new(child.stdout.take().expect("standard output is piped")),
            child,
            decoder: Decoder::agent(),
            mirrored: Vec::new(),
            events: Vec::new(),
        };
        let ready = match start {
            AgentStart::Spare => invocation::initialize("ready"),
            AgentStart::Cold | AgentStart::Resume(_) => invocation::initialize_agent("ready", system),
        };
        agent.send(&ready).await;
        agent
    }

    /// Goes on with a session of another slot, whose entries these are.
    pub async fn resume(&self, kind: ClaudeKind, base_url: &str, entries: &[String], system: &str) -> Agent {
        let transcript = Transcript::resumable(entries, &self.project()).expect("a finished turn");
        let file = self.path().join(format!("{}.jsonl", transcript.session_id));
        std::fs::write(&file, transcript.bytes).expect("the transcript is written");
        self.start(kind, base_url, AgentStart::Resume(&file), system).await
    }

    fn command(&self, kind: ClaudeKind, base_url: &str, start: AgentStart<'_>) -> Command {
        let (home, tmp) = (self.path().join("home"), self.path().join("tmp"));
        let binary = kind.binary(&home);
        let mut command =
            Command::new(if kind == ClaudeKind::JavaScript { "node".into() } else { binary.clone() });
        if kind == ClaudeKind::JavaScript {
            command.arg(&binary);
        }
        let port =
            base_url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port on loopback");
        let path = std::env::var("PATH").unwrap_or_default();
        let upstream = cli::Upstream::Port(port);
        let slot = cli::Slot {
            home: &home,
            tmp: &tmp,
            upstream,
            token: "sk-test",
            account: Account::Key,
            path: &path,
        };
        // Tests may run as root, as in a container.
        let leave = Leave { escape: true, proxy: None };
        let tools: Vec<&str> = AGENT_TOOLS.into_iter().filter(|tool| *tool != SUBAGENTS).collect();
        let setup = AgentSetup { tools: &tools, permissions: Permissions::default(), servers: None };
        command.args(invocation::agent_arguments(kind.build(), &setup, start)).env_clear();
        command.envs(invocation::agent_environment(kind.build(), &slot, leave));
        let parked = start == AgentStart::Spare;
        command.current_dir(if parked { self.path().join("parking") } else { self.project() });
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        command
    }
}

impl Agent {
    /// Sends a control frame and waits for its answer: the session's id, if it tells one, or why it was refused.
    pub async fn control(&mut self, frame: &str) -> Result<Option<String>, String> {
        self.send(frame).await;
        self.granted().await
    }

    /// Waits for the answer to a control frame.
    async fn granted(&mut self) -> Result<Option<String>, String> {
        loop {
            if let Line::Control { error, session_id, .. } = self.line().await {
                return error.map_or(Ok(session_id), Err);
            }
        }
    }

    /// Begins a turn.
    pub async fn say(&mut self, text: &str) {
        let frame = self.frame(text);
        self.send(&frame).await;
    }

    /// Binds a spare to a project and begins a turn there, in one burst.
    pub async fn claim_and_say(&mut self, project: &Path, text: &str) {
        let claim = invocation::claim("claim", &invocation::Claim { cwd: project, system: "" });
        let frame = self.frame(text);
        self.send(&[claim, frame].concat()).await;
    }

    fn frame(&self, text: &str) -> String {
        invocation::turn(self.kind.build(), &Uuid::new_v4().to_string(), &[text])
    }

    /// Has a turn, from its beginning to its end.
    pub async fn turn(&mut self, text: &str) -> TurnEnd {
        self.say(text).await;
        self.turn_end().await
    }

    /// Waits for the turn's end.
    pub async fn turn_end(&mut self) -> TurnEnd {
        loop {
            if let Line::TurnEnded(end) = self.line().await {
                return end;
            }
        }
    }

    /// Waits until something has happened, or stands in the transcript.
    pub async fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            self.line().await;
        }
    }

    /// Kills it, as a worker's death would.
    pub async fn kill(mut self) -> Vec<String> {
        self.child.kill().await.expect("the CLI can be killed");
        self.mirrored
    }

    async fn line(&mut self) -> Line {
        let mut line = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.stdout.read_until(b'\n', &mut line)).await;
        let read = read.expect("a line within a patient wait").expect("standard output can be read");
        assert!(read > 0, "the CLI speaks before it ends");
        let line = self.decoder.line(&line);
        match &line {
            Line::Events(events) => self.events.extend(events.iter().cloned()),
            Line::Mirror(entries) => self.mirrored.extend(entries.iter().cloned()),
            Line::Control { .. } | Line::TurnBegan { .. } | Line::TurnEnded(_) | Line::Quiet => {}
        }
        line
    }

    async fn send(&mut self, frame: &str) {
        self.stdin.write_all(frame.as_bytes()).await.expect("the CLI reads");
    }
}
