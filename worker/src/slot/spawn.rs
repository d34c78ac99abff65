//! From a description to a running CLI, inside the supervisor.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{Pid, getpid};

use super::bounds;
use super::walls;
use super::wire::{Launch, Step};

/// Starts the CLI behind its walls. The supervisor's copies of the three descriptors are closed afterwards,
/// so that the worker sees the end of the output when the CLI's side has ended.
pub(super) fn spawn(
    launch: &Launch,
    stdio: [OwnedFd; 3],
    group: Option<&Path>,
) -> Result<Pid, (Step, io::Error)> {
    fs::read_dir(&launch.directory).map_err(|error| (Step::Directory, error))?;
    let mut command = command(launch, stdio, group.map(Path::to_owned));
    let child = command.spawn().map_err(|error| (failed_step(launch, &error), error))?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}

#[expect(unsafe_code, reason = "the walls go up between fork and exec")]
fn command(launch: &Launch, [stdin, stdout, stderr]: [OwnedFd; 3], group: Option<PathBuf>) -> Command {
    let supervisor = getpid();
    let mut command = Command::new(&launch.program);
    command.args(&launch.arguments).current_dir(&launch.directory);
    command.env_clear().envs(launch.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
    // The control group comes first: the walls take away what joining it needs.
    let prepare = move || {
        group.as_deref().map_or(Ok(()), bounds::join)?;
        walls::put_up(supervisor)
    };
    // SAFETY: the supervisor has one thread, so the child finds every lock free after the fork.
    unsafe { command.pre_exec(prepare) };
    command
}

/// The kernel says "no such file" both for a missing script and for a script whose interpreter is missing.
fn failed_step(launch: &Launch, error: &io::Error) -> Step {
    let script_exists = error.kind() == io::ErrorKind::NotFound && launch.program.exists();
    if script_exists { Step::Interpreter } else { Step::Program }
}
