//! Makes the attempts from a shell in a slot: quick, and with whichever walls a test wants.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;

use drover_worker::slot::walls::Walls;
use drover_worker::slot::{Launch, SlotDir};

use crate::attempts::{Attempt, script, worked};
use crate::world::{World, supervisor};

/// Small, so that the limit can be met.
const FILE_BYTES: u64 = 2 << 20;
const FILES: u64 = 1_024;

/// Which of the attempts work.
pub(crate) async fn make(
    world: &World,
    attempts: &[Attempt],
    change: impl FnOnce(&mut Walls),
) -> Vec<&'static str> {
    let dir = world.slot();
    let relay = UnixListener::bind(dir.socket()).expect("a socket");
    give(&dir, &dir.socket());
    let mut walls = walls(&dir);
    change(&mut walls);
    let launch = Launch {
        program: "/bin/sh".into(),
        arguments: vec![lay_script(&dir, attempts)],
        environment: environment(&dir),
        directory: dir.work(),
        walls: Some(walls),
    };
    let mut slot = supervisor().launch(&launch).await.expect("it starts");
    let mut said = Vec::new();
    while let Some(line) = slot.lines.next().await.expect("a readable line") {
        said.push(String::from_utf8_lossy(&line).into_owned());
    }
    slot.exited().await;
    drop(relay);
    worked(attempts, said.iter().map(String::as_str))
}

/// A slot's walls with a limit that can be met.
pub(crate) fn walls(dir: &SlotDir) -> Walls {
    let mut walls = Walls::around(dir);
    walls.limits.file_bytes = FILE_BYTES;
    walls.limits.files = FILES;
    walls
}

/// Puts the script of attempts into the workspace; its path.
pub(crate) fn lay_script(dir: &SlotDir, attempts: &[Attempt]) -> String {
    let path = dir.work().join("attempts.sh");
    fs::write(&path, script(attempts)).expect("written");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("readable");
    path.display().to_string()
}

/// Makes a file the slot's own.
pub(crate) fn give(dir: &SlotDir, path: &Path) {
    if let Some(user) = dir.user() {
        chown(path, Some(user.uid), Some(user.gid)).expect("given");
    }
}

fn environment(dir: &SlotDir) -> Vec<(String, String)> {
    let text = |path: &Path| path.display().to_string();
    vec![
        ("PATH".into(), "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into()),
        ("HOME".into(), text(&dir.home())),
        ("TMPDIR".into(), text(&dir.tmp())),
        ("RELAY".into(), text(&dir.socket())),
    ]
}
