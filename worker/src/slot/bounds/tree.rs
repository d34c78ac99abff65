//! A process tree as `/proc` shows it, read without privileges: what another user's process maps is hidden,
//! its `stat` and `status` are not.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use super::super::sweep::Family;

/// All that descends from one process, at about one moment.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) members: Vec<Member>,
    /// CPU time of those that the root has reaped, with all they had reaped themselves.
    pub(super) reaped_ticks: u64,
    /// When the root started; zero if it is gone.
    pub(super) root_started: u64,
}

/// One process.
#[derive(Debug, PartialEq)]
pub(super) struct Member {
    pub(super) pid: i32,
    /// When it started; with `pid` it names one process for good.
    pub(super) started: u64,
    /// CPU time of its own.
    pub(super) own_ticks: u64,
    /// CPU time of the children it has reaped.
    pub(super) reaped_ticks: u64,
    /// Memory that it did not get from a file, in bytes.
    pub(super) memory_bytes: u64,
    pub(super) threads: u64,
}

impl Tree {
    /// Reads the descendants of `root`, no more than one beyond `most`.
    pub(super) fn read(root: i32, most: usize) -> Self {
        Self::descend(root, most, *CHILDREN_ARE_LISTED)
    }

    fn descend(root: i32, most: usize, children_are_listed: bool) -> Self {
        let Some(Ticks { reaped, started, .. }) = ticks(root) else { return Self::default() };
        let mut tree = Self { members: Vec::new(), reaped_ticks: reaped, root_started: started };
        if !children_are_listed {
            let family = Family::read();
            let everybody = family.with_descendants(family.children_of(root));
            tree.members.extend(everybody.into_iter().take(most + 1).filter_map(Member::read));
            return tree;
        }
        let mut pending = children_of(root, None);
        while let Some(pid) = pending.pop()
            && tree.members.len() <= most
        {
            if let Some(member) = Member::read(pid) {
                pending.extend(children_of(pid, Some(member.threads)));
                tree.members.push(member);
            }
        }
        tree
    }

    /// Memory shared between processes counts once for each of them.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.members.iter().map(|member| member.memory_bytes).sum()
    }

    pub(super) fn threads(&self) -> u64 {
        self.members.iter().map(|member| member.threads).sum()
    }
}

impl Member {
    fn read(pid: i32) -> Option<Self> {
        let ticks = ticks(pid)?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let (memory_bytes, threads) = parse_status(&status);
        let Ticks { own, reaped, started } = ticks;
        Some(Self { pid, started, own_ticks: own, reaped_ticks: reaped, memory_bytes, threads })
    }
}

/// Not every kernel is built with the list of children.
static CHILDREN_ARE_LISTED: LazyLock<bool> =
    LazyLock::new(|| Path::new("/proc/thread-self/children").exists());

/// The children of a process are listed with the thread that forked them; of one thread the name is known.
fn children_of(pid: i32, threads: Option<u64>) -> Vec<i32> {
    let mut children = Vec::new();
    let mut add = |thread: &str| {
        let listed = fs::read_to_string(format!("/proc/{pid}/task/{thread}/children")).unwrap_or_default();
        children.extend(listed.split_ascii_whitespace().filter_map(|child| child.parse::<i32>().ok()));
    };
    if threads == Some(1) {
        add(&pid.to_string());
        return children;
    }
    for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        add(&thread.file_name().to_string_lossy());
    }
    children
}

#[derive(Debug, PartialEq)]
struct Ticks {
    own: u64,
    reaped: u64,
    started: u64,
}

fn ticks(pid: i32) -> Option<Ticks> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields 14 to 17 and 22 of `/proc/<pid>/stat`; reading starts after the command's name, which may hold
/// anything.
fn parse_stat(stat: &[u8]) -> Option<Ticks> {
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let text = std::str::from_utf8(&stat[after_name..]).ok()?;
    let mut numbers = text.split_ascii_whitespace().skip(11).map(|field| field.parse().unwrap_or_default());
    let own = numbers.next()? + numbers.next()?;
    let reaped = numbers.next()? + numbers.next()?;
    // Priority, nice value (which may be negative), threads and an obsolete timer lie between.
    let started = numbers.nth(4)?;
    Some(Ticks { own, reaped, started })
}

/// Memory in bytes, and threads. The kernel's command name in it is escaped and cannot forge a line. A zombie
/// has no memory and one thread.
fn parse_status(status: &str) -> (u64, u64) {
    let (mut memory_bytes, mut threads) = (0, 1);
    for (name, value) in status.lines().filter_map(|line| line.split_once(':')) {
        let number = || value.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default();
        match name {
            "RssAnon" | "RssShmem" | "VmSwap" => memory_bytes += number() << 10,
            "Threads" => threads = number().max(1),
            _ => {}
        }
    }
    (memory_bytes, threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_any_name() {
        assert_eq!(parse_stat(b"7 (x) S 1 7"), None);
        let stat = b"7 (a) R 1 2) S 1 7 7 0 -1 4194560 100 200 0 0 11 22 33 44 20 -5 1 0 5555 1000 10";
        assert_eq!(parse_stat(stat), Some(Ticks { own: 33, reaped: 77, started: 5555 }));
    }

    #[test]
    fn memory_from_files_does_not_count() {
        let status = "Name:\tx\nVmRSS:\t 900 kB\nRssAnon:\t 100 kB\nRssFile:\t 700 kB\nRssShmem:\t 20 kB\n\
            VmSwap:\t 3 kB\nThreads:\t12\n";
        assert_eq!(parse_status(status), (123 << 10, 12));
        assert_eq!(parse_status("Name:\tzombie\nState:\tZ\n"), (0, 1));
    }

    #[test]
    fn a_child_of_this_process_is_found_and_measured_on_every_kernel() {
        let mut child = std::process::Command::new("/bin/sleep").arg("1000").spawn().expect("a child");
        let me = std::process::id().cast_signed();
        let trees = [*CHILDREN_ARE_LISTED, false].map(|listed| Tree::descend(me, 10_000, listed));
        child.kill().expect("killed");
        child.wait().expect("reaped");
        for tree in trees {
            let found = tree.members.iter().find(|member| member.pid == child.id().cast_signed());
            assert!(found.is_some_and(|member| member.threads == 1 && member.started > 0), "{tree:?}");
        }
    }
}
