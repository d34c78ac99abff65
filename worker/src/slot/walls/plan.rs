//! Which walls the slots of a worker get, decided when it starts.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::super::directory::SlotDir;
use super::super::users::{UserRange, Users};
use super::{Strength, Survey, User, Wall, Walls};

/// What an operator says about walls.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// The users for slots, if the worker may give them any.
    pub users: UserRange,
    /// Files and directories that slots may read besides the system and the CLI.
    pub read: Vec<PathBuf>,
    /// Whether agents may run behind weak walls.
    pub allow_weak: bool,
}

/// What every slot of this worker gets.
#[derive(Debug)]
pub struct Plan {
    /// Whether jobs whose model acts on the machine may run; if not, why.
    pub agents: Result<(), String>,
    read: Vec<PathBuf>,
    missing: Option<Wall>,
}

/// What slots cannot be given, in a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A user of its own would not get to what it needs.
    #[error(
        "slots have users of their own, who may not {need} {closed} (mode {mode:o}) on the way to {target}: \
         `chmod o+{bits} {closed}`, or {remedy}"
    )]
    Closed {
        /// What they need to do: `pass through` or `run`.
        need: &'static str,
        /// Where they are stopped.
        closed: PathBuf,
        /// Its mode.
        mode: u32,
        /// What is missing in it.
        bits: &'static str,
        /// Where they have to get.
        target: PathBuf,
        /// How to have it elsewhere.
        remedy: &'static str,
    },
    /// There is no place for the locks of slots' users.
    #[error("cannot keep account of the users of slots in /run/drover/users: {0}")]
    Users(io::Error),
}

impl Plan {
    /// Decides, and tells the log of every wall that is missing.
    pub fn make(survey: &Survey, wishes: &Wishes, cli: Vec<PathBuf>) -> Self {
        let strength = survey.strength();
        if let Strength::Weak(reasons) = &strength {
            for reason in reasons {
                tracing::warn!("a wall around slots is missing: {reason}");
            }
        }
        let agents = strength.agents(wishes.allow_weak);
        let read = cli.into_iter().chain(wishes.read.iter().cloned()).collect();
        Self { agents, read, missing: survey.missing() }
    }

    /// The walls of one slot, which may connect to `port` if it needs one.
    pub fn walls(&self, dir: &SlotDir, port: Option<u16>) -> Walls {
        let walls = Walls::around(dir).reading(self.read.iter().cloned());
        walls.connecting_to(port).lacking(self.missing)
    }
}

/// The users that slots get, if they can have any: then they must get to the slots below `root` and to `cli`.
pub fn users(
    survey: &Survey,
    wishes: &Wishes,
    root: &Path,
    cli: &[PathBuf],
) -> Result<Option<Users>, PlanError> {
    if !survey.own_users {
        return Ok(None);
    }
    let user = wishes.users.any();
    let elsewhere = "set DROVER_DATA_DIR (or PROJECT_ROOT) to a place that everybody may pass through";
    passable(root, user, elsewhere)?;
    for file in cli {
        let elsewhere = "set CLAUDE_BINARY_PATH to a Claude CLI that everybody may run";
        passable(file.parent().unwrap_or(Path::new("/")), user, elsewhere)?;
        if let Some(mode) = lacks(file, user, 0o5) {
            return Err(closed("run", file, mode, "rx", file, elsewhere));
        }
    }
    Users::open(wishes.users).map(Some).map_err(PlanError::Users)
}

/// Finds the first directory down to `target` that `user` cannot pass.
fn passable(target: &Path, user: User, remedy: &'static str) -> Result<(), PlanError> {
    let whole = target.canonicalize().unwrap_or_else(|_| target.to_owned());
    let mut ancestors: Vec<&Path> = whole.ancestors().collect();
    ancestors.reverse();
    for directory in ancestors {
        if let Some(mode) = lacks(directory, user, 0o1) {
            return Err(closed("pass through", directory, mode, "x", target, remedy));
        }
    }
    Ok(())
}

/// The mode of a file that does not give `user` these rights; `None` where it does, or is not there yet.
fn lacks(path: &Path, user: User, rights: u32) -> Option<u32> {
    let data = path.metadata().ok()?;
    let mode = data.permissions().mode() & 0o7777;
    let shift = match (data.uid() == user.uid, data.gid() == user.gid) {
        (true, _) => 6,
        (_, true) => 3,
        _ => 0,
    };
    (mode >> shift & rights != rights).then_some(mode)
}

fn closed(
    need: &'static str,
    closed: &Path,
    mode: u32,
    bits: &'static str,
    target: &Path,
    remedy: &'static str,
) -> PlanError {
    let (closed, target) = (closed.to_owned(), target.to_owned());
    PlanError::Closed { need, closed, mode, bits, target, remedy }
}
