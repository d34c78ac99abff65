//! The supervisor: this program started again, with one thread and one purpose.

use std::collections::BTreeSet;
use std::env;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use drover_shared::schema::limits;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid, setsid};

use super::bounds;
use super::spawn::spawn;
use super::sweep::Family;
use super::walls::Connections;
use super::wire::{self, Exit, Report, Step};

/// The hidden first argument under which this program is a supervisor. A second one names the control group
/// of what it supervises.
pub(super) const ARGUMENT: &str = "supervise-slot";

/// Becomes a supervisor, never to return, if the first argument says so. Must be called before the process
/// has a second thread: what it forks relies on that.
pub fn supervise_if_asked() {
    if env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT) {
        let failed = supervise().is_err();
        process::exit(i32::from(failed));
    }
}

fn supervise() -> io::Result<()> {
    let mut control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let signals = settle()?;
    let group = env::args_os().nth(2).map(PathBuf::from);
    let (launch, stdio) = wire::receive(&mut control)?;
    let (cli, connections) = match spawn(&launch, stdio, group.as_deref()) {
        Ok(spawned) => spawned,
        Err((step, error)) => return report_failure(&control, step, &error),
    };
    drop(launch);
    // A worker that is gone hears nothing; its end of the socket is closed then, and the watch ends at once.
    let _ = report(&control, &Report::Started { pid: cli.as_raw() });
    let watch =
        Watch { cli, connections, ended: None, sweeping: false, leftovers: BTreeSet::new(), signals, group };
    let exit = watch.run(&mut control);
    report(&control, &Report::Ended(exit))
}

/// Out of reach of the worker's terminal and of signals to a whole service, and foster parent of all that
/// the CLI leaves behind. The supervisor ends when the worker's end of the control socket closes: a SIGTERM
/// that a service manager sends to everybody must not cut short a worker that is finishing its jobs.
fn settle() -> io::Result<SignalFd> {
    let mut deaf = SigSet::empty();
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGUSR1] {
        deaf.add(signal);
    }
    for signal in [Signal::SIGUSR2, Signal::SIGALRM, Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU] {
        deaf.add(signal);
    }
    deaf.add(Signal::SIGCHLD);
    deaf.thread_set_mask()?;
    setsid()?;
    prctl::set_child_subreaper(true)?;
    prctl::set_name(c"drover-slot")?;
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    Ok(SignalFd::with_flags(&children, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

fn report(mut control: &UnixStream, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    control.write_all(&line)
}

fn report_failure(control: &UnixStream, step: Step, error: &io::Error) -> io::Result<()> {
    let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
    report(control, &Report::Failed { step, errno })
}

/// One CLI, from its start to the end of the last process that descends from it.
struct Watch {
    cli: Pid,
    connections: Option<Connections>,
    ended: Option<Exit>,
    sweeping: bool,
    leftovers: BTreeSet<i32>,
    signals: SignalFd,
    group: Option<PathBuf>,
}

impl Watch {
    fn run(mut self, control: &mut UnixStream) -> Exit {
        while self.ended.is_none() && !self.told_to_kill(control) {
            self.reap();
        }
        self.sweep();
        let swept = u32::try_from(self.leftovers.len()).unwrap_or(u32::MAX);
        Exit { swept, ..self.ended.unwrap_or(Exit { code: None, signal: None, swept }) }
    }

    /// Waits until a child has ended or the worker's end of the control socket is closed; makes a connection
    /// if one is asked for meanwhile.
    fn told_to_kill(&mut self, control: &mut UnixStream) -> bool {
        let mut wanted = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(control.as_fd(), PollFlags::POLLIN),
        ];
        wanted.extend(self.connections.iter().map(|asked| PollFd::new(asked.as_fd(), PollFlags::POLLIN)));
        let polled = poll(&mut wanted, PollTimeout::NONE);
        let worker_spoke = wanted[1].any().unwrap_or(false);
        let asked = wanted.get(2).and_then(PollFd::revents).unwrap_or(PollFlags::empty());
        self.drain_signals();
        if asked.contains(PollFlags::POLLIN) {
            self.connections.iter().for_each(Connections::serve);
        } else if !asked.is_empty() {
            // Nobody is left who could ask.
            self.connections = None;
        }
        match polled {
            // All that the worker can have to say is that it has closed its end.
            Ok(_) => worker_spoke && !matches!(control.read(&mut [0]), Ok(1..)),
            Err(error) => error != Errno::EINTR,
        }
    }

    /// Kills the control group in one blow, where there is one, and then round by round until no descendant is
    /// left. As the subreaper of all of them, this process has
    /// no child exactly when it has no descendant.
    fn sweep(&mut self) {
        self.sweeping = true;
        self.group.as_deref().into_iter().for_each(bounds::kill);
        let mut pause = Duration::from_millis(1);
        while self.reap() {
            let me = getpid().as_raw();
            let family = Family::read();
            let mut doomed = family.with_descendants(family.children_of(me));
            family.kill(&doomed);
            doomed.remove(&self.cli.as_raw());
            self.leftovers.append(&mut doomed);
            self.wait_for_child(pause);
            pause = (pause * 2).min(limits::SWEEP_PAUSE);
        }
    }

    /// Collects every child that has ended; false when there is no child left at all.
    fn reap(&mut self) -> bool {
        loop {
            let status = match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => return true,
                Ok(status) => status,
                Err(_) => return false,
            };
            self.note(status);
        }
    }

    fn note(&mut self, status: WaitStatus) {
        let (pid, exit) = match status {
            WaitStatus::Exited(pid, code) => (pid, Exit { code: Some(code), signal: None, swept: 0 }),
            WaitStatus::Signaled(pid, signal, _) => {
                (pid, Exit { code: None, signal: Some(signal as i32), swept: 0 })
            }
            _ => return,
        };
        if pid == self.cli {
            self.ended = Some(exit);
        } else if self.sweeping || self.ended.is_some() {
            self.leftovers.insert(pid.as_raw());
        }
    }

    fn wait_for_child(&self, pause: Duration) {
        let timeout = PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX);
        // An interrupted wait is as good as a finished one: the caller looks again.
        let _ = poll(&mut [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)], timeout);
        self.drain_signals();
    }

    fn drain_signals(&self) {
        while let Ok(Some(_)) = self.signals.read_signal() {}
    }
}
