//! The worker or the supervisor is killed with a signal that nobody can catch.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use drover_worker::slot::{become_subreaper, census};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stage::{eventually, everybody, gone, launch, pid, rest, see, shell};

const SCRIPT: &str = "setsid sh -c 'echo $$; setsid sh -c \"echo \\$\\$; exec sleep 1000\" & sleep 1000' &
    trap '' TERM; echo $$; while :; do sleep 1000; done";

/// Set in the processes that stand in for a worker.
const ROLE: &str = "DROVER_TEST_ROLE";

/// Runs the ignored test `name` of this program as a process of its own: it may become a subreaper, and it
/// may be killed.
fn worker(name: &str) -> (Child, impl Iterator<Item = String>) {
    let program = std::env::current_exe().expect("this program");
    let name = format!("survives::{name}");
    let mut command = Command::new(program);
    command.args(["--exact", &name, "--ignored", "--nocapture", "--test-threads=1"]);
    let mut child = command.env(ROLE, "worker").stdout(Stdio::piped()).spawn().expect("it starts");
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let told = output.lines().map_while(Result::ok);
    (child, told.filter_map(|line| line.split_once("told: ").map(|(_, told)| told.to_owned())))
}

#[expect(clippy::print_stdout, reason = "this is how a process of its own reports to the test")]
fn tell(what: impl std::fmt::Display) {
    println!("\ntold: {what}");
}

#[tokio::test]
#[ignore = "a part of other tests, which start it as a process of its own"]
async fn holds_a_slot_until_killed() {
    let mut slot = launch(&shell(SCRIPT)).await;
    for _ in 0..3 {
        tell(pid(&mut slot).await);
    }
    tell(see(slot.process.pid()).expect("alive").parent);
    std::future::pending::<()>().await;
}

#[test]
fn a_killed_worker_takes_everything_with_it() {
    let (mut worker, told) = worker("holds_a_slot_until_killed");
    let all: Vec<i32> = told.take(4).map(|pid| pid.parse().expect("a pid")).collect();
    assert_eq!(all.iter().filter(|pid| see(**pid).is_some()).count(), 4, "two daemons, CLI, supervisor");
    worker.kill().expect("killed");
    worker.wait().expect("reaped");
    for pid in all {
        eventually("the slot's process is gone", || {
            gone(pid) || see(pid).is_none_or(|seen| seen.state == "Z")
        });
    }
}

#[tokio::test]
#[ignore = "a part of other tests, which start it as a process of its own"]
async fn loses_a_supervisor() {
    become_subreaper().expect("possible");
    let mut other = launch(&shell("echo $$; read line")).await;
    let mut slot = launch(&shell(SCRIPT)).await;
    let daemons = [pid(&mut slot).await, pid(&mut slot).await, pid(&mut slot).await];
    let before = census();
    assert_eq!(before.living, 2);
    let supervisor = see(slot.process.pid()).expect("alive").parent;
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).expect("sent");

    let exit = slot.exited().await;
    assert_eq!((exit.code, exit.signal), (None, Some(libc::SIGKILL)));
    assert!(exit.swept >= 2, "the daemons were the worker's to kill: {exit:?}");
    assert_eq!(census().swept, before.swept + u64::from(exit.swept));
    assert_eq!(census().living, 1);
    assert_eq!(rest(&mut slot).await, Vec::<String>::new());
    assert!(daemons.into_iter().all(gone));

    let me = std::process::id().cast_signed();
    let spared = see(pid(&mut other).await).expect("the other slot lives").parent;
    let children = everybody().into_iter().filter(|(_, process)| process.parent == me);
    assert_eq!(children.map(|(pid, _)| pid).collect::<Vec<_>>(), [spared], "no zombie, no stray");
    drop(other.stdin);
    assert_eq!(other.process.exited().await.code, Some(1), "read met the end of its input");
    tell("done");
}

#[test]
fn a_killed_supervisor_leaves_its_cli_and_daemons_to_the_worker() {
    let (mut worker, mut told) = worker("loses_a_supervisor");
    assert_eq!(told.next().as_deref(), Some("done"));
    assert!(worker.wait().expect("reaped").success());
}
