//! Landlock: which files, ports, sockets and processes are within reach.

use std::io;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, Scope, path_beneath_rules,
};

use super::Walls;

/// What is asked for; a kernel that knows less gives what it knows, and `survey` tells what is missing.
const FILES: ABI = ABI::V9;
const SCOPES: ABI = ABI::V6;

/// The parts of the system that programs need. Single files of `/etc`, because as root without capabilities
/// a process would still own the others, `shadow` among them.
const SYSTEM: [&str; 42] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    // Other users' secrets in it are guarded by the kernel: Landlock forbids tracing, which they need.
    "/proc",
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/debian_version",
    "/etc/environment",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/gitconfig",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/inputrc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/perl",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/terminfo",
    "/etc/timezone",
];

/// Devices that are no way out.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Builds the rules. The directories to write in must be there; what else is missing is skipped.
pub(super) fn ruleset(walls: &Walls) -> io::Result<RulesetCreated> {
    let reading = AccessFs::from_read(FILES);
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(FILES))
        .and_then(|rules| rules.handle_access(AccessNet::ConnectTcp | AccessNet::BindTcp))
        .and_then(|rules| rules.scope(Scope::from_all(SCOPES)))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rules(path_beneath_rules(SYSTEM, reading)))
        .and_then(|rules| rules.add_rules(path_beneath_rules(DEVICES, AccessFs::from_file(FILES))))
        .and_then(|rules| rules.add_rules(path_beneath_rules(&walls.read, reading)))
        .map_err(io::Error::other)?;
    let rules = walls.write.iter().try_fold(rules, |rules, path| allow_writing(rules, path))?;
    let ports = walls.ports.iter().map(|port| Ok(NetPort::new(*port, AccessNet::ConnectTcp)));
    rules.add_rules(ports).map_err(|error: landlock::RulesetError| io::Error::other(error))
}

/// From here on the rules hold, for this process and for all that it starts.
pub(super) fn enforce(rules: RulesetCreated) -> io::Result<()> {
    // A kernel without Landlock enforces nothing, which `survey` has told at the worker's start.
    rules.restrict_self().map_err(io::Error::other)?;
    Ok(())
}

/// Everything that can be done with files, but to make devices.
fn allow_writing(rules: RulesetCreated, path: &Path) -> io::Result<RulesetCreated> {
    let rights: BitFlags<AccessFs> = AccessFs::from_all(FILES) & !(AccessFs::MakeChar | AccessFs::MakeBlock);
    let directory = PathFd::new(path).map_err(io::Error::other)?;
    rules.add_rule(PathBeneath::new(directory, rights)).map_err(io::Error::other)
}
