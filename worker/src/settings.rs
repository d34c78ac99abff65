//! The worker's command line, environment and file.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use drover_shared::cli::invocation::{AGENT_TOOLS, Account, possible_tools};
use drover_shared::cli::{Build, McpServers};
use drover_shared::config::Common;
use drover_shared::schema::dollars::{NoAmount, read_dollars};
use drover_shared::schema::{AgentsOffer, limits};
use drover_shared::secret::{Address, Secret};

use crate::install;
use crate::machine::memory_bytes;
use crate::pool::{Isolation, Plan, default_spares};
use crate::registry::{Sources, Variables};
use crate::relay::Allowance;
use crate::slot::bounds::{Bounds, memory_share};
use crate::slot::{Supervisor, UserRange, walls};

/// Runs Claude CLI jobs for a Drover api.
#[derive(Parser, Debug)]
#[command(name = "drover-worker", version, about)]
pub struct Arguments {
    /// What to do instead of working.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to do it.
    #[command(flatten)]
    pub settings: Settings,
}

/// What the binary can do besides working.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Say which Claude CLI is used, and what is missing
    Doctor,
    /// Succeed if a worker of this host has a recent heartbeat (for health checks)
    Ping,
}

/// Everything an operator may set.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Settings of both binaries.
    #[command(flatten)]
    pub common: Common,
    /// Jobs to run at once
    #[arg(long, value_name = "N", env = "DROVER_SLOTS", default_value_t = limits::SLOTS,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub slots: u32,
    /// Chat processes that wait, primed, for anybody's job [default: one per slot, as memory allows]
    #[arg(long, value_name = "N", env = "DROVER_SPARES", value_parser = clap::value_parser!(u32).range(..=1024))]
    spares: Option<u32>,
    /// Used chat processes that wait for their API key's next job [default: one per slot]
    #[arg(long, value_name = "N", env = "DROVER_KEPT", value_parser = clap::value_parser!(u32).range(..=1024))]
    kept: Option<u32>,
    /// Agent processes that wait to be bound to anybody's project
    #[arg(long, value_name = "N", env = "DROVER_AGENT_SPARES", default_value_t = limits::AGENT_SPARES,
          value_parser = clap::value_parser!(u32).range(..=1024))]
    agent_spares: u32,
    /// Agent processes that wait for their session's next turn [default: one per slot]
    #[arg(long, value_name = "N", env = "DROVER_RESIDENTS", value_parser = clap::value_parser!(u32).range(..=1024))]
    residents: Option<u32>,
    /// How long they wait, in seconds
    #[arg(long, value_name = "SECONDS", env = "DROVER_RESIDENT_AGE", default_value_t = limits::RESIDENT_AGE.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..))]
    resident_age: u64,
    /// What one chat process may serve: the jobs of one API key, or a single job
    #[arg(long, value_name = "WHAT", env = "DROVER_ISOLATION", value_enum, default_value = "key")]
    isolation: Isolation,
    /// Jobs that one chat process serves before another takes its place
    #[arg(long, value_name = "N", env = "DROVER_PROCESS_JOBS", default_value_t = limits::PROCESS_JOBS,
          value_parser = clap::value_parser!(u32).range(1..))]
    process_jobs: u32,
    /// How long one chat process serves, in seconds
    #[arg(long, value_name = "SECONDS", env = "DROVER_PROCESS_AGE", default_value_t = limits::PROCESS_AGE.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..))]
    process_age: u64,
    /// How long a process waits for a job, in seconds
    #[arg(long, value_name = "SECONDS", env = "DROVER_SPARE_AGE", default_value_t = limits::SPARE_AGE.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..))]
    spare_age: u64,
    /// The Claude CLI: its native binary or a cli.js [default: the pinned version, installed through npm]
    #[arg(long, value_name = "FILE", env = "CLAUDE_BINARY_PATH")]
    pub claude_binary_path: Option<PathBuf>,
    /// How agent jobs run where the worker is root, whom the Claude CLI refuses to skip permissions
    #[arg(long, value_name = "POLICY", env = "DROVER_ROOT_POLICY", value_enum, default_value_t)]
    root_policy: install::RootPolicy,
    /// User ids for slots, one for each, if the worker is root
    #[arg(long, value_name = "FIRST-LAST", env = "DROVER_SLOT_USERS", default_value = limits::SLOT_USERS)]
    slot_users: UserRange,
    /// Files and directories that slots may read besides the system's own, as toolchains, separated by commas
    #[arg(long, value_name = "PATH", env = "DROVER_SLOT_READ", value_delimiter = ',')]
    slot_read: Vec<PathBuf>,
    /// Run agents also where the kernel lacks some of the walls around slots
    #[arg(long, env = "DROVER_ALLOW_WEAK_WALLS", value_parser = clap::builder::BoolishValueParser::new())]
    allow_weak_walls: bool,
    /// Claude Code's tools that agents may be given, separated by commas; `Agent` stands for subagents
    #[arg(long, value_name = "TOOLS", env = "DROVER_AGENT_TOOLS", value_delimiter = ',',
          default_value = AGENT_TOOLS.join(","))]
    agent_tools: Vec<String>,
    /// MCP servers that agents may ask for: a file of the form {"mcpServers": {NAME: {"command", "args", "env"}}}
    #[arg(long, value_name = "FILE", env = "DROVER_MCP_SERVERS")]
    mcp_servers: Option<PathBuf>,
    /// Providers, models and prices, added to those that Drover ships; read again when it changes
    #[arg(long, value_name = "FILE", env = "DROVER_PROVIDERS")]
    providers: Option<PathBuf>,
    /// Calls to providers that one answer may take, the first included
    #[arg(long, value_name = "N", env = "DROVER_PROVIDER_ATTEMPTS", default_value_t = limits::PROVIDER_ATTEMPTS,
          value_parser = clap::value_parser!(u32).range(1..=100))]
    pub provider_attempts: u32,
    /// Key of the Anthropic API; the keys of other providers have names of their own
    #[arg(long, value_name = "KEY", env = "ANTHROPIC_API_KEY")]
    anthropic_api_key: Option<Secret>,
    /// The same as a bearer token, for providers that want one
    #[arg(long, value_name = "TOKEN", env = "ANTHROPIC_AUTH_TOKEN")]
    anthropic_auth_token: Option<Secret>,
    /// Pay with Claude Code's own login, a token of `claude setup-token` in the variable that Claude Code itself
    /// reads: for one person's own use, as far as Anthropic's terms for it go
    #[arg(long, env = "DROVER_CLAUDE_LOGIN", value_parser = clap::builder::BoolishValueParser::new())]
    claude_login: bool,
    /// Where the provider `anthropic` is, if elsewhere: any endpoint that speaks Anthropic's API
    #[arg(long, value_name = "URL", env = "ANTHROPIC_BASE_URL")]
    anthropic_base_url: Option<Address>,
    /// Model for requests that name none
    #[arg(long, value_name = "MODEL", env = "ANTHROPIC_MODEL")]
    anthropic_model: Option<String>,
    /// Longest time a job may run, in seconds
    #[arg(long, value_name = "SECONDS", env = "DROVER_JOB_TIMEOUT", default_value_t = limits::JOB_WALL.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..))]
    job_timeout: u64,
    /// Longest time a job may go without a sign of life, in seconds
    #[arg(long, value_name = "SECONDS", env = "DROVER_JOB_STALL", default_value_t = limits::JOB_STALL.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..))]
    job_stall: u64,
    /// Most calls to the model that an agent may make for one job
    #[arg(long, value_name = "N", env = "DROVER_JOB_TURNS", default_value_t = limits::JOB_TURNS,
          value_parser = clap::value_parser!(u32).range(1..))]
    job_turns: u32,
    /// Most that one job may cost, in US dollars; models without a known price are then refused
    #[arg(long, value_name = "USD", env = "DROVER_JOB_BUDGET", value_parser = dollars)]
    job_budget: Option<u64>,
    /// How long running jobs may take to finish after the first SIGTERM, in seconds
    #[arg(long, value_name = "SECONDS", env = "DROVER_DRAIN_GRACE", default_value_t = limits::DRAIN_GRACE.as_secs())]
    drain_grace: u64,
    /// Memory that a slot may use, in MB [default: its share of most of the machine's]
    #[arg(long, value_name = "MB", env = "DROVER_SLOT_MEMORY", value_parser = clap::value_parser!(u64).range(1..1 << 40))]
    slot_memory: Option<u64>,
    /// Processes that a slot may run at once
    #[arg(long, value_name = "N", env = "DROVER_SLOT_PROCESSES", default_value_t = limits::SLOT_PROCESSES,
          value_parser = clap::value_parser!(u32).range(1..))]
    slot_processes: u32,
    /// CPU time that a job may use, in seconds
    #[arg(long, value_name = "SECONDS", env = "DROVER_SLOT_CPU", default_value_t = limits::SLOT_CPU_SECS,
          value_parser = clap::value_parser!(u64).range(1..))]
    slot_cpu: u64,
    /// Disk that a slot may fill, in MB
    #[arg(long, value_name = "MB", env = "DROVER_SLOT_DISK", default_value_t = limits::SLOT_DISK_MB,
          value_parser = clap::value_parser!(u64).range(1..1 << 40))]
    slot_disk: u64,
    /// Where to serve metrics for Prometheus, at /metrics; of HOST:FIRST-LAST the first free port is taken. They ask
    /// for no key, so choose a loopback or an internal address [default: nowhere]
    #[arg(long, value_name = "HOST:PORT", env = "DROVER_METRICS_ADDRESS")]
    pub metrics_address: Option<String>,
}

impl Settings {
    /// What a slot may take of the machine.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            memory_bytes: self
                .slot_memory
                .map_or_else(|| memory_share(self.slots), |megabytes| megabytes << 20),
            processes: self.slot_processes,
            cpu_secs: self.slot_cpu,
            disk_bytes: self.slot_disk << 20,
        }
    }

    /// Where the registry of providers is, and the keys.
    pub fn registry(&self) -> Sources {
        let given = [
            ("ANTHROPIC_API_KEY", &self.anthropic_api_key),
            ("ANTHROPIC_AUTH_TOKEN", &self.anthropic_auth_token),
        ];
        let given = given
            .into_iter()
            .filter_map(|(name, key)| Some((name.to_owned(), key.as_ref()?.expose().to_owned())));
        Sources {
            file: self.providers.clone(),
            anthropic_base_url: self.anthropic_base_url.as_ref().map(|url| url.expose().to_owned()),
            default_model: self.anthropic_model.clone(),
            login: self.claude_login,
            variables: Variables::new(self.common.variables().into_iter().chain(given)),
            agents: None,
        }
    }

    /// What the CLI believes to be paid for with.
    pub fn account(&self) -> Account {
        if self.claude_login { Account::Login } else { Account::Key }
    }

    /// Where to look for the CLI and where to install it.
    pub fn install(&self) -> install::Settings {
        install::Settings {
            binary_path: self.claude_binary_path.clone(),
            data_dir: self.common.data_dir(),
            environment: std::env::vars().collect(),
            root_policy: self.root_policy,
            standing: install::Standing::of_this_process(),
            supervisor: Supervisor::default(),
        }
    }

    /// Where slot directories are made.
    pub fn slot_root(&self) -> PathBuf {
        self.common.work_root().join("slots")
    }

    /// Which processes wait, and for how long.
    pub fn pool(&self) -> Plan {
        let spares =
            self.spares.unwrap_or_else(|| default_spares(self.slots, memory_bytes().unwrap_or_default()));
        Plan {
            spares: spares as usize,
            kept: self.kept.unwrap_or(self.slots) as usize,
            agent_spares: self.agent_spares as usize,
            residents: self.residents.unwrap_or(self.slots) as usize,
            resident_age: Duration::from_secs(self.resident_age),
            isolation: self.isolation,
            process_jobs: self.process_jobs,
            process_age: Duration::from_secs(self.process_age),
            spare_age: Duration::from_secs(self.spare_age),
        }
    }

    /// What the operator says about the walls of slots.
    pub fn walls(&self) -> walls::Wishes {
        walls::Wishes {
            users: self.slot_users,
            read: self.slot_read.clone(),
            allow_weak: self.allow_weak_walls,
        }
    }

    /// Longest time a job may run.
    pub fn job_timeout(&self) -> Duration {
        Duration::from_secs(self.job_timeout)
    }

    /// Longest time a job may go without a sign of life.
    pub fn job_stall(&self) -> Duration {
        Duration::from_secs(self.job_stall)
    }

    /// What agents may do, with a CLI of this build.
    pub fn agents(&self, build: Build, servers: &McpServers) -> anyhow::Result<AgentsOffer> {
        let possible = possible_tools(build);
        let names = self.agent_tools.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
        let mut tools: Vec<String> = Vec::new();
        for name in names {
            if !possible.contains(&name) {
                let all = possible.join(", ");
                bail!(
                    "DROVER_AGENT_TOOLS names `{name}`; the tools that an agent may be given here are: {all}"
                );
            }
            if !tools.iter().any(|known| known == name) {
                tools.push(name.to_owned());
            }
        }
        let offer = AgentsOffer { tools, mcp_servers: servers.offer() };
        if offer.usual_tools().next().is_none() {
            bail!("DROVER_AGENT_TOOLS leaves agents without a tool");
        }
        Ok(offer)
    }

    /// The MCP servers that agents may ask for.
    pub fn mcp(&self) -> anyhow::Result<McpServers> {
        let Some(path) = &self.mcp_servers else { return Ok(McpServers::default()) };
        let read = || {
            if std::fs::metadata(path)?.len() > limits::MCP_FILE_BYTES {
                return Err(std::io::ErrorKind::FileTooLarge.into());
            }
            std::fs::read_to_string(path)
        };
        let told = || format!("DROVER_MCP_SERVERS, {}", path.display());
        McpServers::read(&read().with_context(told)?).with_context(told)
    }

    /// How much a job may use up.
    pub fn allowance(&self) -> Allowance {
        Allowance { turns: self.job_turns, budget_microusd: self.job_budget }
    }

    /// How long running jobs may take to finish once the worker was told to stop.
    pub fn drain_grace(&self) -> Duration {
        Duration::from_secs(self.drain_grace)
    }
}

/// An amount that a job can be held to: nothing costs nothing.
fn dollars(text: &str) -> Result<u64, NoAmount> {
    read_dollars(text).and_then(|amount| if amount == 0 { Err(NoAmount) } else { Ok(amount) })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn agents_get_tools_that_the_cli_has_and_that_need_nobody() {
        let agents = |build, tools: &[&str]| {
            let arguments = ["drover-worker"].into_iter().chain(tools.iter().copied());
            Arguments::try_parse_from(arguments)
                .expect("settings")
                .settings
                .agents(build, &McpServers::default())
        };
        let usual = agents(Build::Native, &[]).expect("the default");
        assert!(usual.subagents() && usual.usual_tools().eq(AGENT_TOOLS.into_iter().take(7)), "{usual:?}");
        let chosen = agents(Build::JavaScript, &["--agent-tools=Read, TodoWrite,Read"]).expect("a list");
        assert_eq!(
            (chosen.tools, AgentsOffer::default().mcp_servers),
            (vec!["Read".into(), "TodoWrite".into()], vec![])
        );
        for (build, tools) in [
            (Build::Native, "Read,TodoWrite"),
            (Build::JavaScript, "WebFetch"),
            (Build::Native, "bash"),
            (Build::Native, "Agent"),
            (Build::Native, ","),
        ] {
            let error = agents(build, &["--agent-tools", tools]).expect_err(tools).to_string();
            assert!(error.contains("DROVER_AGENT_TOOLS"), "{error}");
        }
    }

    #[test]
    fn a_budget_is_an_amount_of_dollars() {
        let budget = |text: &str| {
            let settings = Arguments::try_parse_from(["drover-worker", &format!("--job-budget={text}")]);
            settings.map(|arguments| arguments.settings.allowance().budget_microusd)
        };
        assert_eq!(budget("0.25").expect("an amount"), Some(250_000));
        for text in ["0", "-1", "a lot"] {
            let told = budget(text).expect_err("no amount").to_string();
            assert!(told.contains("--job-budget") && told.contains("US dollars"), "{told}");
        }
    }
}
