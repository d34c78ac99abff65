//! All attempts, for every role that a worker may have: root, root without its capabilities, somebody else.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use drover_worker::slot::walls::{Wall, Walls, survey};
use nix::unistd::geteuid;

use crate::attempts::{
    Attempt, allowed, allowed_with_port, forbidden, forbidden_listening, forbidden_to_strangers,
    forbidden_with_port,
};
use crate::world::World;
use crate::{cli, shell};

/// The user that has nothing (Debian Policy, 9.2.2).
const NOBODY: u32 = 65_534;

#[tokio::test]
async fn a_slot_with_a_user_of_its_own_holds() {
    if !survey().own_users {
        return;
    }
    let world = World::new(true).await;
    let mut tried = forbidden(&world);
    tried.extend(forbidden_to_strangers(&world));
    holds(&world, tried).await;
}

#[test]
fn a_slot_that_shares_the_workers_user_holds() {
    as_nobody("roles::shares_the_workers_user");
}

#[tokio::test]
async fn a_slot_that_may_reach_a_port_reaches_it_at_one_address_only() {
    let relay = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = relay.local_addr().expect("an address").port();
    let world = World::new(survey().own_users).await;
    let mut attempts = allowed();
    attempts.extend(allowed_with_port(port));
    let wanted: Vec<&str> = attempts.iter().map(|attempt| attempt.name).collect();
    attempts.extend(forbidden_with_port(port));
    attempts.extend(forbidden_listening(&world));
    attempts.extend(forbidden(&world));
    assert_eq!(shell::make(&world, &attempts, |walls| walls.ports = vec![port]).await, wanted);
    let without = |walls: &mut Walls| (walls.ports, walls.without) = (vec![port], vec![Wall::Connections]);
    let works = shell::make(&world, &forbidden_with_port(port), without).await;
    assert_eq!(works.len(), 1, "Landlock alone judges no address: {works:?}");
}

/// Runs an ignored test of this program as a user without any rights.
pub(crate) fn as_nobody(test: &str) {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    if geteuid().is_root() {
        if !survey().own_users {
            return;
        }
        command.uid(NOBODY).gid(NOBODY).current_dir("/").env("TMPDIR", "/tmp").env("HOME", "/nonexistent");
    }
    let done = command.output().expect("it runs");
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "a part of another test, which starts it as another user"]
async fn shares_the_workers_user() {
    assert!(!geteuid().is_root());
    let world = World::new(false).await;
    let tried = forbidden(&world);
    holds(&world, tried).await;
}

#[tokio::test]
async fn a_slot_of_a_root_that_may_not_change_users_holds_but_for_what_root_owns() {
    if !geteuid().is_root() {
        return;
    }
    let world = World::new(false).await;
    let tried = forbidden(&world);
    holds(&world, tried).await;
}

/// What is allowed works and what is forbidden does not, from a shell and from the CLI, and nothing stays.
async fn holds(world: &World, forbidden: Vec<Attempt>) {
    let mut attempts = allowed();
    let wanted: Vec<&str> = attempts.iter().map(|attempt| attempt.name).collect();
    attempts.extend(forbidden);
    assert_eq!(shell::make(world, &attempts, |_| ()).await, wanted, "from a shell");
    let outcome = cli::make(world, &attempts).await;
    assert_eq!(outcome.worked, wanted, "from the CLI's Bash");
    assert_eq!(outcome.daemons.len(), 2);
    for pid in outcome.daemons {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "daemon {pid} is left");
    }
}
