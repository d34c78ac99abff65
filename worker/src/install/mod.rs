//! Finding the Claude CLI, or installing it.
//!
//! An operator's own CLI (`CLAUDE_BINARY_PATH`) is used as it is. Otherwise the pinned native version is
//! fetched once through npm into the data folder, shared by all workers of the machine, and looked at again
//! at each start.

mod check;
mod given;
mod npm;
pub mod patch;
mod pinned;
mod platform;
mod probe;
mod record;
mod root;
mod staging;

use std::io;
use std::path::{Path, PathBuf};

pub use check::{CheckReport, check};
pub use npm::NpmError;
pub use pinned::installed_at;
pub use probe::ProbeError;
pub use root::{RootMode, RootPolicy, RootRefusal, Standing, decide};

use drover_shared::cli::build::{Build, Version};

use crate::slot::Supervisor;

/// A CLI that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claude {
    /// The file to run: the executable, or the script that [`interpreter`](Self::interpreter) runs.
    pub program: PathBuf,
    /// The absolute path of node, if the program is a script for it.
    pub interpreter: Option<PathBuf>,
    /// Its build.
    pub build: Build,
    /// Its version.
    pub version: Version,
    /// What lets it run agent jobs, or why it cannot. Chat jobs run in any case.
    pub root: Result<RootMode, RootRefusal>,
}

impl Claude {
    /// Which files and folders a process needs in order to run it, besides the system's own. Single files
    /// wherever that is enough: what lies beside them is the operator's.
    pub fn files(&self) -> Vec<PathBuf> {
        let program = match self.program.parent() {
            Some(folder) if self.interpreter.is_some() && is_package(folder) => folder.to_owned(),
            _ => self.program.clone(),
        };
        // A link is followed: walls judge where a file really is.
        let interpreter =
            self.interpreter.as_ref().map(|node| node.canonicalize().unwrap_or_else(|_| node.clone()));
        interpreter.into_iter().chain([program]).collect()
    }
}

/// Whether it is the CLI's own npm package, whose other files the script loads.
fn is_package(folder: &Path) -> bool {
    let manifest = std::fs::read(folder.join("package.json")).unwrap_or_default();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap_or_default();
    manifest["name"] == "@anthropic-ai/claude-code"
}

/// Where to look and where to install. Not to be printed: the environment may hold secrets.
#[derive(Clone)]
pub struct Settings {
    /// The operator's own CLI (`CLAUDE_BINARY_PATH`).
    pub binary_path: Option<PathBuf>,
    /// Drover's data folder; the CLI goes to `claude/` in it.
    pub data_dir: PathBuf,
    /// This process' environment, from which npm gets what it needs and nothing secret.
    pub environment: Vec<(String, String)>,
    /// How agent jobs are to run where the worker is root.
    pub root_policy: RootPolicy,
    /// What this process is allowed to.
    pub standing: Standing,
    /// What supervises the processes that run meanwhile.
    pub supervisor: Supervisor,
}

/// Why there is no usable CLI. Each is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The file that the operator named is not there.
    #[error("CLAUDE_BINARY_PATH={0} does not exist")]
    Missing(PathBuf),
    /// It cannot be executed.
    #[error("CLAUDE_BINARY_PATH={0} is not an executable file")]
    NotExecutable(PathBuf),
    /// It is a script for node, and there is no node.
    #[error("{0} needs node, which is not on PATH: install Node.js 20 or newer, or use the native CLI")]
    NodeMissing(PathBuf),
    /// It does not answer as the Claude CLI does.
    #[error("{path}: {source}")]
    Probe {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: ProbeError,
    },
    /// It is too old.
    #[error("{path}: {shortfall}")]
    TooOld {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        shortfall: String,
    },
    /// npm could not fetch it.
    #[error(transparent)]
    Npm(#[from] NpmError),
    /// There is no native build for this machine.
    #[error("there is no native Claude CLI for {0}; set CLAUDE_BINARY_PATH to one that runs here")]
    Platform(String),
    /// The data folder cannot be used.
    #[error("{path}: {source}")]
    Data {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The operator's CLI if one is named, else the pinned one, installed first if need be; patched if the policy
/// says so.
pub async fn find_or_install(settings: &Settings) -> Result<Claude, InstallError> {
    let found = match &settings.binary_path {
        Some(path) => given::find(path, settings).await,
        None => pinned::find_or_install(settings).await,
    };
    Ok(root::arrange(found?, settings).await)
}

fn variable<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    environment.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
}
