//! Each wall is taken away in turn, and something gets through: so every wall has attempts that test it.

use drover_worker::slot::walls::{Wall, Walls, survey};
use nix::unistd::geteuid;

use crate::attempts::{forbidden, forbidden_listening, forbidden_to_strangers};
use crate::roles::as_nobody;
use crate::shell;
use crate::world::World;

/// Which attempts work without some walls, in a slot with or without a user of its own.
async fn works_without(own_user: bool, walls: &[Wall]) -> Vec<&'static str> {
    let world = World::new(own_user).await;
    let mut attempts = forbidden(&world);
    if own_user {
        attempts.extend(forbidden_to_strangers(&world));
    }
    shell::make(&world, &attempts, |of: &mut Walls| of.without = walls.to_vec()).await
}

/// These and maybe more work without the walls.
async fn are_held_by(own_user: bool, walls: &[Wall], expected: &[&str]) {
    let works = works_without(own_user, walls).await;
    for name in expected {
        assert!(works.contains(name), "without {walls:?}, {name} should work; what works: {works:#?}");
    }
}

#[tokio::test]
async fn landlock_holds_files_even_from_strangers() {
    if !survey().own_users {
        return;
    }
    let expected = ["read the worker's data", "list /tmp", "write in /tmp", "write in /dev/shm"];
    are_held_by(true, &[Wall::Landlock], &expected).await;
    // Two walls hold these.
    let expected = ["connect to another service's abstract socket"];
    are_held_by(true, &[Wall::Landlock, Wall::Connections], &expected).await;
}

#[tokio::test]
async fn seccomp_holds_sockets_and_rare_calls() {
    if !survey().own_users {
        return;
    }
    // Containers keep more than these from everybody in them.
    let expected = ["send by UDP", "make shared memory that stays", "listen for TCP on any port"];
    are_held_by(true, &[Wall::Seccomp], &expected).await;
    // Landlock judges connect(2), and this is none.
    are_held_by(true, &[Wall::Seccomp, Wall::Connections], &["connect by TCP with the first data"]).await;
}

#[tokio::test]
async fn a_user_of_its_own_holds_what_landlock_does_not_judge() {
    if !survey().own_users {
        return;
    }
    let world = World::new(false).await;
    let attempts = forbidden_to_strangers(&world);
    let works = shell::make(&world, &attempts, |_| ()).await;
    assert_eq!(works.len(), attempts.len(), "as the worker's user: {works:#?}");
}

#[tokio::test]
async fn dropped_capabilities_hold_the_memory_of_others() {
    if !may_trace() {
        return;
    }
    let expected = ["read the worker's environment", "find the provider's key in any process"];
    are_held_by(false, &[Wall::Capabilities], &expected).await;
}

/// Whether this process has the capability to trace (`SYS_PTRACE`), as root in a container does not.
fn may_trace() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("readable");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("capabilities");
    u64::from_str_radix(effective.trim(), 16).expect("a number") >> 19 & 1 == 1
}

#[tokio::test]
async fn no_new_privileges_hold_programs_with_other_rights() {
    if !survey().own_users {
        return;
    }
    let name = "become root by a set-user-ID program";
    // The other three include it, for they could not be put up without.
    let others = [Wall::Landlock, Wall::Seccomp, Wall::Connections];
    let with = works_without(true, &others).await;
    assert!(!with.contains(&name), "{with:#?}");
    are_held_by(true, &[&others[..], &[Wall::NoNewPrivileges]].concat(), &[name]).await;
}

#[tokio::test]
async fn three_walls_hold_whoever_would_listen() {
    let world = World::new(false).await;
    let attempts = forbidden_listening(&world);
    let walls = [Wall::Landlock, Wall::Seccomp, Wall::Connections];
    let without = |of: &mut Walls| (of.ports, of.without) = (vec![1], walls.to_vec());
    let works = shell::make(&world, &attempts, without).await;
    // Not every machine has the version 6.
    let missing = attempts.iter().map(|attempt| attempt.name).filter(|name| !works.contains(name));
    assert!(missing.clone().all(|name| name.contains("IPv6")), "{:?}", missing.collect::<Vec<_>>());
}

#[tokio::test]
async fn resource_limits_hold_large_files() {
    are_held_by(false, &[Wall::Rlimits], &["write a file larger than the limit"]).await;
}

#[test]
fn each_wall_holds_something_from_those_who_share_the_workers_user() {
    as_nobody("each_wall::shares_the_workers_user");
}

#[tokio::test]
#[ignore = "a part of another test, which starts it as another user"]
async fn shares_the_workers_user() {
    assert!(!geteuid().is_root());
    let files = [
        "read another slot",
        "write in another slot",
        "write the worker's data",
        "cut off the worker's data",
    ];
    are_held_by(false, &[Wall::Landlock], &files).await;
    let processes = ["signal the worker", "signal a supervisor", "read the worker's environment"];
    are_held_by(false, &[Wall::Landlock], &processes).await;
    let reach = ["limit the worker", "slow the worker down", "bind the worker to one processor"];
    are_held_by(false, &[Wall::Seccomp], &reach).await;
    let services =
        ["connect to another service's socket", "connect to another service's socket by way of a link"];
    are_held_by(false, &[Wall::Connections], &services).await;
}
