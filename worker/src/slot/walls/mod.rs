//! What stands between a CLI and the machine, put up in the forked child just before it becomes the CLI.
//!
//! In this order, because each step needs what later ones take away:
//!
//! 1. a session of its own, so that no terminal and no group signal reaches it;
//! 2. default signal dispositions and an empty mask: the supervisor's are not the CLI's;
//! 3. no descriptor but 0, 1 and 2 survives the exec;
//! 4. resource limits;
//! 5. the bounding set emptied and the secure bits locked, which needs a capability that 6 takes away;
//! 6. groups and user;
//! 7. every capability dropped, also where the user stays the same;
//! 8. the parent-death signal, which the kernel clears when the user changes;
//! 9. no new privileges, which 10 and 11 need;
//! 10. Landlock: files, TCP ports, abstract sockets and signals to others;
//! 11. seccomp: sockets, namespaces, tracing and the rest of the kernel that no tool of an agent needs;
//! 12. every connection is made by the supervisor, and with a port it decides who listens: see `connections`.
//!
//! 1, 2, 3, 8 and an end to core dumps are for every process; the others for those with [`Walls`].

mod basics;
mod calls;
mod connections;
mod files;
mod identity;
mod plan;
mod rlimits;
mod seccomp;
mod survey;

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use landlock::RulesetCreated;
use nix::unistd::Pid;
use seccompiler::BpfProgram;
use serde::{Deserialize, Serialize};

use super::directory::SlotDir;

pub(super) use connections::Connections;
pub use plan::{Plan, PlanError, Wishes, users};
pub use rlimits::Rlimits;
pub use survey::{Strength, Survey, survey};

/// What a process may still do once its walls are up. Data, so that it can be sent to the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walls {
    /// The user that the process becomes; `None` where the worker may not change users.
    pub user: Option<User>,
    /// Directories in which it may do anything to files. They must exist.
    pub write: Vec<PathBuf>,
    /// Files and directories that it may read and execute besides the system's own; missing ones are skipped.
    pub read: Vec<PathBuf>,
    /// The TCP ports of 127.0.0.1 that it may connect to; without one there are no IP sockets at all.
    pub ports: Vec<u16>,
    /// Its resource limits.
    pub limits: Rlimits,
    /// Walls that are left out: what the kernel lacks, and in tests whatever proves what a wall is for.
    pub without: Vec<Wall>,
}

/// A user that a slot has for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// A step of putting up walls, for errors and for leaving one out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wall {
    /// Session, signals, descriptors, umask.
    Basics,
    /// Resource limits.
    Rlimits,
    /// Groups and user.
    User,
    /// Capabilities.
    Capabilities,
    /// No new privileges.
    NoNewPrivileges,
    /// Landlock.
    Landlock,
    /// Seccomp.
    Seccomp,
    /// Connections made by the supervisor, and listening by its leave.
    Connections,
}

impl Wall {
    const ALL: [Self; 8] = [
        Self::Basics,
        Self::Rlimits,
        Self::User,
        Self::Capabilities,
        Self::NoNewPrivileges,
        Self::Landlock,
        Self::Seccomp,
        Self::Connections,
    ];

    /// Its number, which fits through the pipe that a failing child has.
    pub(super) fn number(self) -> u8 {
        self as u8
    }

    /// The wall with this number.
    pub(super) fn numbered(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl Walls {
    /// The walls of a slot: it may write where it lives, and nothing else but read the system.
    pub fn around(dir: &SlotDir) -> Self {
        let user = dir.user();
        Self {
            user,
            write: vec![dir.path().to_owned()],
            read: Vec::new(),
            ports: Vec::new(),
            // Processes are counted per user, so only a user of its own can be given a number of them.
            limits: Rlimits::of_a_slot(user.is_some()),
            without: Vec::new(),
        }
    }

    /// Lets it read and execute these too.
    #[must_use]
    pub fn reading(mut self, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        self.read.extend(paths);
        self
    }

    /// Lets it connect to these TCP ports.
    #[must_use]
    pub fn connecting_to(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports.extend(ports);
        self
    }

    /// Leaves a wall out.
    #[must_use]
    pub fn lacking(mut self, wall: Option<Wall>) -> Self {
        self.without.extend(wall);
        self
    }

    fn has_port(&self) -> bool {
        !self.ports.is_empty()
    }

    fn has(&self, wall: Wall) -> bool {
        !self.without.contains(&wall)
    }
}

/// Walls as far as they can be made before the fork: there, a failure can still be told in full.
pub(super) struct Prepared {
    walls: Option<Walls>,
    files: Option<RulesetCreated>,
    programs: Vec<BpfProgram>,
}

/// What could not be put up, and why.
pub(super) type Fallen = (Wall, io::Error);

impl Prepared {
    pub(super) fn of(walls: Option<&Walls>) -> Result<Self, Fallen> {
        let Some(walls) = walls else { return Ok(Self { walls: None, files: None, programs: Vec::new() }) };
        let files = walls.has(Wall::Landlock).then(|| files::ruleset(walls)).transpose();
        let programs = if walls.has(Wall::Seccomp) {
            seccomp::programs(walls.has_port(), walls.has(Wall::Connections))
        } else {
            Ok(Vec::new())
        };
        Ok(Self {
            walls: Some(walls.clone()),
            files: files.map_err(|error| (Wall::Landlock, error))?,
            programs: programs.map_err(|error| (Wall::Seccomp, error))?,
        })
    }

    /// Puts up every wall, in the order at the top of this module. Called in the forked child of a process
    /// with one thread, which may allocate: nobody else held a lock at the fork.
    /// Answers with the listener at which the process' connections are asked for, if they are.
    pub(super) fn put_up(&mut self, supervisor: Pid) -> Result<Option<OwnedFd>, Fallen> {
        let at = |wall: Wall| move |error: io::Error| (wall, error);
        basics::put_up().map_err(at(Wall::Basics))?;
        if let Some(walls) = &self.walls {
            if walls.has(Wall::Rlimits) {
                walls.limits.apply().map_err(at(Wall::Rlimits))?;
            }
            if walls.has(Wall::Capabilities) {
                identity::bound_capabilities().map_err(at(Wall::Capabilities))?;
            }
            if walls.has(Wall::User) {
                identity::become_user(walls.user).map_err(at(Wall::User))?;
            }
            if walls.has(Wall::Capabilities) {
                identity::drop_capabilities().map_err(at(Wall::Capabilities))?;
            }
        }
        basics::die_with(supervisor).map_err(at(Wall::Basics))?;
        if self.walls.as_ref().is_some_and(|walls| walls.has(Wall::NoNewPrivileges)) {
            identity::renounce_privileges().map_err(at(Wall::NoNewPrivileges))?;
        }
        if let Some(files) = self.files.take() {
            files::enforce(files).map_err(at(Wall::Landlock))?;
        }
        seccomp::apply(&self.programs).map_err(at(Wall::Seccomp))?;
        let supervised = self.walls.as_ref().filter(|walls| walls.has(Wall::Connections));
        let installed = supervised.map(|walls| connections::install(walls.has_port()));
        installed.transpose().map_err(at(Wall::Connections))
    }
}
