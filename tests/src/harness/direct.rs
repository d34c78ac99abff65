//! A CLI driven directly, without Drover but started as a worker starts it: what benchmarks compare with, and
//! how the stand-in is proven faithful.

use super::parts::ClaudeKind;
use crate::client::PATIENCE;
use drover_shared::cli::invocation::Account;
use drover_shared::cli::{self, invocation};
use serde_json::{Value, json};
use std::process::{ExitStatus, Stdio};
use std::time::Instant;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A running CLI. It is killed when this is dropped.
pub struct DirectCli {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    _home: TempDir,
}

impl DirectCli {
    /// Starts a CLI whose provider is at this base URL, `http://127.0.0.1:PORT`.
    pub fn start(kind: ClaudeKind, base_url: &str) -> Self {
        let home = tempfile::tempdir().expect("a home for the CLI");
        let binary = kind.binary(home.path());
        let mut command = match kind {
            ClaudeKind::JavaScript => Command::new("node"),
            _ => Command::new(&binary),
        };
        if kind == ClaudeKind::JavaScript {
            command.arg(&binary);
        }
        let port =
            base_url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port on loopback");
        let path = std::env::var("PATH").unwrap_or_default();
        let upstream = cli::Upstream::Port(port);
        let slot = cli::Slot {
            home: home.path(),
            tmp: home.path(),
            upstream,
            token: "sk-test",
            account: Account::Key,
            path: &path,
        };
        command.args(invocation::chat_arguments(Account::Key)).env_clear();
        command.envs(invocation::environment(kind.build(), &slot));
        command.current_dir(home.path()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the CLI starts");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("standard output is piped"));
        Self { child, stdin, stdout, _home: home }
    }

    /// Process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends `initialize` and waits for its answer.
    pub async fn initialize(&mut self) -> Value {
        self.control("initialize").await;
        self.until(|line| line["type"] == "control_response").await.pop().expect("the answer itself")
    }

    /// Sends a control request without waiting.
    pub async fn control(&mut self, subtype: &str) {
        let request = json!({"subtype": subtype});
        self.send(&json!({"type": "control_request", "request_id": subtype, "request": request})).await;
    }

    /// Sends a user frame without waiting.
    pub async fn user(&mut self, text: &str) {
        self.send(&json!({
            "type": "user", "uuid": uuid::Uuid::new_v4(), "client_composed": true, "parent_tool_use_id": null,
            "message": {"role": "user", "content": [{"type": "text", "text": text}]},
        }))
        .await;
    }

    /// Sends a user frame and reads its turn, up to and with the result.
    pub async fn turn(&mut self, text: &str) -> Vec<Value> {
        self.user(text).await;
        self.until(|line| line["type"] == "result").await
    }

    /// Reads lines up to and with the first that meets a condition.
    pub async fn until(&mut self, holds: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut lines = Vec::new();
        loop {
            let (_, line) = self.line().await.expect("the CLI speaks before it ends");
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            let last = holds(&line);
            lines.push(line);
            if last {
                return lines;
            }
        }
    }

    /// The next line, whatever bytes it holds, and when it was read.
    pub async fn line(&mut self) -> Option<(Instant, String)> {
        let mut line = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.stdout.read_until(b'\n', &mut line)).await;
        let read = read.expect("a line within a patient wait").expect("standard output can be read");
        (read > 0).then(|| (Instant::now(), String::from_utf8_lossy(&line).trim_end().to_owned()))
    }

    /// Closes standard input and waits for the exit.
    pub async fn finish(mut self) -> ExitStatus {
        drop(self.stdin.take());
        while self.line().await.is_some() {}
        let exit = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        exit.expect("an exit within a patient wait").expect("the CLI can be waited for")
    }

    async fn send(&mut self, frame: &Value) {
        let stdin = self.stdin.as_mut().expect("standard input is open until the end");
        stdin.write_all(format!("{frame}\n").as_bytes()).await.expect("the CLI reads");
    }
}
