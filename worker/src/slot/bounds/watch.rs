//! The watchdog of one process tree.

use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Weak};

use drover_shared::schema::limits;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::watch;
use tokio::{task, time};

use super::super::process::{Leash, Process};
use super::breach::Taken;
use super::cpu::CpuMeter;
use super::disk::DiskMeter;
use super::tree::Tree;
use super::{Bounds, Breach, Group};

/// How closely a process is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// A job runs whose model can run programs: much may happen in a second.
    Busy,
    /// Nothing runs that could grow fast.
    Idle,
}

/// Watches a process with all that descends from it, and kills it when it goes past a bound. Ends with the
/// process; dropping it ends the watch and spares the process.
pub struct Watch {
    pace: watch::Sender<(Pace, u64)>,
    found: watch::Receiver<Option<Breach>>,
}

impl Watch {
    /// Watches `process`, whose files lie in `directory`, at the idle pace.
    pub fn start(process: &Process, directory: &Path, bounds: Bounds) -> Self {
        let (pace, paces) = watch::channel((Pace::Idle, 0));
        let (finding, found) = watch::channel(None);
        let supervisor = process.supervisor();
        let meters = Meters {
            supervisor,
            supervisor_started: Tree::read(supervisor, 0).root_started,
            bounds,
            cpu: CpuMeter::default(),
            disk: DiskMeter::new(directory, bounds.disk_bytes),
            group: process.group(),
            cpu_before_ms: 0,
        };
        let exited = process.exited();
        let dog = Dog { paces, finding, leash: process.leash() };
        tokio::spawn(async move { dog.run(meters, async move { _ = exited.await }).await });
        Self { pace, found }
    }

    /// Sets the pace. A job begins where busy follows idle: its CPU time counts from there.
    pub fn pace(&self, pace: Pace) {
        self.pace.send_if_modified(|(now, jobs)| {
            *jobs += u64::from(pace == Pace::Busy && *now == Pace::Idle);
            std::mem::replace(now, pace) != pace
        });
    }

    /// Answers when a bound was broken; the process is being killed then. Never answers otherwise. May be
    /// dropped and asked again.
    pub fn breach(&self) -> impl Future<Output = Breach> + Send + use<> {
        let verdict = self.verdict();
        async move {
            match verdict.await {
                Some(breach) => breach,
                None => std::future::pending().await,
            }
        }
    }

    /// Answers when a bound was broken or the process has ended by itself: which bound, if any.
    pub fn verdict(&self) -> impl Future<Output = Option<Breach>> + Send + use<> {
        let mut found = self.found.clone();
        async move { found.wait_for(Option::is_some).await.map_or(None, |breach| *breach) }
    }
}

/// The task behind a [`Watch`].
struct Dog {
    paces: watch::Receiver<(Pace, u64)>,
    finding: watch::Sender<Option<Breach>>,
    leash: Weak<Leash>,
}

impl Dog {
    async fn run(mut self, mut meters: Meters, exited: impl Future<Output = ()>) {
        let mut exited = pin!(exited);
        let mut jobs = 0;
        loop {
            let (pace, jobs_now) = *self.paces.borrow_and_update();
            let begins = std::mem::replace(&mut jobs, jobs_now) != jobs_now;
            let (measured, taken, tree) = look(meters, begins).await;
            meters = measured;
            if let Some(breach) = Breach::of(&taken, &meters.bounds) {
                return self.bite(breach, &tree);
            }
            tokio::select! {
                () = &mut exited => return self.post_mortem(&meters),
                changed = self.paces.changed() => if changed.is_err() { return },
                () = time::sleep(pace.pause()) => {}
            }
        }
    }

    /// Says so first, so that nobody hears of the process's end without its reason. The blow at those that
    /// were seen is for a tree that is fast or has stopped its supervisor, which sees to all the rest.
    fn bite(&self, breach: Breach, tree: &Tree) {
        self.finding.send_replace(Some(breach));
        for member in &tree.members {
            let _ = kill(Pid::from_raw(member.pid), Signal::SIGKILL);
        }
        if let Some(leash) = self.leash.upgrade() {
            leash.let_go();
        }
    }

    /// The kernel may have been faster.
    fn post_mortem(&self, meters: &Meters) {
        if meters.group.as_ref().is_some_and(|group| group.ran_out_of_memory()) {
            self.finding.send_replace(Some(Breach::Memory(meters.bounds.memory_bytes)));
        }
    }
}

impl Pace {
    const fn pause(self) -> time::Duration {
        match self {
            Self::Busy => limits::WATCH_BUSY,
            Self::Idle => limits::WATCH_IDLE,
        }
    }
}

/// What measures one tree.
struct Meters {
    supervisor: i32,
    supervisor_started: u64,
    bounds: Bounds,
    cpu: CpuMeter,
    disk: DiskMeter,
    group: Option<Arc<Group>>,
    /// What the group's clock showed when the job began.
    cpu_before_ms: u64,
}

/// Off the asynchronous threads: a tree may be large and a disk slow.
async fn look(mut meters: Meters, begins: bool) -> (Meters, Taken, Tree) {
    let looked = task::spawn_blocking(move || {
        let (taken, tree) = meters.take(begins);
        (meters, taken, tree)
    });
    match looked.await {
        Ok(looked) => looked,
        // The runtime ends, and this task with it.
        Err(_) => std::future::pending().await,
    }
}

impl Meters {
    fn take(&mut self, begins: bool) -> (Taken, Tree) {
        let mut tree = Tree::read(self.supervisor, self.bounds.processes as usize);
        if tree.root_started != self.supervisor_started {
            // It is gone, and its process id may be a stranger's by now.
            tree = Tree::default();
        }
        self.cpu.see(&tree);
        let of_the_group = self.group.as_ref().and_then(|group| group.cpu_ms()).unwrap_or_default();
        if begins {
            self.cpu.begin();
            self.cpu_before_ms = of_the_group;
        }
        let taken = Taken {
            memory_bytes: tree.memory_bytes(),
            processes: tree.members.len(),
            threads: tree.threads(),
            cpu_ms: self.cpu.used_ms().max(of_the_group.saturating_sub(self.cpu_before_ms)),
            disk: self.disk.measure(),
        };
        (taken, tree)
    }
}
