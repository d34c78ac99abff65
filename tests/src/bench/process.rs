//! What a process takes, as the kernel tells it.

/// Resident memory in MB: (now, at its highest).
pub(super) fn memory_mb(pid: i32) -> (f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of the kernel's");
        let kilobytes: u32 = line.trim_end_matches("kB").trim().parse().expect("a number of kilobytes");
        f64::from(kilobytes) / 1024.0
    };
    (of("VmRSS:"), of("VmHWM:"))
}

/// Processor time used so far, in seconds.
pub(super) fn cpu_s(pid: i32) -> f64 {
    let process = crate::harness::read_process(pid).expect("the process runs");
    f64::from(u32::try_from(process.cpu_ticks).unwrap_or(u32::MAX)) / 100.0
}
