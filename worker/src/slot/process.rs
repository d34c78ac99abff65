//! A running CLI: killing it, and learning how it ended.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::{Arc, Weak};

use drover_shared::schema::limits;
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::{oneshot, watch};
use tokio::{task, time};
use tokio_util::sync::CancellationToken;

use super::bounds::Group;
use super::census::{Living, count_swept};
use super::stderr::Stderr;
use super::strays::{self, Registered};
use super::wire::Exit;
use super::wire::{Report, Step};

/// The handle of a running CLI. Dropping it kills the CLI and all it has spawned.
pub struct Process {
    pid: i32,
    supervisor: i32,
    leash: Arc<Leash>,
    group: Option<Arc<Group>>,
    exit: watch::Receiver<Option<Exit>>,
    stderr: Arc<Stderr>,
}

impl Process {
    /// Waits for the supervisor's word that the CLI runs.
    pub(super) async fn started(
        supervisor: Registered,
        leash: Leash,
        control: UnixStream,
        stderr: pipe::Receiver,
        group: Option<Arc<Group>>,
    ) -> Result<Self, (Step, io::Error)> {
        let (started, start) = oneshot::channel();
        let (ended, exit) = watch::channel(None);
        let supervisor_pid = supervisor.pid();
        let tail = Arc::new(Stderr::default());
        let watched = Watched {
            supervisor,
            control: BufReader::new(control),
            asked_to_die: leash.asked_to_die.clone(),
            stderr: tail.clone(),
            _group: group.clone(),
        };
        tokio::spawn(watched.run(stderr, started, ended));
        let pid = start.await.unwrap_or_else(|_| Err(supervisor_lost()))?;
        let leash = Arc::new(leash);
        Ok(Self { pid, supervisor: supervisor_pid, leash, group, exit, stderr: tail })
    }

    /// The CLI's process id.
    pub const fn pid(&self) -> i32 {
        self.pid
    }

    /// The process id of its supervisor, from which the CLI and all that it spawns descend.
    pub const fn supervisor(&self) -> i32 {
        self.supervisor
    }

    /// Kills the CLI and all it has spawned. May be called at any time and more than once.
    pub fn kill(&self) {
        self.leash.let_go();
    }

    /// Answers when the CLI has ended, nothing of it is left, and its standard error has been read. May be
    /// dropped and asked again, and outlives this handle.
    pub fn exited(&self) -> impl Future<Output = Exit> + Send + use<> {
        let mut exit = self.exit.clone();
        async move {
            let ended = exit.wait_for(Option::is_some).await;
            ended.ok().and_then(|exit| *exit).unwrap_or(LOST)
        }
    }

    /// Whether it has ended; never blocks.
    pub fn has_exited(&self) -> bool {
        self.exit.borrow().is_some()
    }

    /// The last of what the CLI has written to its standard error; complete once it has ended. It may quote
    /// what a client sent, so it is for explaining failures and not for logs.
    pub fn stderr_tail(&self) -> String {
        self.stderr.tail()
    }

    pub(super) fn group(&self) -> Option<Arc<Group>> {
        self.group.clone()
    }

    /// To kill by, for as long as this handle exists.
    pub(super) fn leash(&self) -> Weak<Leash> {
        Arc::downgrade(&self.leash)
    }

    pub(super) fn exit_watch(&self) -> watch::Receiver<Option<Exit>> {
        self.exit.clone()
    }
}

/// The worker's end of the control socket: while it is held, the CLI may live.
pub(super) struct Leash {
    control: StdUnixStream,
    asked_to_die: CancellationToken,
}

impl Leash {
    pub(super) fn hold(control: StdUnixStream) -> io::Result<Self> {
        control.set_nonblocking(true)?;
        Ok(Self { control, asked_to_die: CancellationToken::new() })
    }

    pub(super) fn socket(&self) -> io::Result<UnixStream> {
        UnixStream::from_std(self.control.try_clone()?)
    }

    pub(super) fn let_go(&self) {
        // A supervisor that is gone already has nothing left to kill.
        let _ = self.control.shutdown(Shutdown::Write);
        self.asked_to_die.cancel();
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// What is known of a CLI whose supervisor was lost: the kernel has killed it.
const LOST: Exit = Exit { code: None, signal: Some(Signal::SIGKILL as i32), swept: 0 };

fn supervisor_lost() -> (Step, io::Error) {
    (Step::Supervise, io::Error::other("it ended without a word"))
}

/// Everything that has to be waited for, in a task of its own, so that it happens whoever stops listening.
struct Watched {
    supervisor: Registered,
    control: BufReader<UnixStream>,
    asked_to_die: CancellationToken,
    stderr: Arc<Stderr>,
    // Removed once everything in it is gone.
    _group: Option<Arc<Group>>,
}

impl Watched {
    async fn run(
        mut self,
        stderr: pipe::Receiver,
        started: oneshot::Sender<Result<i32, (Step, io::Error)>>,
        ended: watch::Sender<Option<Exit>>,
    ) {
        let outcome = match self.report().await {
            Some(Report::Started { pid }) => Ok(pid),
            Some(Report::Failed { step, errno }) => Err((step, io::Error::from_raw_os_error(errno))),
            Some(Report::Ended(_)) | None => Err(supervisor_lost()),
        };
        let runs = outcome.is_ok();
        let _ = started.send(outcome);
        let exit = if runs { Some(self.follow(stderr).await) } else { None };
        // Who learns of the end finds no zombie of the supervisor either.
        self.reap_supervisor().await;
        ended.send_replace(exit);
    }

    async fn reap_supervisor(&mut self) {
        let child = &mut self.supervisor.child;
        if time::timeout(limits::SUPERVISOR_PATIENCE, child.wait()).await.is_err() {
            let _ = child.start_kill();
            let _ = child.wait().await;
        }
    }

    async fn follow(&mut self, stderr: pipe::Receiver) -> Exit {
        let living = Living::begin();
        let tail = self.stderr.clone();
        let mut reading = tokio::spawn(async move { tail.read(stderr).await });
        let exit = match self.report().await {
            Some(Report::Ended(exit)) => exit,
            _ => self.clean_up_after_supervisor().await,
        };
        drop(living);
        count_swept(exit.swept);
        if time::timeout(limits::CLI_OUTPUT_GRACE, &mut reading).await.is_err() {
            reading.abort();
        }
        exit
    }

    /// The supervisor's next word; `None` when it is gone. One that does not react to being told to kill
    /// (the CLI can have stopped it) is killed.
    async fn report(&mut self) -> Option<Report> {
        let mut line = String::new();
        let overdue = async {
            self.asked_to_die.cancelled().await;
            time::sleep(limits::SUPERVISOR_PATIENCE).await;
        };
        tokio::select! {
            read = self.control.read_line(&mut line) => { read.ok()?; }
            () = overdue => return None,
        }
        serde_json::from_str(&line).ok()
    }

    async fn clean_up_after_supervisor(&mut self) -> Exit {
        // It may be gone already; what counts is that it is gone now.
        let _ = self.supervisor.child.start_kill();
        let _ = self.supervisor.child.wait().await;
        let swept = task::spawn_blocking(strays::sweep).await.unwrap_or(0);
        Exit { swept, ..LOST }
    }
}
