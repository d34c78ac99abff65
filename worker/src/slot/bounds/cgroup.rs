//! A control group (cgroup v2) for each supervised process, where the system delegates them.
//!
//! The worker makes the group; the forked child puts itself into it, while it is still privileged and before
//! it becomes the CLI, so that nothing it ever spawns is outside. The supervisor stays outside, or killing the
//! group would kill it too.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::Duration;

use drover_shared::schema::limits;
use uuid::Uuid;

use super::Bounds;
use super::delegation::{Delegation, SLOT, Survey, WORKER};

/// Whether control groups are in force for slots here.
pub fn survey() -> Survey {
    Survey::look()
}

/// Makes groups for this worker's processes.
#[derive(Debug)]
pub struct Groups {
    place: Delegation,
}

impl Groups {
    /// Takes what is delegated, and says what came of it. This process may move into a group of its own, which
    /// its children inherit: call it before there are any.
    pub fn set_up() -> (Option<Self>, Survey) {
        let groups = Survey::look().0.and_then(Self::within);
        match groups {
            Ok(groups) => {
                let survey = Survey(Ok(groups.place.clone()));
                (Some(groups), survey)
            }
            Err(why) => (None, Survey(Err(why))),
        }
    }

    fn within(mut place: Delegation) -> Result<Self, String> {
        remove_those_of_the_dead(&place.path);
        if let Err(error) = place.take_controllers() {
            tracing::warn!(error, "the memory, pids and cpu controllers cannot be used for slots");
        }
        let groups = Self { place };
        let tried = groups.mint().map_err(|error| error.to_string())?;
        if tried.0.join("cgroup.kill").exists() {
            Ok(groups)
        } else {
            Err("the kernel is older than 5.14".into())
        }
    }

    /// A group for one process; `None`, with a warning, if the system refuses.
    pub(in crate::slot) fn make(&self, bounds: &Bounds) -> Option<Group> {
        let made = self.mint().and_then(|group| {
            for (file, value) in settings(bounds, &self.place.controllers) {
                fs::write(group.0.join(file), value)?;
            }
            Ok(group)
        });
        made.inspect_err(|error| tracing::warn!(%error, "no control group for a slot")).ok()
    }

    fn mint(&self) -> io::Result<Group> {
        let random = Uuid::new_v4().simple();
        let path = self.place.path.join(format!("{SLOT}{}-{random}", process::id()));
        fs::create_dir(&path)?;
        Ok(Group(path))
    }
}

/// What is written into a new group. The kernel counts cached files too, and it kills without a word, so the
/// watchdog comes first and the kernel's bound lies a quarter above it.
fn settings(bounds: &Bounds, controllers: &[&str]) -> Vec<(&'static str, String)> {
    let memory_bytes = bounds.memory_bytes.saturating_add(bounds.memory_bytes / 4);
    let all = [
        ("memory", "memory.max", memory_bytes.to_string()),
        ("memory", "memory.oom.group", "1".to_owned()),
        ("pids", "pids.max", bounds.threads().to_string()),
        ("cpu", "cpu.weight", limits::SLOT_CPU_WEIGHT.to_string()),
    ];
    let has = |controller| controllers.contains(&controller);
    all.into_iter().filter(|(of, ..)| has(of)).map(|(_, file, value)| (file, value)).collect()
}

/// One process's group, removed when dropped.
#[derive(Debug)]
pub(in crate::slot) struct Group(PathBuf);

impl Group {
    pub(in crate::slot) fn path(&self) -> &Path {
        &self.0
    }

    /// CPU time that everything in it has used, in milliseconds.
    pub(super) fn cpu_ms(&self) -> Option<u64> {
        Some(number(&fs::read_to_string(self.0.join("cpu.stat")).ok()?, "usage_usec")? / 1_000)
    }

    /// Whether the kernel killed in it because of its memory.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.0.join("memory.events")).unwrap_or_default();
        number(&events, "oom_kill").is_some_and(|kills| kills > 0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        kill(&self.0);
        for _ in 0..limits::WIPE_ATTEMPTS {
            match fs::remove_dir(&self.0) {
                // What was killed is still leaving.
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    thread::sleep(Duration::from_millis(2));
                }
                _ => return,
            }
        }
        tracing::warn!(group = %self.0.display(), "a control group could not be removed; the next worker tries again");
    }
}

/// Puts this process into the group at `path`.
pub(in crate::slot) fn join(path: &Path) -> io::Result<()> {
    fs::write(path.join("cgroup.procs"), "0")
}

/// Kills everything in the group at `path` in one blow.
pub(in crate::slot) fn kill(path: &Path) {
    // It is the first blow and not the only one.
    let _ = fs::write(path.join("cgroup.kill"), "1");
}

fn number(file: &str, name: &str) -> Option<u64> {
    file.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// Groups whose worker is gone are empty, or become so at once, since its supervisors end with it. Those of this
/// process id are of an earlier process: a container hands out the same ids at each start.
fn remove_those_of_the_dead(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner =
            name.to_str().and_then(|name| name.strip_prefix(SLOT).or_else(|| name.strip_prefix(WORKER)));
        let pid = owner.and_then(|owner| owner.split('-').next()?.parse::<u32>().ok());
        let is_gone = |pid| pid == process::id() || !Path::new(&format!("/proc/{pid}")).exists();
        if pid.is_some_and(is_gone) {
            // One that is not empty yet is left to the next worker.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { memory_bytes: 400, processes: 10, cpu_secs: 60, disk_bytes: 1 << 20 };

    #[test]
    fn a_group_is_told_only_what_its_controllers_know() {
        assert_eq!(settings(&BOUNDS, &[]), []);
        assert_eq!(settings(&BOUNDS, &["pids"]), [("pids.max", "320".to_owned())]);
        let told = settings(&BOUNDS, &["memory", "cpu"]);
        assert_eq!(told[0], ("memory.max", "500".to_owned()));
        assert_eq!(told[2].0, "cpu.weight");
    }

    #[test]
    fn numbers_are_found_by_their_whole_name() {
        let events = "oom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!(number(events, "oom_kill"), Some(2));
        assert_eq!(number(events, "oom"), Some(3));
        assert_eq!(number(events, "kill"), None);
    }

    #[test]
    fn what_a_dead_worker_left_is_removed_and_nothing_else() {
        let place = tempfile::tempdir().expect("a directory");
        let alive = format!("{SLOT}{}-0", nix::unistd::getppid());
        let earlier = format!("{SLOT}{}-0", process::id());
        for name in [
            alive.as_str(),
            earlier.as_str(),
            "drover-slot-4194999-7",
            "drover-worker-4194999",
            "somebody-else",
            "drover-slot-x",
        ] {
            fs::create_dir(place.path().join(name)).expect("created");
        }
        remove_those_of_the_dead(place.path());
        let mut left: Vec<_> = fs::read_dir(place.path()).expect("a directory").flatten().collect();
        left.sort_by_key(fs::DirEntry::file_name);
        let left: Vec<_> =
            left.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        assert_eq!(left, [alive.as_str(), "drover-slot-x", "somebody-else"]);
    }
}
