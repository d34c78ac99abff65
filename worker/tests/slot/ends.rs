//! How a CLI ends, and that all it spawned ends with it.

use drover_worker::slot::{Exit, Slot, census};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stage::{eventually, everybody, gone, launch, line, pid, python, rest, see, shell};

/// Prints its process id and stays, deaf to everything that can be ignored.
const STUBBORN: &str = "trap '' TERM INT HUP QUIT USR1 USR2 PIPE; echo $$; while :; do sleep 1000; done";

/// Leaves a daemon in a session of its own, which forks another; each prints its process id.
const DAEMONS: &str = "setsid sh -c 'echo $$; setsid sh -c \"echo \\$\\$; exec sleep 1000\" & sleep 1000' & ";

#[tokio::test]
async fn codes_and_signals_are_told() {
    let slot = launch(&shell("exit 7")).await;
    assert_eq!(slot.exited().await, Exit { code: Some(7), signal: None, swept: 0 });
    let slot = launch(&shell("kill -SEGV $$")).await;
    assert_eq!(slot.exited().await, Exit { code: None, signal: Some(libc::SIGSEGV), swept: 0 });
    assert_eq!(slot.exited().await.signal, Some(libc::SIGSEGV), "it may be asked again");
}

#[tokio::test]
async fn a_deaf_process_is_killed_and_killing_twice_is_no_harm() {
    let mut slot = launch(&shell(STUBBORN)).await;
    let cli = pid(&mut slot).await;
    assert_eq!(cli, slot.process.pid());
    slot.kill();
    slot.kill();
    assert_eq!(slot.exited().await.signal, Some(libc::SIGKILL));
    assert!(gone(cli));
    slot.kill();
}

#[tokio::test]
async fn daemons_are_swept_when_the_cli_exits_by_itself() {
    let mut slot = launch(&shell(&format!("{DAEMONS} read go; exit 5"))).await;
    let daemons = [pid(&mut slot).await, pid(&mut slot).await];
    let Slot { stdin, mut lines, process } = slot;
    drop(stdin);
    let exit = process.exited().await;
    assert_eq!((exit.code, exit.signal), (Some(5), None));
    assert!(exit.swept >= 3, "two daemons and their sleep: {exit:?}");
    assert!(daemons.into_iter().all(gone));
    assert_eq!(lines.next().await.expect("readable"), None, "they held the output, and hang nobody");
}

#[tokio::test]
async fn daemons_are_swept_when_the_cli_is_killed() {
    let before = census().swept;
    let mut slot = launch(&shell(&format!("{DAEMONS} wait; sleep 1000"))).await;
    let daemons = [pid(&mut slot).await, pid(&mut slot).await];
    slot.kill();
    let exit = slot.exited().await;
    assert_eq!(exit.signal, Some(libc::SIGKILL));
    assert!(daemons.into_iter().all(gone));
    assert!(census().swept >= before + u64::from(exit.swept));
    assert_eq!(rest(&mut slot).await, Vec::<String>::new());
}

#[tokio::test]
async fn three_hundred_daemons_are_swept_and_no_zombie_stays() {
    let script = "i=0; while [ $i -lt 300 ]; do (setsid sleep 1000 &); i=$((i+1)); done; echo go; sleep 1000";
    let mut slot = launch(&shell(script)).await;
    line(&mut slot).await;
    let supervisor = see(slot.process.pid()).expect("alive").parent;
    slot.kill();
    let exit = slot.exited().await;
    assert!(exit.swept >= 300, "{exit:?}");
    assert!(gone(supervisor), "the supervisor is reaped as well");
    assert!(everybody().values().all(|process| process.parent != supervisor));
}

#[tokio::test]
async fn a_process_that_forks_and_exits_without_end_is_caught() {
    let runner = "import os\nprint(os.getpid(), flush=True)\nwhile True:\n  if os.fork(): os._exit(0)";
    let mut slot = launch(&python(runner)).await;
    let cli = pid(&mut slot).await;
    let exit = slot.exited().await;
    assert_eq!(exit.code, Some(0), "the first of the chain");
    assert!(exit.swept > 0 && gone(cli));
    assert_eq!(rest(&mut slot).await, Vec::<String>::new(), "nobody holds the output");
}

#[tokio::test]
async fn orphans_that_end_while_the_cli_runs_do_not_stay_as_zombies() {
    let mut slot =
        launch(&shell("i=0; while [ $i -lt 20 ]; do (true &); i=$((i+1)); done; echo ready; sleep 1000"))
            .await;
    line(&mut slot).await;
    let cli = slot.process.pid();
    let supervisor = see(cli).expect("alive").parent;
    eventually("the supervisor has the CLI only", || {
        let everybody = everybody();
        let mut children = everybody.iter().filter(|(_, process)| process.parent == supervisor);
        children.all(|(&pid, process)| pid == cli && process.state != "Z")
    });
}

#[tokio::test]
async fn dropping_the_slot_kills() {
    let mut slot = launch(&shell(&format!("{DAEMONS} {STUBBORN}"))).await;
    let all = [pid(&mut slot).await, pid(&mut slot).await, pid(&mut slot).await];
    let exited = slot.exited();
    drop(slot);
    assert_eq!(exited.await.signal, Some(libc::SIGKILL));
    assert!(all.into_iter().all(gone));
}

#[tokio::test]
async fn abandoning_the_start_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let mark = directory.path().join("pid");
    let script = shell(&format!("echo $$ > {}; sleep 1000", mark.display()));
    for _ in 0..20 {
        let supervisor = crate::stage::supervisor();
        let mut start = Box::pin(supervisor.launch(&script));
        assert!(futures_util::FutureExt::now_or_never(start.as_mut()).is_none());
        tokio::task::yield_now().await;
        drop(start);
    }
    eventually("no process mentions the script", || {
        everybody().keys().all(|pid| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            !String::from_utf8_lossy(&command).contains(&mark.display().to_string())
        })
    });
}

#[tokio::test]
async fn a_supervisor_shrugs_off_what_is_sent_to_everybody() {
    let mut slot = launch(&shell("echo ready; read line; echo got $line")).await;
    line(&mut slot).await;
    let supervisor = Pid::from_raw(see(slot.process.pid()).expect("alive").parent);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGPIPE] {
        kill(supervisor, signal).expect("sent");
    }
    tokio::io::AsyncWriteExt::write_all(&mut slot.stdin, b"it\n").await.expect("written");
    assert_eq!(line(&mut slot).await, "got it");
    assert_eq!(slot.exited().await, Exit { code: Some(0), signal: None, swept: 0 });
}

#[tokio::test]
async fn one_that_takes_a_new_session_each_time_is_caught_too() {
    let runner =
        "import os\nprint(os.getpid(), flush=True)\nwhile True:\n  if os.fork(): os._exit(0)\n  os.setsid()";
    let mut slot = launch(&python(runner)).await;
    pid(&mut slot).await;
    let exit = slot.exited().await;
    assert_eq!(exit.code, Some(0), "the first of the chain");
    assert_eq!(rest(&mut slot).await, Vec::<String>::new(), "nobody holds the output");
}
