//! From a description to a running CLI, inside the supervisor.

use std::fs;
use std::io::{self, PipeReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::unistd::{Pid, getpid, write};

use super::walls::{Prepared, Wall};
use super::wire::{Launch, Step};

/// Starts the CLI behind its walls. The supervisor's copies of the three descriptors are closed afterwards,
/// so that the worker sees the end of the output when the CLI's side has ended.
pub(super) fn spawn(launch: &Launch, stdio: [OwnedFd; 3]) -> Result<Pid, (Step, io::Error)> {
    fs::read_dir(&launch.directory).map_err(|error| (Step::Directory, error))?;
    let walls = Prepared::of(launch.walls.as_ref());
    let walls = walls.map_err(|(wall, error)| (Step::Walls(wall), error))?;
    let supervise = |error| (Step::Supervise, error);
    let (fallen, tell) = io::pipe().map_err(supervise)?;
    let mut command = command(launch, stdio, walls, tell.into());
    let spawned = command.spawn();
    // With it goes this process' end of the pipe, so that the pipe can be read to its end.
    drop(command);
    let child = spawned.map_err(|error| (failed_step(launch, fallen, &error), error))?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}

#[expect(unsafe_code, reason = "the walls go up between fork and exec")]
fn command(
    launch: &Launch,
    [stdin, stdout, stderr]: [OwnedFd; 3],
    mut walls: Prepared,
    tell: OwnedFd,
) -> Command {
    let supervisor = getpid();
    let mut command = Command::new(&launch.program);
    command.args(&launch.arguments).current_dir(&launch.directory);
    command.env_clear().envs(launch.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
    let put_up = move || {
        walls.put_up(supervisor).map_err(|(wall, error)| {
            // The standard library tells the error's number only. If this is not told, the number still is.
            let _ = write(&tell, &[wall.number()]);
            error
        })
    };
    // SAFETY: the supervisor has one thread, so the child finds every lock free after the fork.
    unsafe { command.pre_exec(put_up) };
    command
}

/// The kernel says "no such file" both for a missing script and for a script whose interpreter is missing.
fn failed_step(launch: &Launch, mut fallen: PipeReader, error: &io::Error) -> Step {
    let mut wall = [0];
    if fallen.read_exact(&mut wall).is_ok()
        && let Some(wall) = Wall::numbered(wall[0])
    {
        return Step::Walls(wall);
    }
    let script_exists = error.kind() == io::ErrorKind::NotFound && launch.program.exists();
    if script_exists { Step::Interpreter } else { Step::Program }
}
