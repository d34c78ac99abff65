//! Which part of the control groups, if any, the system has handed to this worker.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use nix::unistd::{AccessFlags, access};

/// The controllers that bound a slot.
const WANTED: [&str; 3] = ["memory", "pids", "cpu"];

/// Whether slots can be put into control groups of their own here. Its text is for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey(pub(super) Result<Delegation, String>);

/// A directory of cgroup v2 in which this process may make groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delegation {
    pub(super) path: PathBuf,
    /// Those of the wanted ones that groups in it can have.
    pub(super) controllers: Vec<&'static str>,
}

impl Survey {
    /// Looks without changing anything.
    pub(super) fn look() -> Self {
        Self(Delegation::find())
    }
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(found) if found.controllers.is_empty() => {
                write!(f, "control groups for killing and CPU time only; the watchdog bounds the rest")
            }
            Ok(found) => write!(f, "control groups with {}", found.controllers.join(", ")),
            Err(why) => write!(f, "no control groups ({why}); the watchdog bounds everything"),
        }
    }
}

impl Delegation {
    fn find() -> Result<Self, String> {
        let read = |path| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let path = own_group(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?)
            .ok_or("cgroup v2 is not mounted here")?;
        for needed in [path.clone(), path.join("cgroup.procs"), path.join("cgroup.subtree_control")] {
            access(&needed, AccessFlags::W_OK).map_err(|error| format!("{}: {error}", needed.display()))?;
        }
        let offered = fs::read_to_string(path.join("cgroup.controllers")).unwrap_or_default();
        let is_offered = |wanted: &&str| offered.split_ascii_whitespace().any(|each| each == *wanted);
        Ok(Self { path, controllers: WANTED.into_iter().filter(is_offered).collect() })
    }

    /// Lets groups in here have the controllers. A group with controllers for its children may hold no
    /// processes itself, so this process moves into a group of its own, and back if that is not enough.
    pub(super) fn take_controllers(&mut self) -> Result<(), String> {
        if self.controllers.is_empty() {
            return Ok(());
        }
        let leaf = self.path.join(format!("{WORKER}{}", process::id()));
        let enabled = fs::create_dir(&leaf)
            .and_then(|()| move_to(&leaf))
            .and_then(|()| fs::write(self.path.join("cgroup.subtree_control"), self.enabling()));
        enabled.map_err(|error| {
            self.controllers.clear();
            // Nobody is worse off in the leaf: moving back is tidiness.
            let _ = move_to(&self.path).and_then(|()| fs::remove_dir(&leaf));
            error.to_string()
        })
    }

    fn enabling(&self) -> String {
        self.controllers.iter().flat_map(|each| ["+", each, " "]).collect()
    }
}

/// How the names of groups begin; a process id follows.
pub(super) const WORKER: &str = "drover-worker-";
pub(super) const SLOT: &str = "drover-slot-";

fn move_to(group: &Path) -> std::io::Result<()> {
    fs::write(group.join("cgroup.procs"), process::id().to_string())
}

/// Where the group of this process lies in the file system, from `/proc/self/cgroup` and
/// `/proc/self/mountinfo`.
fn own_group(groups: &str, mounts: &str) -> Option<PathBuf> {
    let name = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let (root, mount) = mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut fields = place.split(' ').skip(3);
        (kind.split(' ').next() == Some("cgroup2")).then_some((fields.next()?, fields.next()?))
    })?;
    let below = Path::new(name).strip_prefix(root).ok()?;
    // A group outside of this process's view of the hierarchy begins with "..".
    below
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)))
        .then(|| Path::new(mount).join(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "20 1 0:5 / /proc rw - proc proc rw\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_own_group_is_found_below_the_mount() {
        let path = |groups: &str| own_group(groups, MOUNTS);
        assert_eq!(path("4:memory:/x\n0::/\n"), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(
            path("0::/system.slice/drover\n"),
            Some("/sys/fs/cgroup/unified/system.slice/drover".into())
        );
        assert_eq!(path("0::/../other\n"), None);
        assert_eq!(path("4:memory:/x\n"), None);
        assert_eq!(own_group("0::/\n", ""), None);
        let inner = MOUNTS.replace("0:38 / /sys", "0:38 /a /sys");
        assert_eq!(own_group("0::/a/b\n", &inner), Some("/sys/fs/cgroup/unified/b".into()));
    }

    #[test]
    fn what_is_in_force_is_told_in_words() {
        let with = |controllers: &[&'static str]| {
            Survey(Ok(Delegation { path: "/g".into(), controllers: controllers.to_vec() })).to_string()
        };
        assert_eq!(with(&["memory", "pids"]), "control groups with memory, pids");
        assert!(with(&[]).contains("the watchdog bounds the rest"));
        assert!(Survey(Err("why".into())).to_string().starts_with("no control groups (why)"));
    }
}
