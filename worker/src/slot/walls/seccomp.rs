//! Seccomp: which system calls are made at all.
//!
//! A list of what is forbidden and not of what is allowed: an agent runs compilers, interpreters and whatever
//! else a project needs. For sockets, where a way out is at stake, it is the other way round.

use std::collections::BTreeMap;
use std::io;

use libc::{c_int, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

use super::calls::{FORBIDDEN, FORBIDDEN_HERE};

/// The bits of a socket's type that tell the type; the others are flags (socket(2)).
const SOCKET_TYPE_MASK: c_int = 0xf;
/// See `ioprio_set(2)`.
const IOPRIO_WHO_PROCESS: c_int = 1;
/// Every namespace that clone(2) makes, each a bit of its first argument.
const NAMESPACES: [c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Something about one argument of a call.
type Condition = (u8, SeccompCmpOp, u64);

/// The programs to be installed, one after the other. A call of another architecture than this one ends the
/// process, so that no list is bypassed by other numbers. `supervised` where the supervisor makes connections.
pub(super) fn programs(has_port: bool, supervised: bool) -> io::Result<Vec<BpfProgram>> {
    // The C library falls back to clone, whose flags can be judged: clone3 hides them in memory.
    let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let programs = [compile(unknown, libc::ENOSYS)?, compile(forbidden(has_port, supervised)?, libc::EPERM)?];
    Ok(foreign_numbers().into_iter().chain(programs).collect())
}

/// Installs them.
pub(super) fn apply(programs: &[BpfProgram]) -> io::Result<()> {
    programs.iter().try_for_each(|program| apply_filter(program).map_err(io::Error::other))
}

/// Whether this kernel knows an action of filters.
#[expect(unsafe_code, reason = "seccomp has no safe wrapper")]
pub(super) fn knows(action: u32) -> bool {
    // SAFETY: reads one word, which lives until the call returns.
    let known =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    known == 0
}

fn compile(rules: Rules, errno: c_int) -> io::Result<BpfProgram> {
    let here = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let deny = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, deny, here).map_err(io::Error::other)?;
    filter.try_into().map_err(io::Error::other)
}

fn forbidden(has_port: bool, supervised: bool) -> io::Result<Rules> {
    let mut rules: Rules = FORBIDDEN.iter().chain(&FORBIDDEN_HERE).map(|call| (*call, Vec::new())).collect();
    let namespaces = NAMESPACES.map(|flag| vec![bits(0, flag, flag)]);
    rules.insert(libc::SYS_clone, any_of(namespaces)?);
    rules.insert(libc::SYS_socket, any_of(sockets(has_port))?);
    rules.insert(libc::SYS_socketpair, any_of(pairs())?);
    rules.extend(reaching_for_others()?);
    if has_port {
        rules.extend(fast_open()?);
        // A socket that listens without having been bound gets a port all the same, past Landlock. The supervisor
        // tells such sockets from others; without one nothing listens.
        if !supervised {
            rules.insert(libc::SYS_listen, Vec::new());
        }
    }
    Ok(rules)
}

/// What no socket may be: of another family than Unix; with a port, IP over TCP is let through too. Datagrams
/// are sent to an address with every call, so that no wall sees a connection being made.
fn sockets(with_ip: bool) -> Vec<Vec<Condition>> {
    let families: &[c_int] = if with_ip { &[libc::AF_INET, libc::AF_INET6] } else { &[] };
    let other = [libc::AF_UNIX].iter().chain(families).map(|family| is_not(0, *family)).collect();
    let mut denied = vec![other];
    for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW] {
        denied.push(vec![is(0, libc::AF_UNIX), bits(1, SOCKET_TYPE_MASK, kind)]);
    }
    for &family in families {
        let kinds = (0..=SOCKET_TYPE_MASK).filter(|kind| *kind != libc::SOCK_STREAM);
        denied.extend(kinds.map(|kind| vec![is(0, family), bits(1, SOCKET_TYPE_MASK, kind)]));
        // Landlock judges TCP and not its relatives, such as multipath TCP.
        denied.push(vec![is(0, family), is_not(2, 0), is_not(2, libc::IPPROTO_TCP)]);
    }
    denied
}

/// One end of a pair of datagram sockets can be sent from to any address.
fn pairs() -> Vec<Vec<Condition>> {
    let kinds = [libc::SOCK_DGRAM, libc::SOCK_RAW];
    let denied = kinds.map(|kind| vec![bits(1, SOCKET_TYPE_MASK, kind)]);
    denied.into_iter().chain([vec![is_not(0, libc::AF_UNIX)]]).collect()
}

/// Calls that change another process of the same user and that Landlock does not know as tracing or signals:
/// with a limit of CPU time set from outside, the kernel would kill the worker. Zero means oneself.
fn reaching_for_others() -> io::Result<Rules> {
    let mut rules = Rules::new();
    for call in [
        libc::SYS_prlimit64,
        libc::SYS_sched_setaffinity,
        libc::SYS_sched_setattr,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setscheduler,
    ] {
        rules.insert(call, any_of([vec![is_not(0, 0)]])?);
    }
    let process = libc::PRIO_PROCESS.cast_signed();
    for (call, whom) in [(libc::SYS_setpriority, process), (libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS)] {
        rules.insert(call, any_of([vec![is_not(0, whom)], vec![is_not(1, 0)]])?);
    }
    Ok(rules)
}

/// TCP connects with the first data too, past Landlock.
fn fast_open() -> io::Result<Rules> {
    let sends = [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)];
    let flag = libc::MSG_FASTOPEN;
    sends.into_iter().map(|(call, at)| Ok((call, any_of([vec![bits(at, flag, flag)]])?))).collect()
}

/// The rules that match where any of these does; each matches where all of its conditions hold.
fn any_of(rules: impl IntoIterator<Item = Vec<Condition>>) -> io::Result<Vec<SeccompRule>> {
    let condition = |(argument, operator, value)| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
    };
    let rule = |conditions: Vec<Condition>| {
        SeccompRule::new(conditions.into_iter().map(condition).collect::<Result<_, _>>()?)
    };
    rules.into_iter().map(rule).collect::<Result<_, _>>().map_err(io::Error::other)
}

fn is(argument: u8, value: c_int) -> Condition {
    (argument, SeccompCmpOp::Eq, word(value))
}

fn is_not(argument: u8, value: c_int) -> Condition {
    (argument, SeccompCmpOp::Ne, word(value))
}

fn bits(argument: u8, mask: c_int, value: c_int) -> Condition {
    (argument, SeccompCmpOp::MaskedEq(word(mask)), word(value))
}

/// Arguments are compared by their lower 32 bits, all that the kernel looks at.
fn word(value: c_int) -> u64 {
    u64::from(value.cast_unsigned())
}

/// One instruction of a program.
pub(super) fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> seccompiler::sock_filter {
    #[expect(clippy::cast_possible_truncation, reason = "all codes are below 256")]
    let code = code as u16;
    seccompiler::sock_filter { code, jt, jf, k }
}

/// Numbers of the x32 ABI pass for this architecture, so that lists of numbers miss them (seccomp(2)).
#[cfg(target_arch = "x86_64")]
fn foreign_numbers() -> Vec<BpfProgram> {
    const X32: u32 = 0x4000_0000;
    vec![vec![
        // The call's number is the first word of what the program is given.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32),
        instruction(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned(),
        ),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]]
}
#[cfg(not(target_arch = "x86_64"))]
fn foreign_numbers() -> Vec<BpfProgram> {
    Vec::new()
}
