//! What this kernel and this user can put up, told before the first slot needs it.

use std::fmt;
use std::fs;

use nix::unistd::geteuid;

use super::{Wall, connections, seccomp};

/// Capabilities without which slots have no users of their own: `CHOWN`, `DAC_OVERRIDE` and `FOWNER` to give
/// them directories and to wipe those, `KILL` to sweep, `SETGID` and `SETUID` (capabilities(7)).
const TO_CHANGE_USERS: [u32; 6] = [0, 1, 3, 5, 6, 7];
/// Landlock's ABI since which truncating files is judged, abstract sockets are out of reach, and others
/// cannot be signalled.
const WHOLE_LANDLOCK: i32 = 6;

/// What it means that supervisors cannot make connections.
const UNSUPERVISED: &str = "NOT in force: sockets of the slot's user can be reached (needs Linux 5.9, and \
    kernel.yama.ptrace_scope below 2)";

/// What can be had here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Survey {
    /// Version of Landlock's ABI; 0 where there is none.
    pub landlock: i32,
    /// Whether system calls can be filtered.
    pub seccomp: bool,
    /// Whether supervisors can make their slots' connections.
    pub connections: bool,
    /// Whether slots can have users of their own.
    pub own_users: bool,
    /// Whether this is root, be it with or without root's capabilities.
    pub root: bool,
}

/// Whether the walls hold what an agent may try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strength {
    /// They do.
    Strong,
    /// They do not, for these reasons.
    Weak(Vec<String>),
}

/// Looks at this process and the kernel below it.
pub fn survey() -> Survey {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    Survey {
        landlock: landlock_abi(),
        seccomp: seccomp::knows(libc::SECCOMP_RET_ERRNO),
        connections: connections::is_possible(),
        own_users: may_change_users(&status),
        root: geteuid().is_root(),
    }
}

impl Survey {
    /// The wall that cannot be put up here at all; the others give what the kernel has.
    pub(super) fn missing(self) -> Option<Wall> {
        (!self.connections).then_some(Wall::Connections)
    }

    /// What is missing for agents. One wall may do for another: strangers can neither be signalled nor have
    /// their files cut off, and connections that the supervisor makes reach no abstract socket.
    pub fn strength(self) -> Strength {
        let mut reasons = Vec::new();
        if self.landlock == 0 || (self.landlock < WHOLE_LANDLOCK && !self.own_users) {
            reasons.push(format!("Landlock: {}", self.landlock_shortfall()));
        }
        if !self.connections && (self.landlock < WHOLE_LANDLOCK || !self.own_users) {
            reasons.push(format!("connections: {UNSUPERVISED}"));
        }
        if !self.seccomp {
            reasons.push("seccomp: this kernel does not filter system calls".to_owned());
        }
        if self.root && !self.own_users {
            reasons.push("users: slots would run as root, who owns the system's files".to_owned());
        }
        if reasons.is_empty() { Strength::Strong } else { Strength::Weak(reasons) }
    }

    fn landlock_shortfall(self) -> &'static str {
        match self.landlock {
            0 => "this kernel has none (Linux 6.12 has all, and some are built or started without)",
            1..=2 => {
                "files can be cut off, abstract sockets reached and processes signalled (until Linux 6.12)"
            }
            _ => "abstract sockets can be reached and processes signalled (until Linux 6.12)",
        }
    }
}

impl fmt::Display for Survey {
    /// One wall per line, in the order in which they are put up.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let users = match (self.own_users, self.root) {
            (true, _) => "in force: each slot has a user of its own",
            (false, true) => "NOT in force: root without the capabilities to change users",
            (false, false) => {
                "not in force: all slots share this user (a worker started as root gives each its own)"
            }
        };
        writeln!(f, "users    {users}")?;
        match self.landlock {
            abi if abi >= WHOLE_LANDLOCK => writeln!(f, "landlock in force: ABI {abi}")?,
            abi => writeln!(f, "landlock NOT in full force: ABI {abi}; {}", self.landlock_shortfall())?,
        }
        writeln!(
            f,
            "seccomp  {}",
            if self.seccomp { "in force" } else { "NOT in force: not in this kernel" }
        )?;
        let connections = if self.connections { "in force: made by supervisors only" } else { UNSUPERVISED };
        write!(f, "connect  {connections}")
    }
}

impl Strength {
    /// Whether jobs whose model acts on the machine may run; if not, why, for their clients.
    pub fn agents(&self, allow_weak: bool) -> Result<(), String> {
        match self {
            Self::Weak(reasons) if !allow_weak => Err(format!(
                "the worker's walls are too weak for agents: {} (DROVER_ALLOW_WEAK_WALLS lets them run)",
                reasons.join("; ")
            )),
            _ => Ok(()),
        }
    }
}

#[expect(unsafe_code, reason = "the version is asked for by a call without a wrapper")]
fn landlock_abi() -> i32 {
    const VERSION: libc::c_ulong = 1;
    // SAFETY: with this flag the call takes no attributes and makes nothing.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, VERSION) };
    i32::try_from(abi).unwrap_or(0).max(0)
}

/// By the capabilities that are in effect: root may have been left without them, as in some containers.
fn may_change_users(status: &str) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    TO_CHANGE_USERS.iter().all(|capability| effective >> capability & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Survey = Survey { landlock: 7, seccomp: true, connections: true, own_users: true, root: true };

    fn reasons(survey: Survey) -> usize {
        match survey.strength() {
            Strength::Strong => 0,
            Strength::Weak(reasons) => reasons.len(),
        }
    }

    #[test]
    fn each_missing_wall_is_a_reason() {
        assert_eq!(reasons(ALL), 0);
        assert_eq!(reasons(Survey { root: false, own_users: false, ..ALL }), 0);
        assert_eq!(reasons(Survey { own_users: false, ..ALL }), 1, "a root that may not change users");
        assert_eq!(reasons(Survey { landlock: 0, ..ALL }), 1);
        assert_eq!(reasons(Survey { seccomp: false, ..ALL }), 1);
        let none = Survey { landlock: 0, seccomp: false, connections: false, own_users: false, root: true };
        assert_eq!(reasons(none), 4);
    }

    #[test]
    fn strangers_need_less_to_be_kept_apart() {
        let shared = Survey { root: false, own_users: false, ..ALL };
        assert_eq!(reasons(Survey { landlock: 1, ..ALL }), 0);
        assert_eq!(reasons(Survey { landlock: 5, ..shared }), 1);
        assert_eq!(reasons(Survey { connections: false, ..ALL }), 0);
        assert_eq!(reasons(Survey { connections: false, ..shared }), 1);
        assert_eq!(reasons(Survey { connections: false, landlock: 5, ..ALL }), 1, "abstract sockets");
    }

    #[test]
    fn agents_run_behind_strong_walls_or_where_weak_ones_are_allowed() {
        let weak = Survey { seccomp: false, ..ALL }.strength();
        assert_eq!(ALL.strength().agents(false), Ok(()));
        assert_eq!(weak.agents(true), Ok(()));
        let refused = weak.agents(false).expect_err("refused");
        assert!(refused.contains("seccomp") && refused.contains("DROVER_ALLOW_WEAK_WALLS"), "{refused}");
    }

    #[test]
    fn capabilities_count_and_not_the_name_of_root() {
        assert!(may_change_users("Name:\tx\nCapEff:\t00000000a80425fb\n"), "a container's default set");
        assert!(may_change_users("CapEff:\t000001ffffffffff\n"));
        assert!(!may_change_users("CapEff:\t0000000000000000\n"));
        assert!(!may_change_users("CapEff:\t00000000a804255b\n"), "no KILL");
        assert!(!may_change_users(""));
    }
}
