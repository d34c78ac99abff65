//! CPU time of a process tree whose members come and go.

use std::collections::BTreeMap;

use super::tree::Tree;

/// `/proc` counts in hundredths of a second on every Linux, whatever the kernel itself counts in.
const TICK_MS: u64 = 10;

/// Adds up what a tree has used.
///
/// Two sums, of which the larger counts. What living processes have used, themselves and by their reaped
/// children, plus what the supervisor has reaped, is exact as long as everybody reaps. A process that lets the
/// kernel reap its children hides them from that sum; the other one remembers those that were seen.
#[derive(Debug, Default)]
pub(super) struct CpuMeter {
    seen: BTreeMap<(i32, u64), u64>,
    gone: u64,
    most: u64,
    /// What had been used when the job began.
    before: u64,
}

impl CpuMeter {
    /// Takes in what is seen now.
    pub(super) fn see(&mut self, tree: &Tree) {
        let members = &tree.members;
        let accounted = members.iter().map(|member| member.own_ticks + member.reaped_ticks).sum::<u64>();
        let now = members.iter().map(|member| ((member.pid, member.started), member.own_ticks)).collect();
        let before = std::mem::replace(&mut self.seen, now);
        self.gone +=
            before.iter().filter(|(key, _)| !self.seen.contains_key(key)).map(|(_, own)| own).sum::<u64>();
        let remembered = self.gone + self.seen.values().sum::<u64>();
        self.most = self.most.max(accounted + tree.reaped_ticks).max(remembered);
    }

    /// A new job begins: what was used before is not its own.
    pub(super) fn begin(&mut self) {
        self.before = self.most;
    }

    /// What the job has used, in milliseconds.
    pub(super) fn used_ms(&self) -> u64 {
        (self.most - self.before) * TICK_MS
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::Member;
    use super::*;

    fn tree(reaped_ticks: u64, members: &[(i32, u64, u64)]) -> Tree {
        let member = |&(pid, own_ticks, reaped_ticks)| Member {
            pid,
            started: 1,
            own_ticks,
            reaped_ticks,
            memory_bytes: 0,
            threads: 1,
        };
        Tree { members: members.iter().map(member).collect(), reaped_ticks, root_started: 1 }
    }

    #[test]
    fn time_is_counted_once_wherever_it_moves_when_processes_end() {
        let mut meter = CpuMeter::default();
        meter.see(&tree(0, &[(2, 10, 0), (3, 30, 0)]));
        assert_eq!(meter.most, 40);
        meter.see(&tree(0, &[(2, 10, 35)]));
        assert_eq!(meter.most, 45, "reaped by its parent");
        meter.see(&tree(50, &[]));
        assert_eq!(meter.most, 50, "reaped by the supervisor");
    }

    #[test]
    fn processes_that_nobody_reaps_are_remembered() {
        let mut meter = CpuMeter::default();
        for pid in 3..13 {
            meter.see(&tree(0, &[(2, 1, 0), (pid, 20, 0)]));
        }
        assert_eq!(meter.most, 201);
    }

    #[test]
    fn a_job_pays_for_its_own_time_only() {
        let mut meter = CpuMeter::default();
        meter.see(&tree(0, &[(2, 500, 0)]));
        meter.begin();
        assert_eq!(meter.used_ms(), 0);
        meter.see(&tree(0, &[(2, 700, 0)]));
        assert!(meter.used_ms() > 0);
    }
}
