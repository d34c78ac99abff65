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
    pub fn make(survey: Survey, wishes: &Wishes, cli: Vec<PathBuf>) -> Self {
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

    /// The walls of one slot, which may connect to `ports`, if it needs any.
    pub fn walls(&self, dir: &SlotDir, ports: impl IntoIterator<Item = u16>) -> Walls {
        let walls = Walls::around(dir).reading(self.read.iter().cloned());
        walls.connecting_to(ports).lacking(self.missing)
    }
}

/// The users that slots get, if they can have any: then they must get to the slots below `root` and to `cli`.
pub fn users(
    survey: Survey,
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

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    const STRANGER: User = User { uid: 60_578, gid: 60_578 };

    fn directory() -> tempfile::TempDir {
        let place = tempfile::tempdir().expect("a directory");
        fs::set_permissions(place.path(), Permissions::from_mode(0o711)).expect("set");
        place
    }

    #[test]
    fn a_closed_directory_on_the_way_is_told_with_what_to_do() {
        let place = directory();
        let (closed, target) = (place.path().join("closed"), place.path().join("closed/slots"));
        fs::create_dir_all(&target).expect("created");
        passable(&target, STRANGER, "move").expect("open so far");
        fs::set_permissions(&closed, Permissions::from_mode(0o700)).expect("set");
        let told = passable(&target, STRANGER, "move it").expect_err("closed").to_string();
        let command = format!("chmod o+x {}", closed.display());
        assert!(
            told.contains(&command) && told.contains("(mode 700)") && told.ends_with("move it"),
            "{told}"
        );
    }

    #[test]
    fn a_way_that_is_not_there_yet_is_judged_as_far_as_it_is() {
        let place = directory();
        passable(&place.path().join("not/yet"), STRANGER, "move").expect("it will be made passable");
        fs::set_permissions(place.path(), Permissions::from_mode(0o700)).expect("set");
        assert!(passable(&place.path().join("not/yet"), STRANGER, "move").is_err());
    }

    #[test]
    fn rights_are_those_of_the_owner_the_group_or_the_rest() {
        let place = directory();
        let file = place.path().join("file");
        fs::write(&file, "").expect("written");
        fs::set_permissions(&file, Permissions::from_mode(0o750)).expect("set");
        let data = file.metadata().expect("there");
        let owner = User { uid: data.uid(), gid: u32::MAX };
        let group = User { uid: u32::MAX, gid: data.gid() };
        assert_eq!([owner, group, STRANGER].map(|user| lacks(&file, user, 0o5)), [None, None, Some(0o750)]);
    }
}
