//! The worker's command line, environment and file.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use drover_shared::config::Common;
use drover_shared::schema::limits;
use drover_shared::secret::{Address, Secret};

use crate::install;
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
    /// The Claude CLI: its native binary or a cli.js [default: the pinned version, installed through npm]
    #[arg(long, value_name = "FILE", env = "CLAUDE_BINARY_PATH")]
    pub claude_binary_path: Option<PathBuf>,
    /// Where the working directories of jobs are made [default: in the data directory]
    #[arg(long, value_name = "DIR", env = "PROJECT_ROOT")]
    project_root: Option<PathBuf>,
    /// User ids for slots, one for each, if the worker is root
    #[arg(long, value_name = "FIRST-LAST", env = "DROVER_SLOT_USERS", default_value = limits::SLOT_USERS)]
    slot_users: UserRange,
    /// Files and directories that slots may read besides the system's own, as toolchains, separated by commas
    #[arg(long, value_name = "PATH", env = "DROVER_SLOT_READ", value_delimiter = ',')]
    slot_read: Vec<PathBuf>,
    /// Run agents also where the kernel lacks some of the walls around slots
    #[arg(long, env = "DROVER_ALLOW_WEAK_WALLS", value_parser = clap::builder::BoolishValueParser::new())]
    allow_weak_walls: bool,
    /// Key of the Anthropic API or of a compatible provider; without one only the demo model is offered
    #[arg(long, value_name = "KEY", env = "ANTHROPIC_API_KEY")]
    pub anthropic_api_key: Option<Secret>,
    /// The same as a bearer token, for providers that want one
    #[arg(long, value_name = "TOKEN", env = "ANTHROPIC_AUTH_TOKEN")]
    pub anthropic_auth_token: Option<Secret>,
    /// Where the provider's Anthropic endpoint is
    #[arg(long, value_name = "URL", env = "ANTHROPIC_BASE_URL", default_value = "https://api.anthropic.com")]
    pub anthropic_base_url: Address,
    /// Model for requests that name none, offered besides the catalogue's
    #[arg(long, value_name = "MODEL", env = "ANTHROPIC_MODEL")]
    pub anthropic_model: Option<String>,
    /// Longest time a job may run, in seconds
    #[arg(long, value_name = "SECONDS", env = "DROVER_JOB_TIMEOUT", default_value_t = limits::JOB_WALL.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..))]
    job_timeout: u64,
    /// Longest time a job may go without a sign of life, in seconds
    #[arg(long, value_name = "SECONDS", env = "DROVER_JOB_STALL", default_value_t = limits::JOB_STALL.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..))]
    job_stall: u64,
    /// How long running jobs may take to finish after the first SIGTERM, in seconds
    #[arg(long, value_name = "SECONDS", env = "DROVER_DRAIN_GRACE", default_value_t = limits::DRAIN_GRACE.as_secs())]
    drain_grace: u64,
}

impl Settings {
    /// Where to look for the CLI and where to install it.
    pub fn install(&self) -> install::Settings {
        install::Settings {
            binary_path: self.claude_binary_path.clone(),
            data_dir: self.common.data_dir(),
            environment: std::env::vars().collect(),
            supervisor: Supervisor::default(),
        }
    }

    /// Where slot directories are made.
    pub fn slot_root(&self) -> PathBuf {
        self.project_root.clone().unwrap_or_else(|| self.common.data_dir()).join("slots")
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

    /// How long running jobs may take to finish once the worker was told to stop.
    pub fn drain_grace(&self) -> Duration {
        Duration::from_secs(self.drain_grace)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
