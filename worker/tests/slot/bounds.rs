//! What takes more than it may is stopped, told by its own reason and swept, and its neighbour lives on.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drover_worker::slot::bounds::{Bounds, Breach, Groups, Pace, Watch};
use drover_worker::slot::{Launch, Slot};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::stage::{everybody, gone, launch, line, pid, python, see, shell, supervisor};

/// Nothing that a test does by accident goes past these.
const AMPLE: Bounds = Bounds { memory_bytes: 1 << 30, processes: 2_000, cpu_secs: 600, disk_bytes: 10 << 30 };

const PATIENCE: Duration = Duration::from_mins(1);

/// A slot, watched as closely as can be, with a directory to work in.
struct Watched {
    slot: Slot,
    watch: Watch,
    directory: tempfile::TempDir,
}

impl Watched {
    async fn start(what: &Launch, bounds: Bounds) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let slot = launch(&Launch { directory: directory.path().to_owned(), ..what.clone() }).await;
        let watch = Watch::start(&slot.process, directory.path(), bounds);
        watch.pace(Pace::Busy);
        Self { slot, watch, directory }
    }

    async fn breach(&self) -> Breach {
        timeout(PATIENCE, self.watch.breach()).await.expect("the bound holds")
    }
}

/// Runs `greedy` beside an innocent neighbour until it is stopped; answers why it was.
async fn stopped(greedy: &Launch, bounds: Bounds) -> String {
    let mut neighbour = Watched::start(&shell("echo ready; read line; echo got $line"), bounds).await;
    line(&mut neighbour.slot).await;
    let greedy = Watched::start(greedy, bounds).await;
    let supervisor = see(greedy.slot.process.pid()).map(|seen| seen.parent);

    let breach = greedy.breach().await;
    let exit = timeout(PATIENCE, greedy.slot.exited()).await.expect("it is swept");
    assert_eq!(exit.signal, Some(libc::SIGKILL), "{exit:?}");
    let left = everybody().into_iter().filter(|(_, seen)| Some(seen.parent) == supervisor);
    assert_eq!(left.count(), 0, "nothing descends from the supervisor");
    let path = greedy.directory.path().to_str().expect("text").to_owned();
    let inside =
        |pid: &i32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&path));
    assert_eq!(everybody().keys().filter(|pid| inside(pid)).count(), 0, "nothing works in its directory");

    neighbour.slot.stdin.write_all(b"it\n").await.expect("written");
    assert_eq!(line(&mut neighbour.slot).await, "got it");
    assert_eq!(neighbour.slot.exited().await.code, Some(0));
    assert_eq!(neighbour.watch.verdict().await, None);
    breach.to_string()
}

#[tokio::test]
async fn a_memory_hog_is_stopped() {
    let bounds = Bounds { memory_bytes: 100 << 20, ..AMPLE };
    let hog = "import time\nhoard = []\nwhile len(hoard) < 400:\n  hoard.append(b'x' * (1 << 20))\n  time.sleep(0.002)\n\
        time.sleep(1000)";
    assert_eq!(stopped(&python(hog), bounds).await, "it used more than 100 MB of memory");
}

#[tokio::test]
async fn memory_spread_over_children_and_shared_between_none_counts_together() {
    let bounds = Bounds { memory_bytes: 100 << 20, ..AMPLE };
    let family = "import mmap, os, time\nfor i in range(8):\n  if os.fork() == 0:\n    os.setsid()\n\
        \x20   held = mmap.mmap(-1, 30 << 20)\n    held.write(b'x' * (30 << 20))\n    time.sleep(1000)\ntime.sleep(1000)";
    assert_eq!(stopped(&python(family), bounds).await, "it used more than 100 MB of memory");
}

#[tokio::test]
async fn a_fork_bomb_that_respawns_is_stopped_and_swept() {
    let bounds = Bounds { processes: 60, ..AMPLE };
    // Three hundred daemons, each of which starts another one when its parent dies.
    let bomb = "import os, time\nfor i in range(300):\n  if os.fork() == 0:\n    os.setsid()\n    while True:\n\
        \x20     parent = os.getppid()\n      while os.getppid() == parent: time.sleep(0.01)\n      if os.fork(): os._exit(0)\n\
        time.sleep(1000)";
    assert_eq!(stopped(&python(bomb), bounds).await, "it ran more than 60 processes at once");
}

#[tokio::test]
async fn a_thread_bomb_is_stopped() {
    let bounds = Bounds { processes: 4, ..AMPLE };
    let bomb = "import threading, time\nthreading.stack_size(65536)\n\
        for i in range(200): threading.Thread(target=time.sleep, args=(1000,)).start()";
    assert_eq!(stopped(&python(bomb), bounds).await, "it ran more than 128 threads at once");
}

#[tokio::test]
async fn one_huge_file_is_stopped() {
    let bounds = Bounds { disk_bytes: 32 << 20, ..AMPLE };
    let filler = "import time\nwith open('huge', 'wb') as f:\n  for i in range(256):\n    f.write(bytes(1 << 20))\n\
        \x20   f.flush()\n    time.sleep(0.005)\ntime.sleep(1000)";
    assert_eq!(stopped(&python(filler), bounds).await, "it filled more than 32 MB of disk");
}

#[tokio::test]
async fn many_small_files_are_stopped() {
    let bounds = Bounds { disk_bytes: 32 << 20, ..AMPLE };
    let filler = "import os, time\nfor i in range(20_000):\n  if i % 500 == 0: os.makedirs(f'{i}'); os.chdir(f'{i}')\n\
        \x20 with open(f'{i}.txt', 'w') as f: f.write('x' * 4096)\ntime.sleep(1000)";
    assert_eq!(stopped(&python(filler), bounds).await, "it filled more than 32 MB of disk");
}

#[tokio::test]
async fn a_cpu_burner_is_stopped() {
    let bounds = Bounds { cpu_secs: 1, ..AMPLE };
    assert_eq!(stopped(&python("while True: pass"), bounds).await, "it used more than 1 s of CPU time");
}

#[tokio::test]
async fn short_lived_burners_that_nobody_waits_for_add_up() {
    let bounds = Bounds { cpu_secs: 1, ..AMPLE };
    let burner = "import os, signal, time\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nwhile True:\n  if os.fork() == 0:\n\
        \x20   until = time.process_time() + 0.5\n    while time.process_time() < until: pass\n    os._exit(0)\n  time.sleep(0.5)";
    assert_eq!(stopped(&python(burner), bounds).await, "it used more than 1 s of CPU time");
}

#[tokio::test]
async fn cpu_time_counts_from_the_beginning_of_a_job() {
    let burner = "import sys, time\nfor line in sys.stdin:\n  until = time.process_time() + float(line)\n\
        \x20 while time.process_time() < until: pass\n  print('done', flush=True)";
    let mut busy = Watched::start(&python(burner), Bounds { cpu_secs: 2, ..AMPLE }).await;
    for _ in 0..3 {
        busy.slot.stdin.write_all(b"1.2\n").await.expect("written");
        assert_eq!(line(&mut busy.slot).await, "done");
        busy.watch.pace(Pace::Idle);
        busy.watch.pace(Pace::Busy);
    }
    busy.slot.stdin.write_all(b"30\n").await.expect("written");
    assert_eq!(busy.breach().await, Breach::Cpu(2));
}

#[tokio::test]
async fn dropping_the_watch_spares_the_process() {
    let mut spared = Watched::start(&shell("echo $$; read line; echo $line"), AMPLE).await;
    let cli = pid(&mut spared.slot).await;
    let verdict = spared.watch.verdict();
    drop(spared.watch);
    assert_eq!(timeout(PATIENCE, verdict).await.expect("it ends"), None);
    assert!(!gone(cli));
    spared.slot.stdin.write_all(b"alive\n").await.expect("written");
    assert_eq!(line(&mut spared.slot).await, "alive");
}

/// The group of a process in the unified hierarchy.
fn group_of(pid: i32) -> String {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("alive");
    groups.lines().find_map(|line| line.strip_prefix("0::")).expect("a group").to_owned()
}

fn exists(group: &str) -> bool {
    let places = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    places.iter().any(|place| Path::new(&format!("{place}{group}")).exists())
}

#[tokio::test]
async fn a_control_group_holds_all_that_a_process_spawns_and_nobody_else_and_vanishes_with_it() {
    let (Some(groups), survey) = Groups::set_up() else {
        return assert!(Groups::set_up().1.to_string().starts_with("no control groups"));
    };
    assert!(survey.to_string().starts_with("control groups"), "{survey}");
    let supervisor = supervisor().within(Arc::new(groups), AMPLE);
    let script =
        "(setsid sh -c 'echo $$; while :; do sleep 1000; done' &); echo $$; trap '' TERM; sleep 1000";
    let mut slot = supervisor.launch(&shell(script)).await.expect("it starts");
    let neighbour = supervisor.launch(&shell("sleep 1000")).await.expect("it starts");
    let all = [pid(&mut slot).await, pid(&mut slot).await];

    let group = group_of(slot.process.pid());
    assert!(group.contains("drover-slot-") && exists(&group), "{group}");
    assert!(all.iter().all(|&pid| group_of(pid) == group));
    assert_ne!(group_of(neighbour.process.pid()), group);
    assert!(!group_of(see(slot.process.pid()).expect("alive").parent).contains("drover-slot-"));

    slot.kill();
    let exit = slot.exited().await;
    assert_eq!(exit.signal, Some(libc::SIGKILL));
    assert!(exit.swept >= 1 && all.into_iter().all(gone), "{exit:?}");
    drop(slot);
    crate::stage::eventually("the group is removed", || !exists(&group));
}
