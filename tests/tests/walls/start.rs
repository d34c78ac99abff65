//! A worker that could not put its slots up safely says so instead of starting.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use drover_tests::harness::binary;
use drover_worker::slot::walls::survey;

/// How long a worker may take to refuse; it would wait for jobs for ever otherwise.
const PATIENCE_S: &str = "60";

/// Starts a worker on directories that it cannot use, and answers with what it says.
fn refusal(data: &Path, claude: &Path) -> String {
    let mut worker = Command::new("timeout");
    worker.arg(PATIENCE_S).arg(binary("drover-worker"));
    worker.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", data).current_dir("/");
    worker.env("DROVER_DATA_DIR", data).env("CLAUDE_BINARY_PATH", claude).env("LOG_LEVEL", "warn");
    let done = worker.output().expect("it runs");
    assert!(!done.status.success());
    String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
}

#[test]
fn a_worker_whose_slots_could_not_get_to_their_place_says_what_is_in_the_way() {
    if !survey().own_users {
        return;
    }
    let [closed, open] = [0o700, 0o711].map(|mode| {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::set_permissions(directory.path(), Permissions::from_mode(mode)).expect("set");
        directory
    });
    let claude = binary("drover-scripted-claude");
    let said = refusal(&closed.path().join("data"), &claude);
    let command = format!("chmod o+x {}", closed.path().display());
    assert!(said.contains(&command) && said.contains("DROVER_DATA_DIR"), "{said}");

    let copy = closed.path().join("claude");
    std::fs::copy(&claude, &copy).expect("copied");
    let said = refusal(open.path(), &copy);
    assert!(said.contains(&command) && said.contains("CLAUDE_BINARY_PATH"), "{said}");
}
