//! A whole Drover: one api, some workers, one store, in a directory of its own.

use super::kin::{self, Kin};
use super::parts::{ClaudeKind, binary};
use super::process::Process;
use super::wait::{wait_for, wait_until};
use crate::client::{Client, PATIENCE};
use crate::upstream::Upstream;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use tempfile::TempDir;

/// The provider's key that workers hold. Nothing else may ever show it.
pub const PROVIDER_KEY: &str = "sk-provider-key-of-the-tests";
/// The model for requests that name none.
pub const MODEL: &str = "claude-sonnet-4-5";

/// What a cluster is to be.
pub struct Builder {
    workers: usize,
    claude: ClaudeKind,
    env: BTreeMap<String, String>,
}

/// A running cluster. When it is dropped, all its processes are killed, and the logs are printed if the test
/// has failed.
pub struct Cluster {
    dir: TempDir,
    env: BTreeMap<String, String>,
    apis: Vec<Api>,
    workers: Vec<Process>,
    started_workers: usize,
}

/// An api and where it listens, also while it is dead.
struct Api {
    process: Process,
    address: String,
}

impl Builder {
    /// How many workers; one unless told.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// Which CLI they run; the scripted one unless told.
    #[must_use]
    pub fn claude(mut self, kind: ClaudeKind) -> Self {
        self.claude = kind;
        self
    }

    /// The provider that workers call; without one they only offer the demo model.
    #[must_use]
    pub fn upstream(self, upstream: &Upstream) -> Self {
        self.env("ANTHROPIC_BASE_URL", upstream.url())
            .env("ANTHROPIC_API_KEY", PROVIDER_KEY)
            .env("ANTHROPIC_MODEL", MODEL)
    }

    /// Sets a variable of every process.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// One process for each job, started when the job comes: nothing waits, and nothing is left after a job.
    #[must_use]
    pub fn cold(self) -> Self {
        self.env("DROVER_SPARES", "0").env("DROVER_AGENT_SPARES", "0").env("DROVER_ISOLATION", "job")
    }

    /// Starts the api and the workers, and waits until all are ready. The scripted CLI runs [`cold`](Self::cold)
    /// unless its spares are set.
    pub async fn start(mut self) -> Cluster {
        if matches!(self.claude, ClaudeKind::Scripted(_)) && !self.env.contains_key("DROVER_SPARES") {
            self = self.cold();
        }
        let dir = tempfile::Builder::new().prefix("drover-").tempdir().expect("a directory for the cluster");
        // Slots may have users of their own, who have to get to their directories.
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).expect("its mode can be set");
        let claude = self.claude.binary(dir.path());
        let read = self.claude.read_besides(dir.path());
        let data = dir.path().join("data");
        std::fs::create_dir(&data).expect("a data directory");
        let mut env = BTreeMap::from([
            ("HOST".to_owned(), "127.0.0.1".to_owned()),
            ("PORT".to_owned(), "0".to_owned()),
            ("LOG_LEVEL".to_owned(), "debug".to_owned()),
            ("DROVER_SLOTS".to_owned(), "4".to_owned()),
            ("DROVER_DATA_DIR".to_owned(), data.display().to_string()),
            ("DATABASE_URL".to_owned(), format!("sqlite://{}", data.join("drover.db").display())),
            ("CLAUDE_BINARY_PATH".to_owned(), claude.display().to_string()),
        ]);
        let read: Vec<String> = read.iter().map(|path| path.display().to_string()).collect();
        env.insert("DROVER_SLOT_READ".to_owned(), read.join(","));
        env.extend(self.env);
        let mut cluster = Cluster { dir, env, apis: Vec::new(), workers: Vec::new(), started_workers: 0 };
        cluster.add_api().await;
        cluster.add_workers(self.workers).await;
        cluster
    }
}

impl Cluster {
    /// A cluster to be: one worker with the scripted CLI.
    pub fn builder() -> Builder {
        Builder { workers: 1, claude: ClaudeKind::Scripted(None), env: BTreeMap::new() }
    }

    /// Base URL of the first api.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.address(0))
    }

    /// Where an api listens, as `127.0.0.1:8000`.
    pub fn address(&self, index: usize) -> &str {
        &self.apis[index].address
    }

    /// A client of the first api.
    pub fn client(&self) -> Client {
        Client::new(self.api_url())
    }

    /// The cluster's directory: logs, and `data` with the store and the slots.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The database's file.
    pub fn database(&self) -> PathBuf {
        self.dir.path().join("data/drover.db")
    }

    /// The first api.
    pub fn api(&mut self) -> &mut Process {
        &mut self.apis[0].process
    }

    /// Kills the first api with -9.
    pub async fn kill_api(&mut self) -> ExitStatus {
        self.api().end(Signal::SIGKILL).await
    }

    /// Starts the first api again, at the same address.
    pub async fn restart_api(&mut self) {
        let port = self.address(0).rsplit(':').next().expect("an address has a port").to_owned();
        self.apis[0] = self.start_api(0, port).await;
    }

    /// Kills an api with -9 and starts another in its place, at an address of its own.
    pub async fn replace_api(&mut self, index: usize) {
        self.apis[index].process.end(Signal::SIGKILL).await;
        self.apis[index] = self.start_api(index, "0".to_owned()).await;
    }

    /// Starts one more api on the same store, and answers with a client of it.
    pub async fn add_api(&mut self) -> Client {
        self.add_api_with("HOST", "127.0.0.1").await
    }

    /// The same, with a variable of its own.
    pub async fn add_api_with(&mut self, variable: &str, value: &str) -> Client {
        let api = self.start_api_with(self.apis.len(), &[("PORT", "0"), (variable, value)]).await;
        let client = Client::new(format!("http://{}", api.address));
        self.apis.push(api);
        client
    }

    /// Runs the api's binary with other arguments, in the environment of the cluster, and answers with what it printed.
    pub fn command(&self, arguments: &[&str]) -> String {
        let mut command = std::process::Command::new(binary("drover-api"));
        command.args(arguments).env_clear().envs(&self.env).current_dir(self.dir.path());
        let output = command.output().expect("the binary runs");
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {complained}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The workers, also those that were killed.
    pub fn workers(&mut self) -> &mut [Process] {
        &mut self.workers
    }

    /// Sends a signal to a worker and waits for its end.
    pub async fn kill_worker(&mut self, index: usize, signal: Signal) -> ExitStatus {
        self.workers[index].end(signal).await
    }

    /// Starts one more worker.
    pub async fn add_worker(&mut self) {
        self.add_workers(1).await;
    }

    /// Every process of the cluster but the api and the workers themselves, dead or alive.
    pub fn descendants(&self) -> Vec<Kin> {
        let own: Vec<i32> = self.processes().map(Process::pid).collect();
        let kin = kin::of(self.dir.path(), &own);
        kin.into_iter().filter(|process| !own.contains(&process.pid)).collect()
    }

    /// Waits until no process of a CLI is left, and no zombie.
    pub async fn wait_until_no_descendants(&self) {
        let mut left = Vec::new();
        let gone = tokio::time::timeout(PATIENCE, async {
            loop {
                left = self.descendants();
                if left.is_empty() {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
        assert!(gone.await.is_ok(), "processes are left: {left:#?}");
    }

    /// Waits until the api answers a probe with a success.
    pub async fn wait_until_healthy(&self, path: &str) {
        let client = self.client();
        wait_for(&format!("{path} is a success"), PATIENCE, async || {
            let answer = crate::client::Answer::try_of(client.request(reqwest::Method::GET, path)).await;
            answer.ok().filter(|answer| answer.status.is_success()).map(drop)
        })
        .await;
    }

    /// All logs, each under its process's name.
    pub fn logs(&self) -> String {
        let logs = self.processes().map(|process| format!("--- {}\n{}\n", process.name, process.log()));
        logs.collect::<Vec<_>>().concat()
    }

    /// Waits until some log holds a text.
    pub async fn wait_for_log(&self, text: &str) {
        let what = format!("a log holds {text:?}");
        wait_until(&what, PATIENCE, || self.logs().contains(text).then_some(())).await;
    }

    async fn start_api(&self, index: usize, port: String) -> Api {
        self.start_api_with(index, &[("PORT", &port)]).await
    }

    async fn start_api_with(&self, index: usize, own: &[(&str, &str)]) -> Api {
        let mut env = self.env.clone();
        env.extend(own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut process = Process::start("drover-api", &format!("api-{index}"), self.dir.path(), &env);
        let address = process.ready().await;
        Api { process, address }
    }

    async fn add_workers(&mut self, count: usize) {
        let first = self.workers.len();
        for _ in 0..count {
            let name = format!("worker-{}", self.started_workers);
            self.started_workers += 1;
            self.workers.push(Process::start("drover-worker", &name, self.dir.path(), &self.env));
        }
        for worker in &mut self.workers[first..] {
            worker.ready().await;
        }
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        self.apis.iter().map(|api| &api.process).chain(&self.workers)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.processes() {
            process.signal(Signal::SIGKILL);
        }
        kin::sweep(self.dir.path());
        if std::thread::panicking() {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), self.logs().as_bytes());
        }
    }
}
