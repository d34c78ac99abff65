//! What this machine, or the container around the worker, has to give.

use std::fs;

use drover_shared::schema::limits;

/// The memory in bytes that each of `slots` slots may use here by default.
pub fn memory_share(slots: u32) -> u64 {
    let container = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|meminfo| total(&meminfo));
    share(machine.into_iter().chain(container).min(), slots)
}

/// Most of the memory, divided evenly; a slot too small for a CLI would be of no use, so there is a floor.
fn share(memory_bytes: Option<u64>, slots: u32) -> u64 {
    let for_slots = memory_bytes.unwrap_or_default() / 100 * limits::SLOTS_MEMORY_PERCENT;
    (for_slots / u64::from(slots.max(1))).max(limits::SLOT_MEMORY_FLOOR_MB << 20)
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_share_most_of_the_memory_evenly_above_a_floor() {
        assert_eq!(share(Some(100 << 30), 4) >> 30, 20);
        assert_eq!(share(Some(100 << 30), 1) >> 30, 80);
        assert_eq!(share(Some(4 << 30), 64), limits::SLOT_MEMORY_FLOOR_MB << 20);
        assert_eq!(share(None, 4), limits::SLOT_MEMORY_FLOOR_MB << 20);
    }

    #[test]
    fn the_machines_memory_is_read_in_bytes() {
        assert_eq!(total("MemTotal:       16384 kB\nMemFree:  1 kB\n"), Some(16 << 20));
        assert_eq!(total("MemFree: 1 kB\n"), None);
    }
}
