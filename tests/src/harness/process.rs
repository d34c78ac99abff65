//! One process of Drover: started with a cleared environment, its log in a file.

use super::parts::binary;
use super::wait::wait_until;
use crate::client::PATIENCE;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use tokio::process::{Child, Command};

/// A running api or worker. It is killed when this is dropped.
pub struct Process {
    /// What it is called in logs, as in `worker-0`.
    pub name: String,
    child: Child,
    pid: i32,
    ready_file: PathBuf,
    log: PathBuf,
}

impl Process {
    /// Starts a binary; `dir` gets its log and its ready file.
    pub(super) fn start(binary_name: &str, name: &str, dir: &Path, env: &BTreeMap<String, String>) -> Self {
        let ready_file = dir.join(format!("{name}.ready"));
        let _ = std::fs::remove_file(&ready_file);
        let log = dir.join(format!("{name}.log"));
        // Appended to, so that a process that is started again keeps its history.
        let file = File::options().create(true).append(true).open(&log).expect("a log file");
        let mut command = Command::new(binary(binary_name));
        command.env_clear().envs(env);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", dir).env("DROVER_READY_FILE", &ready_file);
        command.current_dir(dir).kill_on_drop(true).stdin(Stdio::null());
        command.stdout(file.try_clone().expect("a second handle of the log")).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).expect("a started process has an id");
        Self { name: name.to_owned(), child, pid, ready_file, log }
    }

    /// Waits until it says that it is ready, and answers with the address it gives.
    pub(super) async fn ready(&mut self) -> String {
        let (file, what) = (self.ready_file.clone(), format!("{} is ready", self.name));
        wait_until(&what, PATIENCE, || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended with {status} before it was ready:\n{}", self.name, self.log());
            }
            let said: Value = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
            Some(said["address"].as_str().unwrap_or_default().to_owned())
        })
        .await
    }

    /// Base URL of its metrics, as it tells once it is ready.
    pub fn metrics(&self) -> String {
        let said = std::fs::read(&self.ready_file).expect("it is ready");
        let said: Value = serde_json::from_slice(&said).expect("JSON");
        format!("http://{}", said["metrics"].as_str().expect("it serves metrics"))
    }

    /// Process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        // Once it has been waited for, its id may be another process's.
        if self.child.id().is_some() {
            let _ = nix::sys::signal::kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(2 * PATIENCE, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("{} does not end", self.name)).expect("a child can be waited for")
    }

    /// Sends a signal and waits for the end.
    pub async fn end(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.ended().await
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read(&self.log)
            .map_or_else(|_| String::new(), |log| String::from_utf8_lossy(&log).into_owned())
    }
}
