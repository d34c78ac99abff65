//! Starting a slot's CLI, from the worker's side.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use drover_shared::schema::limits;
use nix::fcntl::{FcntlArg, fcntl};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::time;

use super::bounds::{Bounds, Group, Groups};
use super::lines::Lines;
use super::process::{Leash, Process};
use super::strays::Registered;
use super::supervisor::ARGUMENT;
use super::wire::{self, Exit, Launch, LaunchError, Step};

/// A running CLI: what goes in, what comes out, and the process itself. Dropping it (or its `process`) kills
/// the CLI and all it has spawned.
pub struct Slot {
    /// The CLI's standard input. Dropping it closes it.
    pub stdin: pipe::Sender,
    /// The CLI's standard output, line by line.
    pub lines: Lines,
    /// The process.
    pub process: Process,
}

impl Slot {
    /// Kills the CLI and all it has spawned. May be called at any time and more than once.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Whether the CLI has ended and nothing of it is left.
    pub fn has_exited(&self) -> bool {
        self.process.has_exited()
    }

    /// Answers when the CLI has ended and nothing of it is left. May be dropped and asked again.
    pub fn exited(&self) -> impl Future<Output = Exit> + Send + use<> {
        self.process.exited()
    }
}

/// The program that supervises: it must call [`supervise_if_asked`](super::supervise_if_asked) first thing.
#[derive(Clone, Debug)]
pub struct Supervisor {
    executable: PathBuf,
    groups: Option<(Arc<Groups>, Bounds)>,
}

impl Default for Supervisor {
    /// The running program, found even after its file was replaced by a newer one.
    fn default() -> Self {
        Self::at("/proc/self/exe")
    }
}

impl Supervisor {
    /// Another program.
    pub fn at(executable: impl Into<PathBuf>) -> Self {
        Self { executable: executable.into(), groups: None }
    }

    /// The same, with each process in a control group of its own, so bounded.
    #[must_use]
    pub fn within(self, groups: Arc<Groups>, bounds: Bounds) -> Self {
        Self { groups: Some((groups, bounds)), ..self }
    }

    /// Starts a CLI and answers once it runs. Dropping the future kills what it has started.
    pub async fn launch(&self, launch: &Launch) -> Result<Slot, LaunchError> {
        let failed =
            |step, source| LaunchError { program: launch.program.display().to_string(), step, source };
        match time::timeout(limits::CLI_READY, self.start(launch)).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err((step, source))) => Err(failed(step, source)),
            Err(_) => Err(failed(Step::Supervise, io::ErrorKind::TimedOut.into())),
        }
    }

    async fn start(&self, launch: &Launch) -> Result<Slot, (Step, io::Error)> {
        let supervise = |error| (Step::Supervise, error);
        let description = serde_json::to_vec(launch).map_err(|error| supervise(error.into()))?;
        let (ours, theirs) = UnixStream::pair().map_err(supervise)?;
        let group = self.groups.as_ref().and_then(|(groups, bounds)| groups.make(bounds)).map(Arc::new);
        let supervisor = self.fork(theirs, group.as_deref()).map_err(supervise)?;
        let pipes = Pipes::open().map_err(supervise)?;
        wire::send_head(&ours, &description, pipes.theirs()).map_err(supervise)?;
        let (stdin, stdout, stderr) = pipes.into_ours().map_err(supervise)?;
        let leash = Leash::hold(ours).map_err(supervise)?;
        let mut control = leash.socket().map_err(supervise)?;
        control.write_all(&description).await.map_err(supervise)?;
        let process = Process::started(supervisor, leash, control, stderr, group).await?;
        let lines = Lines::new(stdout, process.exit_watch()).map_err(supervise)?;
        Ok(Slot { stdin, lines, process })
    }

    fn fork(&self, control: UnixStream, group: Option<&Group>) -> io::Result<Registered> {
        let mut command = Command::new(&self.executable);
        command.arg(ARGUMENT).args(group.map(Group::path)).env_clear().current_dir("/");
        command.stdin(Stdio::from(OwnedFd::from(control))).stdout(Stdio::null()).stderr(Stdio::null());
        Registered::spawn(&mut command)
    }
}

/// The three pipes of a CLI; each pair is (the end that reads, the end that writes).
struct Pipes {
    stdin: (io::PipeReader, io::PipeWriter),
    stdout: (io::PipeReader, io::PipeWriter),
    stderr: (io::PipeReader, io::PipeWriter),
}

impl Pipes {
    fn open() -> io::Result<Self> {
        let pipes = Self { stdin: io::pipe()?, stdout: io::pipe()?, stderr: io::pipe()? };
        for end in [pipes.stdin.1.as_fd(), pipes.stdout.0.as_fd()] {
            let bytes = i32::try_from(limits::CLI_PIPE_BYTES).unwrap_or(i32::MAX);
            // A user who holds many large pipes gets the default size, which works as well.
            let _ = fcntl(end, FcntlArg::F_SETPIPE_SZ(bytes));
        }
        Ok(pipes)
    }

    fn theirs(&self) -> [std::os::fd::BorrowedFd<'_>; 3] {
        [self.stdin.0.as_fd(), self.stdout.1.as_fd(), self.stderr.1.as_fd()]
    }

    /// Closes the CLI's ends, so that the end of its output can be seen.
    fn into_ours(self) -> io::Result<(pipe::Sender, pipe::Receiver, pipe::Receiver)> {
        Ok((
            pipe::Sender::from_owned_fd(self.stdin.1.into())?,
            pipe::Receiver::from_owned_fd(self.stdout.0.into())?,
            pipe::Receiver::from_owned_fd(self.stderr.0.into())?,
        ))
    }
}
