//! Asking a program for its version, in a clean environment and under a time limit.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use drover_shared::schema::limits;
use tokio::time;

use super::InstallError;
use crate::slot::{Launch, LaunchError, LineError, Process, Slot, Supervisor};
use drover_shared::cli::build::{Build, Version, chat_shortfall};

/// How much of an unexpected answer is shown.
pub(super) const SHOWN_CHARACTERS: usize = 80;
/// What programs may expect to find; nothing of the worker's own environment passes.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why a program's version is not known.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It does not start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// It said something else.
    #[error("is not the Claude CLI: `--version` answered {0:?}")]
    NotClaude(String),
    /// It failed.
    #[error("is not usable: `--version` ended with {0}")]
    Failed(String),
    /// It took too long.
    #[error("is not usable: `--version` took more than {} s", .0.as_secs())]
    TimedOut(Duration),
    /// There is no place for its home.
    #[error("no temporary directory to try it in: {0}")]
    Home(io::Error),
    /// Its output is no line of text.
    #[error("is not the Claude CLI: {0}")]
    Output(#[from] LineError),
}

/// What answered.
pub(super) struct Identity {
    pub(super) program: PathBuf,
    pub(super) interpreter: Option<PathBuf>,
    pub(super) build: Build,
    pub(super) version: Version,
}

/// Runs `--version` and tells what was found.
pub(super) async fn identify(
    program: &Path,
    interpreter: Option<&Path>,
    build: Option<Build>,
    supervisor: &Supervisor,
) -> Result<Identity, InstallError> {
    let failed = |source| InstallError::Probe { path: program.to_owned(), source };
    let version = version(program, interpreter, supervisor).await.map_err(failed)?;
    let build = build.unwrap_or_else(|| build_of_wrapped(version));
    if let Some(shortfall) = chat_shortfall(build, version) {
        return Err(InstallError::TooOld { path: program.to_owned(), shortfall });
    }
    Ok(Identity { program: program.to_owned(), interpreter: interpreter.map(Path::to_owned), build, version })
}

/// What a wrapper script runs cannot be seen from outside, but JavaScript ended with a known version; below
/// it, the build that can do less is assumed.
fn build_of_wrapped(version: Version) -> Build {
    match Version::parse(drover_shared::cli::build::LAST_JAVASCRIPT_VERSION) {
        Some(last) if version <= last => Build::JavaScript,
        _ => Build::Native,
    }
}

/// What `--version` says.
pub(super) async fn version(
    program: &Path,
    interpreter: Option<&Path>,
    supervisor: &Supervisor,
) -> Result<Version, ProbeError> {
    let home = tempfile::tempdir().map_err(ProbeError::Home)?;
    let slot = supervisor.launch(&launch(program, interpreter, &["--version"], home.path())).await?;
    let answer = time::timeout(limits::CLI_VERSION, answer(slot)).await;
    answer.map_err(|_| ProbeError::TimedOut(limits::CLI_VERSION))?
}

async fn answer(mut slot: Slot) -> Result<Version, ProbeError> {
    let first = slot.lines.next().await?.unwrap_or_default();
    let said = String::from_utf8_lossy(&first).into_owned();
    let version = Version::parse(&said).filter(|_| said.contains("(Claude Code)"));
    while slot.lines.next().await?.is_some() {}
    let exit = slot.exited().await;
    match (version, exit.code, exit.signal) {
        (Some(version), Some(0), _) => Ok(version),
        (None, Some(0), _) => Err(ProbeError::NotClaude(said.chars().take(SHOWN_CHARACTERS).collect())),
        (_, Some(code), _) => Err(ProbeError::Failed(format!("code {code}{}", reason(&slot.process)))),
        (_, None, signal) => Err(ProbeError::Failed(format!("signal {}", signal.unwrap_or_default()))),
    }
}

/// The last thing a program that failed had to say, after a colon.
pub(super) fn reason(process: &Process) -> String {
    let tail = process.stderr_tail();
    let last = tail.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    let shown: String = last.trim().chars().take(SHOWN_CHARACTERS).collect();
    if shown.is_empty() { shown } else { format!(": {shown}") }
}

/// Runs a program in a home of its own, with nothing of ours but what it cannot do without.
pub(super) fn launch(program: &Path, interpreter: Option<&Path>, arguments: &[&str], home: &Path) -> Launch {
    let script = interpreter.map(|_| program.to_string_lossy().into_owned());
    let home_text = home.to_string_lossy().into_owned();
    Launch {
        program: interpreter.unwrap_or(program).to_owned(),
        arguments: script.into_iter().chain(arguments.iter().map(ToString::to_string)).collect(),
        environment: vec![
            ("PATH".into(), PATH.into()),
            ("HOME".into(), home_text.clone()),
            ("TMPDIR".into(), home_text),
            ("DISABLE_AUTOUPDATER".into(), "1".into()),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC".into(), "1".into()),
        ],
        directory: home.to_owned(),
        walls: None,
    }
}
