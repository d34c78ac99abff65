//! Trying a patched copy out: it says its version, and it runs a turn with permissions skipped, though nothing
//! in its environment tells it to trust the place.

use std::io;

use drover_shared::schema::limits;
use tokio::time;

use super::super::probe::{self, ProbeError, SHOWN_CHARACTERS, reason};
use super::Source;
use super::responder::Responder;
use crate::slot::{Launch, LaunchError, LineError, Slot, Supervisor};

/// How a copy failed.
#[derive(Debug, thiserror::Error)]
pub enum SmokeError {
    /// It does not say a version.
    #[error(transparent)]
    Version(#[from] ProbeError),
    /// It says another one.
    #[error("it says that it is {0}")]
    OtherVersion(String),
    /// There is nothing it could speak to.
    #[error("nothing could be set up to try it out: {0}")]
    SetUp(#[from] io::Error),
    /// It does not start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// It failed, for one because it refused root.
    #[error("a turn with permissions skipped ended with {0}")]
    Failed(String),
    /// It said something else than the model did.
    #[error("a turn with permissions skipped ended well, but the answer was {0:?}")]
    NoAnswer(String),
    /// It took too long.
    #[error("a turn with permissions skipped took more than {} s", limits::CLI_SMOKE.as_secs())]
    TimedOut,
    /// Its output is no line of text.
    #[error("a turn with permissions skipped: {0}")]
    Output(#[from] LineError),
}

/// Tries it out. Of use for root alone: nobody else is refused.
pub(super) async fn run(copy: &Source, supervisor: &Supervisor) -> Result<(), SmokeError> {
    let version = probe::version(&copy.script, Some(&copy.node), supervisor).await?;
    if version != copy.version {
        return Err(SmokeError::OtherVersion(version.to_string()));
    }
    let home = tempfile::tempdir()?;
    let responder = Responder::start().await?;
    let slot = supervisor.launch(&launch(copy, home.path(), &responder)).await?;
    let turn = time::timeout(limits::CLI_SMOKE, turn(slot, responder.answer())).await;
    turn.map_err(|_| SmokeError::TimedOut)?
}

/// All published versions take these flags and print the answer alone.
fn launch(copy: &Source, home: &std::path::Path, responder: &Responder) -> Launch {
    let arguments = ["-p", "--dangerously-skip-permissions", "Say the word."];
    let mut launch = probe::launch(&copy.script, Some(&copy.node), &arguments, home);
    let url = responder.url();
    let more = [
        ("ANTHROPIC_BASE_URL", url.as_str()),
        ("ANTHROPIC_API_KEY", "none"),
        // Whatever else it would reach is refused there too.
        ("HTTPS_PROXY", url.as_str()),
        ("NO_PROXY", "127.0.0.1"),
        ("DISABLE_TELEMETRY", "1"),
        ("DISABLE_ERROR_REPORTING", "1"),
    ];
    launch.environment.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    launch
}

async fn turn(slot: Slot, expected: &str) -> Result<(), SmokeError> {
    let Slot { stdin, mut lines, process } = slot;
    // It would wait for more of the prompt otherwise.
    drop(stdin);
    let mut said = String::new();
    while let Some(line) = lines.next().await? {
        if said.len() < SHOWN_CHARACTERS {
            said.push_str(&String::from_utf8_lossy(&line));
        }
    }
    let exit = process.exited().await;
    match (exit.code, exit.signal) {
        (Some(0), _) if said.trim() == expected => Ok(()),
        (Some(0), _) => Err(SmokeError::NoAnswer(said.chars().take(SHOWN_CHARACTERS).collect())),
        (Some(code), _) => Err(SmokeError::Failed(format!("code {code}{}", reason(&process)))),
        (None, signal) => Err(SmokeError::Failed(format!("signal {}", signal.unwrap_or_default()))),
    }
}
