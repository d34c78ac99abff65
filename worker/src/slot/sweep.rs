//! Finding and killing processes by descent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use drover_shared::schema::limits;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgrp};

/// Which process is whose child, at one moment.
pub(super) struct Family {
    children: BTreeMap<i32, Vec<i32>>,
    groups: BTreeMap<i32, i32>,
}

impl Family {
    /// Reads the process table. Processes that come and go meanwhile may be missed; callers look again.
    pub(super) fn read() -> Self {
        let mut family = Self { children: BTreeMap::new(), groups: BTreeMap::new() };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
            if let Some((parent, group)) = look_up(pid) {
                family.children.entry(parent).or_default().push(pid);
                family.groups.insert(pid, group);
            }
        }
        family
    }

    /// The children of `parent`, zombies included.
    pub(super) fn children_of(&self, parent: i32) -> &[i32] {
        self.children.get(&parent).map_or(&[], Vec::as_slice)
    }

    /// `roots` and all that descend from them.
    pub(super) fn with_descendants(&self, roots: &[i32]) -> BTreeSet<i32> {
        let mut found = BTreeSet::new();
        let mut pending = roots.to_vec();
        while let Some(pid) = pending.pop() {
            if found.insert(pid) {
                pending.extend_from_slice(self.children_of(pid));
            }
        }
        found
    }

    /// Sends SIGKILL to each process and to its process group, which catches in one blow those that have
    /// been forked since the process table was read. Those that are gone already are no error.
    pub(super) fn kill(&self, doomed: &BTreeSet<i32>) {
        let own = getpgrp().as_raw();
        let groups: BTreeSet<i32> = doomed.iter().filter_map(|pid| self.groups.get(pid).copied()).collect();
        for &group in groups.iter().filter(|&&group| group > 1 && group != own) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        for &pid in doomed {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// A process and all that it descends from, as far as they live.
pub fn lineage(pid: i32) -> Vec<i32> {
    let up = |pid: &i32| look_up(*pid).map(|(parent, _)| parent).filter(|parent| *parent > 0);
    std::iter::successors(Some(pid), up).take(limits::LINEAGE).collect()
}

/// Parent and process group.
fn look_up(pid: i32) -> Option<(i32, i32)> {
    parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The fourth and fifth field of `/proc/<pid>/stat`. The second, the command's name, may hold spaces and
/// parentheses, so reading starts after the last parenthesis.
fn parse(stat: &[u8]) -> Option<(i32, i32)> {
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let text = std::str::from_utf8(&stat[after_name..]).ok()?;
    let mut numbers = text.split_ascii_whitespace().skip(1).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_hides_no_parent() {
        assert_eq!(parse(b"41 (a) S 7 (b) R 12 40 41 0"), Some((12, 40)));
        assert_eq!(parse(b"41 (sh) S 1 41"), Some((1, 41)));
        assert_eq!(parse(b"nonsense"), None);
    }

    #[test]
    fn a_family_is_followed_to_its_last_member() {
        let family = Family {
            children: BTreeMap::from([(1, vec![2, 3]), (3, vec![4]), (4, vec![5])]),
            groups: BTreeMap::new(),
        };
        assert_eq!(family.with_descendants(&[3]), BTreeSet::from([3, 4, 5]));
    }

    #[test]
    fn this_process_is_its_parents_child() {
        let (parent, group) = look_up(std::process::id().cast_signed()).expect("a parent");
        assert_eq!(group, getpgrp().as_raw());
        assert!(Family::read().children_of(parent).contains(&std::process::id().cast_signed()));
        assert_eq!(
            lineage(std::process::id().cast_signed())[..2],
            [std::process::id().cast_signed(), parent]
        );
    }
}
