//! Whether and how agent jobs may run where the worker is root. They run with permissions skipped, which the
//! CLI refuses root; chat jobs have no tools and are refused to nobody.

use std::fmt;
use std::fs;

use drover_shared::cli::build::{Build, Feature, Version};

use super::patch::{self, Source};
use super::probe::Identity;
use super::{Claude, Settings};

/// What an operator wants (`DROVER_ROOT_POLICY`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum RootPolicy {
    /// The first of the others that is possible.
    #[default]
    Auto,
    /// Slots run as unprivileged users.
    User,
    /// The CLI is told by its environment that it is walled in; not known to versions before 1.0.44.
    Env,
    /// A private copy of the CLI has the check edited out; JavaScript builds only.
    Patch,
}

/// What is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootMode {
    /// Slots run as users who are not root; as the worker's own, where that is not root.
    User,
    /// Slots have `IS_SANDBOX=1` in their environment.
    Env,
    /// [`Claude::program`] is the patched copy.
    Patch,
}

/// Why agent jobs cannot run; for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootRefusal {
    /// No unprivileged users to be had.
    #[error(
        "this worker is root but may not change users (CAP_SETUID, CAP_SETGID or CAP_CHOWN is missing, or its \
         user namespace has no other users)"
    )]
    NoUsers,
    /// Too old for the variable.
    #[error("Claude CLI {0} does not honour IS_SANDBOX as root; it is honoured since {1}")]
    NotHonoured(Version, Version),
    /// Nobody edits the executable.
    #[error("the native Claude CLI is never edited; choose user or env")]
    NativeIsNeverEdited,
    /// It is not known which file a wrapper runs.
    #[error("a wrapper script cannot be patched; set CLAUDE_BINARY_PATH to the cli.js itself")]
    Wrapper,
    /// The patch failed.
    #[error("{0}")]
    Patch(String),
}

/// What the process is allowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it is root.
    pub is_root: bool,
    /// Whether it may start processes as other users and give files to them.
    pub may_change_users: bool,
}

/// The decision, before anything is patched.
pub fn decide(
    policy: RootPolicy,
    standing: Standing,
    build: Build,
    version: Version,
) -> Result<RootMode, RootRefusal> {
    if !standing.is_root {
        return Ok(RootMode::User);
    }
    let user = || standing.may_change_users.then_some(RootMode::User).ok_or(RootRefusal::NoUsers);
    let env = || match Feature::RootInSandbox.since(build) {
        Some(since) if version < since => Err(RootRefusal::NotHonoured(version, since)),
        _ => Ok(RootMode::Env),
    };
    let patch = || match build {
        Build::JavaScript => Ok(RootMode::Patch),
        Build::Native => Err(RootRefusal::NativeIsNeverEdited),
    };
    match policy {
        RootPolicy::User => user(),
        RootPolicy::Env => env(),
        RootPolicy::Patch => patch(),
        RootPolicy::Auto => user().or_else(|_| env()).or_else(|too_old| patch().map_err(|_| too_old)),
    }
}

/// Decides, and makes the patched copy if that was decided.
pub(super) async fn arrange(found: Identity, settings: &Settings) -> Claude {
    finish(found, settings, async |source| patch::patched_copy(source, settings).await.map(Some)).await
}

/// Decides, and uses the patched copy if it is there.
pub(super) async fn look(found: Identity, settings: &Settings) -> Claude {
    finish(found, settings, async |source| patch::look(source, settings).await).await
}

async fn finish(
    found: Identity,
    settings: &Settings,
    copy: impl AsyncFnOnce(&Source) -> Result<Option<std::path::PathBuf>, patch::PatchError>,
) -> Claude {
    let Identity { program, interpreter, build, version } = found;
    let root = decide(settings.root_policy, settings.standing, build, version);
    let mut claude = Claude { program, interpreter, build, version, root };
    if claude.root != Ok(RootMode::Patch) {
        return claude;
    }
    let Some(node) = claude.interpreter.clone() else {
        return Claude { root: Err(RootRefusal::Wrapper), ..claude };
    };
    match copy(&Source { script: claude.program.clone(), node, version }).await {
        Ok(copy) => claude.program = copy.unwrap_or(claude.program),
        Err(error) => claude.root = Err(RootRefusal::Patch(error.to_string())),
    }
    claude
}

impl Standing {
    /// This process' own.
    pub fn of_this_process() -> Self {
        let read = |name| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let is_root = nix::unistd::geteuid().is_root();
        let may_change_users = may_change_users(&read("status")) && has_other_users(&read("uid_map"));
        Self { is_root, may_change_users }
    }
}

/// By the capabilities in force: to change user and groups, and to give away a file.
fn may_change_users(status: &str) -> bool {
    const CAP_CHOWN: u64 = 1 << 0;
    const CAP_SETGID: u64 = 1 << 6;
    const CAP_SETUID: u64 = 1 << 7;
    const NEEDED: u64 = CAP_CHOWN | CAP_SETGID | CAP_SETUID;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok());
    capabilities.is_some_and(|capabilities| capabilities & NEEDED == NEEDED)
}

/// Root of a user namespace may be alone in it (`user_namespaces(7)`).
fn has_other_users(uid_map: &str) -> bool {
    let count = |line: &str| line.split_whitespace().nth(2).and_then(|count| count.parse::<u64>().ok());
    uid_map.lines().filter_map(count).sum::<u64>() > 1
}

impl fmt::Display for RootMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user: agent slots do not run as root",
            Self::Env => "env: agent slots are told by IS_SANDBOX=1 that they are walled in",
            Self::Patch => "patch: slots run a private patched copy",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RootPolicy::{Auto, Env, Patch, User};

    const PLAIN: Standing = Standing { is_root: false, may_change_users: false };
    const ROOT: Standing = Standing { is_root: true, may_change_users: true };
    const CONFINED: Standing = Standing { is_root: true, may_change_users: false };

    fn decided(policy: RootPolicy, standing: Standing, build: Build, version: &str) -> String {
        let version = Version::parse(version).expect("a version");
        match decide(policy, standing, build, version) {
            Ok(mode) => format!("{mode:?}"),
            Err(RootRefusal::NotHonoured(..)) => "too old".to_owned(),
            Err(refusal) => format!("{refusal:?}"),
        }
    }

    #[test]
    fn decisions_follow_the_table() {
        use Build::{JavaScript, Native};
        let table = [
            (Auto, PLAIN, JavaScript, "1.0.30", "User"),
            (Patch, PLAIN, Native, "2.1.330", "User"),
            (Env, PLAIN, JavaScript, "1.0.30", "User"),
            (Auto, ROOT, Native, "2.1.330", "User"),
            (Auto, ROOT, JavaScript, "1.0.30", "User"),
            (Auto, CONFINED, Native, "2.1.330", "Env"),
            (Auto, CONFINED, JavaScript, "2.1.112", "Env"),
            (Auto, CONFINED, JavaScript, "2.0.77", "Env"),
            (Auto, CONFINED, JavaScript, "1.0.44", "Env"),
            (Auto, CONFINED, JavaScript, "1.0.43", "Patch"),
            (Auto, CONFINED, Native, "1.0.43", "too old"),
            (User, ROOT, Native, "2.1.330", "User"),
            (User, CONFINED, Native, "2.1.330", "NoUsers"),
            (User, CONFINED, JavaScript, "1.0.30", "NoUsers"),
            (Env, ROOT, Native, "2.1.330", "Env"),
            (Env, ROOT, JavaScript, "1.0.43", "too old"),
            (Patch, ROOT, JavaScript, "2.1.112", "Patch"),
            (Patch, CONFINED, JavaScript, "1.0.30", "Patch"),
            (Patch, ROOT, Native, "2.1.330", "NativeIsNeverEdited"),
        ];
        for (policy, standing, build, version, expected) in table {
            let case = format!("{policy:?}, {standing:?}, {build:?} {version}");
            assert_eq!(decided(policy, standing, build, version), expected, "{case}");
        }
    }

    #[test]
    fn changing_users_takes_three_capabilities() {
        let status = |capabilities: &str| format!("Name:\tworker\nCapEff:\t{capabilities}\nCapBnd:\t0\n");
        assert!(may_change_users(&status("000001ffffffffff")));
        // Docker's default set.
        assert!(may_change_users(&status("00000000a80425fb")));
        assert!(may_change_users(&status("00000000000000c1")));
        for lacking in ["00000000000000c0", "0000000000000081", "0000000000000041", "0", "nonsense"] {
            assert!(!may_change_users(&status(lacking)), "{lacking}");
        }
        assert!(!may_change_users(""));
    }

    #[test]
    fn root_of_a_namespace_without_users_cannot_change_users() {
        assert!(has_other_users("         0          0 4294967295\n"));
        assert!(has_other_users("0 1000 1\n1 100000 65536\n"));
        assert!(!has_other_users("         0       1000          1\n"));
        assert!(!has_other_users(""));
    }
}
