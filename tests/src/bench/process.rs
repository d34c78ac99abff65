//! What a process takes, as the kernel tells it.

use crate::harness::{Cluster, Kin, Process, read_process};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

/// Resident memory in MB: (now, at its highest).
pub(super) fn memory_mb(pid: i32) -> (f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let of = |name| megabytes(&status, name).expect("a line of the kernel's");
    (of("VmRSS:"), of("VmHWM:"))
}

/// Processor time used so far, in seconds.
pub(super) fn cpu_s(pid: i32) -> f64 {
    seconds(read_process(pid).expect("the process runs").cpu_ticks)
}

/// Processor time used so far, in seconds.
#[derive(Clone, Copy)]
pub(super) struct FamilyCpu {
    /// By the api and the workers.
    pub(super) drover_s: f64,
    /// By supervisors and CLIs, those that live and those that are gone.
    pub(super) clis_s: f64,
}

/// What a cluster has used. What the dead have used is on the account of whoever waited for them.
pub(super) fn family_cpu_s(cluster: &mut Cluster) -> FamilyCpu {
    let pids = own_pids(cluster);
    let own: Vec<Kin> = pids.iter().filter_map(|pid| read_process(*pid)).collect();
    let reaped: u64 = own.iter().map(|process| process.reaped_ticks).sum();
    let living =
        cluster.descendants().iter().map(|process| process.cpu_ticks + process.reaped_ticks).sum::<u64>();
    FamilyCpu {
        drover_s: seconds(own.iter().map(|process| process.cpu_ticks).sum()),
        clis_s: seconds(reaped + living),
    }
}

/// Processor time of the processes that this one has started and waited for, in seconds.
pub(super) fn ended_children_cpu_s() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel keeps accounts");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    std::time::Duration::from_micros(u64::try_from(micros).unwrap_or_default()).as_secs_f64()
}

/// Memory of a cluster at one moment, in MB.
#[derive(Clone, Copy)]
pub(super) struct Footprint {
    /// Workers, supervisors and CLIs together; what they share is counted once.
    pub(super) fleet: f64,
    /// The workers alone, resident.
    pub(super) workers: f64,
    /// The api, resident.
    pub(super) api: f64,
}

/// What a cluster takes now.
pub(super) fn footprint(cluster: &mut Cluster) -> Footprint {
    let workers: Vec<i32> = cluster.workers().iter().map(Process::pid).collect();
    let kin = cluster.descendants();
    let fleet = workers.iter().copied().chain(kin.iter().map(|process| process.pid));
    Footprint {
        fleet: fleet.filter_map(proportional_mb).sum(),
        workers: workers.iter().map(|pid| memory_mb(*pid).0).sum(),
        api: memory_mb(cluster.api().pid()).0,
    }
}

fn own_pids(cluster: &mut Cluster) -> Vec<i32> {
    let api = cluster.api().pid();
    cluster.workers().iter().map(Process::pid).chain([api]).collect()
}

/// A process's own memory and its share of what it has in common with others; none if it is just ending.
fn proportional_mb(pid: i32) -> Option<f64> {
    megabytes(&std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?, "Pss:")
}

fn megabytes(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u32 = line.trim_end_matches("kB").trim().parse().ok()?;
    Some(f64::from(kilobytes) / 1024.0)
}

fn seconds(ticks: u64) -> f64 {
    f64::from(u32::try_from(ticks).unwrap_or(u32::MAX)) / 100.0
}
