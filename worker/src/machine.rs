//! What the machine has.

use std::fs;

/// Memory that this process may use, in bytes, as far as it can be told: the machine's, or less where a control group says so
/// (`memory.max` of version 2, `memory.limit_in_bytes` of version 1; proc(5), `MemTotal`).
pub fn memory_bytes() -> Option<u64> {
    let total = read("/proc/meminfo").and_then(|text| mem_total(&text));
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .filter_map(|file| read(file)?.trim().parse().ok());
    total.into_iter().chain(limits).min()
}

fn read(file: &str) -> Option<String> {
    fs::read_to_string(file).ok()
}

fn mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read_from_its_own_figures() {
        assert_eq!(mem_total("MemFree: 1 kB\nMemTotal:       2048 kB\n"), Some(2 << 20));
        assert_eq!(mem_total("MemTotal: lots\n"), None);
        assert!(memory_bytes() > Some(64 << 20));
    }
}
