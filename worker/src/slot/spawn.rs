//! From a description to a running CLI, inside the supervisor.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{Pid, getpid};

use super::bounds;
use super::walls::{Connections, Prepared};
use super::wire::{self, Launch, Step, Word};

/// Starts the CLI behind its walls; answers with its process id and with what makes its connections, if
/// it may not do so itself. The supervisor's copies of the three descriptors are closed afterwards, so that
/// the worker sees the end of the output when the CLI's side has ended.
pub(super) fn spawn(
    launch: &Launch,
    stdio: [OwnedFd; 3],
    group: Option<&Path>,
) -> Result<(Pid, Option<Connections>), (Step, io::Error)> {
    fs::read_dir(&launch.directory).map_err(|error| (Step::Directory, error))?;
    let walls = Prepared::of(launch.walls.as_ref());
    let walls = walls.map_err(|(wall, error)| (Step::Walls(wall), error))?;
    let supervise = |error| (Step::Supervise, error);
    let (ours, theirs) = UnixStream::pair().map_err(supervise)?;
    let mut command = command(launch, stdio, group.map(Path::to_owned), walls, theirs);
    let spawned = command.spawn();
    // With it goes this process' copy of the child's end, so that ours can be heard to the end.
    drop(command);
    let word = wire::hear_word(&ours).map_err(supervise)?;
    let child = spawned.map_err(|error| (failed_step(launch, word.as_ref(), &error), error))?;
    let connections = match (word, &launch.walls) {
        (Some(Word::Listener(listener)), Some(walls)) => Some(Connections::new(listener, walls)),
        _ => None,
    };
    Ok((Pid::from_raw(child.id().cast_signed()), connections))
}

#[expect(unsafe_code, reason = "the walls go up between fork and exec")]
fn command(
    launch: &Launch,
    [stdin, stdout, stderr]: [OwnedFd; 3],
    group: Option<PathBuf>,
    mut walls: Prepared,
    supervisors_ear: UnixStream,
) -> Command {
    let supervisor = getpid();
    let mut command = Command::new(&launch.program);
    command.args(&launch.arguments).current_dir(&launch.directory);
    command.env_clear().envs(launch.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
    // The control group comes first: the walls take away what joining it needs.
    let prepare = move || {
        group.as_deref().map_or(Ok(()), bounds::join)?;
        match walls.put_up(supervisor) {
            Ok(None) => Ok(()),
            Ok(Some(listener)) => wire::send_word(&supervisors_ear, &Word::Listener(listener)),
            Err((wall, error)) => {
                // The standard library tells the error's number only. If this is not told, the number still is.
                let _ = wire::send_word(&supervisors_ear, &Word::Fallen(wall));
                Err(error)
            }
        }
    };
    // SAFETY: the supervisor has one thread, so the child finds every lock free after the fork.
    unsafe { command.pre_exec(prepare) };
    command
}

/// The kernel says "no such file" both for a missing script and for a script whose interpreter is missing.
fn failed_step(launch: &Launch, word: Option<&Word>, error: &io::Error) -> Step {
    if let Some(Word::Fallen(wall)) = word {
        return Step::Walls(*wall);
    }
    let script_exists = error.kind() == io::ErrorKind::NotFound && launch.program.exists();
    if script_exists { Step::Interpreter } else { Step::Program }
}
