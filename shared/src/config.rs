//! Settings: flags before environment before one file before defaults.
//!
//! The file holds `NAME=value` lines with the names of the environment, so that one file serves both
//! binaries and `docker compose`. An empty value counts as not set.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::{Args, CommandFactory, FromArgMatches};

use crate::schema::limits;
use crate::secret::Address;

/// Read when no other file is named and it exists in the working directory.
const DEFAULT_FILE: &str = ".env";

/// Every name that the file may hold: those of both binaries, since they share it.
pub const NAMES: [&str; 59] = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_MODEL",
    "API_KEYS",
    "CLAUDE_BINARY_PATH",
    "DATABASE_URL",
    "DEBUG",
    "DROVER_AGENT_SPARES",
    "DROVER_AGENT_TOOLS",
    "DROVER_ALLOWED_ORIGINS",
    "DROVER_ALLOW_OPEN",
    "DROVER_ALLOW_WEAK_WALLS",
    "DROVER_API_METRICS_ADDRESS",
    "DROVER_CLAUDE_LOGIN",
    "DROVER_CONFIG",
    "DROVER_DATA_DIR",
    "DROVER_DRAIN_GRACE",
    "DROVER_ISOLATION",
    "DROVER_JOB_BUDGET",
    "DROVER_JOB_STALL",
    "DROVER_JOB_TIMEOUT",
    "DROVER_JOB_TURNS",
    "DROVER_KEPT",
    "DROVER_LEDGER_DAYS",
    "DROVER_LOG_DIR",
    "DROVER_LOG_FILES",
    "DROVER_LOG_FILE_MB",
    "DROVER_MAX_QUEUED",
    "DROVER_MCP_SERVERS",
    "DROVER_METRICS_ADDRESS",
    "DROVER_PROCESS_AGE",
    "DROVER_PROCESS_JOBS",
    "DROVER_PROJECT_MB",
    "DROVER_PROVIDERS",
    "DROVER_PROVIDER_ATTEMPTS",
    "DROVER_READY_FILE",
    "DROVER_RESIDENTS",
    "DROVER_RESIDENT_AGE",
    "DROVER_RETENTION_HOURS",
    "DROVER_ROOT_POLICY",
    "DROVER_SESSION_DAYS",
    "DROVER_SLOTS",
    "DROVER_SLOT_CPU",
    "DROVER_SLOT_DISK",
    "DROVER_SLOT_MEMORY",
    "DROVER_SLOT_PROCESSES",
    "DROVER_SLOT_READ",
    "DROVER_SLOT_USERS",
    "DROVER_SPARES",
    "DROVER_SPARE_AGE",
    "DROVER_STORED_DAYS",
    "DROVER_UPLOAD_MB",
    "HOST",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "PORT",
    "PROJECT_ROOT",
    "REQUIRE_AUTH",
];

/// Settings of both binaries.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Settings file of NAME=value lines [default: ./.env, if there is one]
    #[arg(long, value_name = "FILE", env = "DROVER_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where the database, the Claude CLI and the slots live [default: /var/lib/drover for root, else
    /// ~/.local/share/drover]
    #[arg(long, value_name = "DIR", env = "DROVER_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// The database, a path or sqlite:PATH [default: drover.db in the data directory]
    #[arg(long, value_name = "URL", env = "DATABASE_URL")]
    database_url: Option<Address>,
    /// Where the slots and the files of projects live; on one file system [default: the data directory]
    #[arg(long, value_name = "DIR", env = "PROJECT_ROOT")]
    project_root: Option<PathBuf>,
    /// How much to log: error, warn, info, debug, trace, or a tracing filter
    #[arg(long, value_name = "LEVEL", env = "LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// The same as --log-level debug
    #[arg(long, env = "DEBUG", value_parser = clap::builder::BoolishValueParser::new())]
    pub debug: bool,
    /// How to log
    #[arg(long, value_name = "FORMAT", env = "LOG_FORMAT", value_enum, default_value = "human")]
    pub log_format: LogFormat,
    /// A directory that logs are written to as well, in a file for each process [default: none]
    #[arg(long, value_name = "DIR", env = "DROVER_LOG_DIR")]
    pub log_dir: Option<PathBuf>,
    /// MB that one of these files may hold; then it is put aside
    #[arg(long, value_name = "MB", env = "DROVER_LOG_FILE_MB", default_value_t = limits::LOG_FILE_MB,
          value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    log_file_mb: u64,
    /// How many files are kept for each process, the one that is written included
    #[arg(long, value_name = "N", env = "DROVER_LOG_FILES", default_value_t = limits::LOG_FILES,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub log_files: u32,
    /// Written once the process is ready, as JSON with its address and pid
    #[arg(long, value_name = "FILE", env = "DROVER_READY_FILE")]
    pub ready_file: Option<PathBuf>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object per line.
    Json,
}

impl Common {
    /// Names in the settings file that neither binary knows; misspelt ones, most likely.
    pub fn unknown_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.file().into_keys().collect();
        // Providers' keys may be in variables of any name that says so.
        let is_key = |name: &str| name.ends_with("_KEY") || name.ends_with("_TOKEN");
        names
            .retain(|name| !NAMES.contains(&name.as_str()) && !name.starts_with("COMPOSE_") && !is_key(name));
        names.sort();
        names
    }

    /// What the environment says, and the settings file where the environment is silent. Holds keys.
    pub fn variables(&self) -> HashMap<String, String> {
        let mut variables = self.file();
        variables.extend(std::env::vars().filter(|(_, value)| !value.is_empty()));
        variables
    }

    fn file(&self) -> HashMap<String, String> {
        let path = self.config.clone().or_else(default_file);
        path.and_then(|path| read(&path).ok()).unwrap_or_default()
    }

    /// How large a file of logs may become.
    pub fn log_file_bytes(&self) -> u64 {
        self.log_file_mb << 20
    }

    /// Where the database, the CLI and the slots live.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(default_data_dir)
    }

    /// Where slots and projects live, in a folder each.
    pub fn work_root(&self) -> PathBuf {
        self.project_root.clone().unwrap_or_else(|| self.data_dir())
    }

    /// Where the store is.
    pub fn database_url(&self) -> String {
        match &self.database_url {
            Some(address) => address.expose().to_owned(),
            None => format!("sqlite:///{}", self.data_dir().join("drover.db").display()),
        }
    }
}

fn default_data_dir() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/drover");
    }
    let base = std::env::var_os("XDG_DATA_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".local/share");
    base.unwrap_or_else(home).join("drover")
}

/// Reads the settings of a binary, or ends the process with clap's message.
pub fn load<T: CommandFactory + FromArgMatches>() -> T {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    try_load(&arguments, &|name| std::env::var_os(name)).unwrap_or_else(|error| error.exit())
}

/// Reads the settings from `arguments` (the program's name first) and what `environment` tells of a name.
pub fn try_load<T: CommandFactory + FromArgMatches>(
    arguments: &[OsString],
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<T, clap::Error> {
    let file = match settings_file(arguments, environment) {
        Some(path) => read(&path)?,
        None => HashMap::new(),
    };
    let command = with_sources(T::command(), environment, &file);
    T::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

fn settings_file(arguments: &[OsString], environment: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let mut after = arguments.iter().skip_while(|argument| *argument != "--config").skip(1);
    let joined = || arguments.iter().find_map(|a| a.to_str()?.strip_prefix("--config=").map(PathBuf::from));
    let given = after.next().map(PathBuf::from).or_else(joined);
    let named = || environment("DROVER_CONFIG").filter(|name| !name.is_empty()).map(PathBuf::from);
    given.or_else(named).or_else(default_file)
}

fn default_file() -> Option<PathBuf> {
    Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.is_file())
}

fn read(path: &Path) -> Result<HashMap<String, String>, clap::Error> {
    let refuse = |error: &dyn fmt::Display| {
        let message = format!("settings file {}: {error}\n", path.display());
        clap::Error::raw(clap::error::ErrorKind::Io, message)
    };
    let lines = dotenvy::from_path_iter(path).map_err(|error| refuse(&error))?;
    lines.collect::<Result<_, _>>().map_err(|error| refuse(&error))
}

/// Gives every setting the value of its variable, else that of the file; empty ones count as not set.
fn with_sources(
    command: clap::Command,
    environment: &dyn Fn(&str) -> Option<OsString>,
    file: &HashMap<String, String>,
) -> clap::Command {
    let subcommands: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let command = command.mut_args(|argument| {
        let Some(name) = argument.get_env().map(|name| name.to_string_lossy().into_owned()) else {
            return argument;
        };
        let from_environment = environment(&name).filter(|value| !value.is_empty());
        let from_file = || file.get(&name).filter(|value| !value.is_empty()).map(OsString::from);
        // clap would read an empty variable as a value, and show the present ones in --help.
        let argument = argument.env(Resettable::Reset);
        let argument = document_variable(argument, &name);
        match from_environment.or_else(from_file) {
            Some(value) => {
                let takes_value = argument.get_action().takes_values();
                argument.default_value(value).hide_default_value(takes_value)
            }
            None => argument,
        }
    });
    subcommands.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |sub| with_sources(sub, environment, file))
    })
}

fn document_variable(argument: clap::Arg, name: &str) -> clap::Arg {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    argument.help(format!("{help} [env: {name}]"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser, Debug)]
    struct Settings {
        #[command(flatten)]
        common: Common,
        #[arg(long, env = "PORT", default_value_t = 8000)]
        port: u16,
    }

    fn load(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Settings, clap::Error> {
        let arguments: Vec<OsString> =
            std::iter::once("drover").chain(arguments.iter().copied()).map(OsString::from).collect();
        try_load(&arguments, &|name| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn flags_win_over_environment_over_file_over_defaults() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("settings");
        std::fs::write(&file, "PORT=3\nDEBUG=true\nLOG_LEVEL=warn\n").expect("a file");
        let config = file.to_str().expect("text");
        let port = |arguments: &[&str], environment: &[(&str, &str)]| {
            load(arguments, environment).expect("settings").port
        };
        assert_eq!(port(&["--port", "1", "--config", config], &[("PORT", "2")]), 1);
        assert_eq!(port(&["--config", config], &[("PORT", "2")]), 2);
        assert_eq!(port(&["--config", config], &[("PORT", "")]), 3);
        assert_eq!(port(&[], &[("DROVER_CONFIG", config)]), 3);
        assert_eq!(port(&[], &[]), 8000);
        let settings = load(&["--config", config], &[]).expect("settings");
        assert!(settings.common.debug);
        assert_eq!(settings.common.log_level, "warn");
    }

    #[test]
    fn misspelt_names_of_the_file_are_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("settings");
        std::fs::write(&file, "PORT=3\nDROVER_SLOT=4\nCOMPOSE_PROJECT_NAME=x\n").expect("a file");
        let settings = load(&["--config", file.to_str().expect("text")], &[]).expect("settings");
        assert_eq!(settings.common.unknown_names(), ["DROVER_SLOT"]);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert!(load(&["--port", "http"], &[]).is_err());
        assert!(load(&[], &[("DEBUG", "perhaps")]).is_err());
        assert!(load(&["--config", "/nonexistent/settings"], &[]).is_err());
    }
}
