//! Which processes belong to a cluster, also those that have slipped away from their parents.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// A process that belongs to a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kin {
    /// Process id.
    pub pid: i32,
    /// Parent's process id.
    pub parent: i32,
    /// State letter, `Z` for a zombie.
    pub state: char,
    /// Command line, or the bare name where there is none.
    pub command: String,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// CPU time used, in clock ticks (hundredths of a second).
    pub cpu_ticks: u64,
    /// CPU time of the descendants that it has waited for, in the same ticks.
    pub reaped_ticks: u64,
}

/// Every process under `roots`, and every process whose environment, command line or working directory names
/// `dir`: every process of a cluster inherits the name of its directory, whoever its parent is by now.
pub(super) fn of(dir: &Path, roots: &[i32]) -> Vec<Kin> {
    let all: Vec<Kin> = pids().filter_map(read).collect();
    let mut kin: Vec<Kin> = all.iter().filter(|process| names(process.pid, dir)).cloned().collect();
    let mut parents: Vec<i32> = roots.iter().copied().chain(kin.iter().map(|process| process.pid)).collect();
    while let Some(parent) = parents.pop() {
        for child in all.iter().filter(|process| process.parent == parent) {
            if !kin.contains(child) {
                parents.push(child.pid);
                kin.push(child.clone());
            }
        }
    }
    kin
}

/// What `/proc` tells of one process.
pub fn read(pid: i32) -> Option<Kin> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, also brackets and spaces.
    let (name, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned();
    let name = name.split_once('(').map_or("", |(_, name)| name);
    Some(Kin {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        state: fields.first()?.chars().next()?,
        command: if command.is_empty() { name.to_owned() } else { command },
        resident_bytes: number(21)? * 4096,
        cpu_ticks: number(11)? + number(12)?,
        reaped_ticks: number(13)? + number(14)?,
    })
}

/// Ends what a cluster has left behind, so that a failed test does not slow the next one.
pub(super) fn sweep(dir: &Path) {
    // Some are started while others are being killed.
    for _ in 0..10 {
        let left: Vec<Kin> = of(dir, &[]).into_iter().filter(|process| process.state != 'Z').collect();
        if left.is_empty() {
            return;
        }
        for process in left {
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let itself = i32::try_from(std::process::id()).unwrap_or_default();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(move |pid| *pid != itself)
}

fn names(pid: i32, dir: &Path) -> bool {
    let dir = dir.as_os_str().as_bytes();
    let holds = |bytes: Vec<u8>| bytes.windows(dir.len()).any(|part| part == dir);
    ["environ", "cmdline"].iter().any(|file| std::fs::read(format!("/proc/{pid}/{file}")).is_ok_and(holds))
        || std::fs::read_link(format!("/proc/{pid}/cwd"))
            .is_ok_and(|cwd| cwd.as_os_str().as_bytes().starts_with(dir))
}
