//! Which bound was broken.

use std::fmt;

use drover_shared::schema::limits;
use drover_shared::workspace::Used;

use super::Bounds;

/// A bound that a process went past; its text completes a sentence about the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// Memory, in bytes.
    Memory(u64),
    /// Processes at one time.
    Processes(u32),
    /// Threads at one time.
    Threads(u64),
    /// CPU time, in seconds.
    Cpu(u64),
    /// Disk, in bytes.
    Disk(u64),
    /// Files and directories.
    Files(usize),
    /// Directories in directories.
    Depth(usize),
}

/// What a process tree takes at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    pub(super) memory_bytes: u64,
    pub(super) processes: usize,
    pub(super) threads: u64,
    pub(super) cpu_ms: u64,
    pub(super) disk: Used,
}

impl Breach {
    /// The first bound that `taken` is past. Processes come first: a tree that is too large is not measured
    /// to its end.
    pub(super) fn of(taken: &Taken, bounds: &Bounds) -> Option<Self> {
        let broken = [
            (taken.processes > bounds.processes as usize, Self::Processes(bounds.processes)),
            (taken.threads > bounds.threads(), Self::Threads(bounds.threads())),
            (taken.memory_bytes > bounds.memory_bytes, Self::Memory(bounds.memory_bytes)),
            (taken.cpu_ms > bounds.cpu_secs.saturating_mul(1_000), Self::Cpu(bounds.cpu_secs)),
            (taken.disk.bytes > bounds.disk_bytes, Self::Disk(bounds.disk_bytes)),
            (taken.disk.files > limits::SLOT_FILES, Self::Files(limits::SLOT_FILES)),
            (taken.disk.too_deep, Self::Depth(limits::SLOT_DEPTH)),
        ];
        broken.into_iter().find_map(|(is_broken, breach)| is_broken.then_some(breach))
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(bytes) => write!(f, "it used more than {} MB of memory", bytes >> 20),
            Self::Processes(most) => write!(f, "it ran more than {most} processes at once"),
            Self::Threads(most) => write!(f, "it ran more than {most} threads at once"),
            Self::Cpu(secs) => write!(f, "it used more than {secs} s of CPU time"),
            Self::Disk(bytes) => write!(f, "it filled more than {} MB of disk", bytes >> 20),
            Self::Files(most) => write!(f, "it made more than {most} files"),
            Self::Depth(most) => write!(f, "it nested directories more than {most} deep"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { memory_bytes: 2 << 30, processes: 10, cpu_secs: 60, disk_bytes: 100 << 20 };

    fn told(change: impl FnOnce(&mut Taken)) -> Option<String> {
        let mut taken = Taken::default();
        change(&mut taken);
        Breach::of(&taken, &BOUNDS).map(|breach| breach.to_string())
    }

    #[test]
    fn each_bound_is_told_in_its_own_words_and_only_past_it() {
        assert_eq!(told(|taken| taken.memory_bytes = 2 << 30), None);
        let memory = told(|taken| taken.memory_bytes = (2 << 30) + 1);
        assert_eq!(memory.as_deref(), Some("it used more than 2048 MB of memory"));
        assert_eq!(told(|taken| taken.processes = 10), None);
        let processes = told(|taken| taken.processes = 11);
        assert_eq!(processes.as_deref(), Some("it ran more than 10 processes at once"));
        let threads = told(|taken| taken.threads = 321);
        assert_eq!(threads.as_deref(), Some("it ran more than 320 threads at once"));
        assert_eq!(told(|taken| taken.cpu_ms = 60_000), None);
        let cpu = told(|taken| taken.cpu_ms = 60_001);
        assert_eq!(cpu.as_deref(), Some("it used more than 60 s of CPU time"));
        let disk = told(|taken| taken.disk.bytes = 101 << 20);
        assert_eq!(disk.as_deref(), Some("it filled more than 100 MB of disk"));
        assert!(told(|taken| taken.disk.files = limits::SLOT_FILES + 1).is_some());
        assert!(told(|taken| taken.disk.too_deep = true).is_some());
    }
}
