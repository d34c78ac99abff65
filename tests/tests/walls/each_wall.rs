//! Each wall is taken away in turn, and something gets through: so every wall has attempts that test it.

use drover_worker::slot::walls::{Wall, Walls, survey};
use nix::unistd::geteuid;

use crate::attempts::{Attempt, forbidden, forbidden_to_strangers};
use crate::shell;
use crate::world::World;

/// Which attempts work without some walls, in a slot with or without a user of its own.
async fn works_without(own_user: bool, walls: &[Wall]) -> Vec<&'static str> {
    let world = World::new(own_user).await;
    let mut attempts: Vec<Attempt> = forbidden(&world);
    if own_user {
        attempts.extend(forbidden_to_strangers(&world));
    }
    shell::make(&world, &attempts, |of: &mut Walls| of.without = walls.to_vec()).await
}

/// These and more work without the walls, and nothing works with them.
async fn are_held_by(own_user: bool, walls: &[Wall], expected: &[&str]) {
    let works = works_without(own_user, walls).await;
    for name in expected {
        assert!(works.contains(name), "without {walls:?}, {name} should work; what works: {works:#?}");
    }
}

#[tokio::test]
async fn landlock_holds_files_signals_and_abstract_sockets() {
    if !survey().own_users {
        return;
    }
    let expected = [
        "read the worker's data",
        "list /tmp",
        "write in /tmp",
        "connect to another service's abstract socket",
    ];
    are_held_by(true, &[Wall::Landlock], &expected).await;
    let expected = [
        "read another slot",
        "write the worker's data",
        "signal the worker",
        "signal a supervisor",
        "write in another slot",
        "cut off the worker's data",
    ];
    are_held_by(false, &[Wall::Landlock], &expected).await;
}

#[tokio::test]
async fn seccomp_holds_sockets_and_rare_calls() {
    if !survey().own_users {
        return;
    }
    let expected =
        ["send by UDP", "make shared memory that stays", "listen for TCP on any port", "read the keyring"];
    are_held_by(true, &[Wall::Seccomp], &expected).await;
    let expected = ["limit the worker", "slow the worker down", "bind the worker to one processor"];
    are_held_by(false, &[Wall::Seccomp], &expected).await;
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
    if !geteuid().is_root() {
        return;
    }
    let expected = ["read the worker's environment", "find the provider's key in any process"];
    are_held_by(false, &[Wall::Capabilities], &expected).await;
}

#[tokio::test]
async fn no_new_privileges_hold_programs_with_other_rights() {
    if !survey().own_users {
        return;
    }
    let name = "become root by a set-user-ID program";
    // The other two include it, for they could not be put up without.
    let with = works_without(true, &[Wall::Landlock, Wall::Seccomp]).await;
    assert!(!with.contains(&name), "{with:#?}");
    are_held_by(true, &[Wall::Landlock, Wall::Seccomp, Wall::NoNewPrivileges], &[name]).await;
}

#[tokio::test]
async fn resource_limits_hold_large_files() {
    are_held_by(false, &[Wall::Rlimits], &["write a file larger than the limit", "raise a limit"]).await;
}
