//! Scripts in place of the CLI, and a view of the process table.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use drover_worker::slot::{Launch, Slot, Supervisor};

/// How long a condition may take to come true before a test fails; far more than it needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The worker's program, which supervises.
pub(crate) fn supervisor() -> Supervisor {
    Supervisor::at(env!("CARGO_BIN_EXE_drover-worker"))
}

/// A shell script to be run in the system's root directory.
pub(crate) fn shell(script: &str) -> Launch {
    run("/bin/sh", &["-c", script])
}

/// A Python program.
pub(crate) fn python(program: &str) -> Launch {
    run("/usr/bin/env", &["python3", "-c", program])
}

/// Any program.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Launch {
    Launch {
        program: program.into(),
        arguments: arguments.iter().map(ToString::to_string).collect(),
        environment: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        directory: "/".into(),
        walls: None,
    }
}

/// Starts it.
pub(crate) async fn launch(launch: &Launch) -> Slot {
    supervisor().launch(launch).await.expect("it starts")
}

/// The next line, as text.
pub(crate) async fn line(slot: &mut Slot) -> String {
    let line: Bytes = slot.lines.next().await.expect("a readable line").expect("a line and not the end");
    String::from_utf8(line.to_vec()).expect("text")
}

/// All lines to the end.
pub(crate) async fn rest(slot: &mut Slot) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(line) = slot.lines.next().await.expect("a readable line") {
        lines.push(String::from_utf8_lossy(&line).into_owned());
    }
    lines
}

/// The next line, as a process id.
pub(crate) async fn pid(slot: &mut Slot) -> i32 {
    line(slot).await.trim().parse().expect("a process id")
}

/// One process of the system.
pub(crate) struct Seen {
    pub(crate) state: String,
    pub(crate) parent: i32,
}

/// Looks up a process; zombies are processes.
pub(crate) fn see(pid: i32) -> Option<Seen> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?.to_owned();
    Some(Seen { state, parent: fields.next()?.parse().ok()? })
}

/// All processes.
pub(crate) fn everybody() -> BTreeMap<i32, Seen> {
    let entries = fs::read_dir("/proc").expect("a process table").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, see(pid)?))).collect()
}

/// Whether it is gone; as good as gone is a zombie that waits for a parent that is not ours.
pub(crate) fn gone(pid: i32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

/// Waits until a condition holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: still not so");
        std::thread::sleep(Duration::from_millis(5));
    }
}
