//! One copy for all workers of a machine.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use drover_worker::install::patch::patched_copy;

use crate::{Stage, is_root, node, real, source};

#[tokio::test]
async fn two_that_patch_at_once_make_one_copy() {
    let stage = Stage::new();
    let left = stage.path("data/claude/patched/.staging-of-a-dead-worker");
    fs::create_dir_all(left.join("ready")).expect("created");
    let (source, settings) = (source(&real("2.1.112"), "2.1.112"), stage.settings(None));
    let inode = async || {
        let copy = patched_copy(&source, &settings).await.expect("patched");
        fs::metadata(copy).expect("there").ino()
    };
    let (first, second) = tokio::join!(inode(), inode());
    assert_eq!(first, second);
    assert_eq!(stage.copies().len(), 1);
    assert!(!left.exists(), "what a dead one left is cleared away");
}

/// Ends with the test.
struct Worker(Child);

impl Worker {
    fn start(stage: &Stage, name: &str) -> Self {
        let log = fs::File::create(stage.path(name)).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_drover-worker"));
        let folder = node().parent().expect("a folder").display().to_string();
        command.env_clear().env("PATH", format!("{folder}:/usr/local/bin:/usr/bin:/bin"));
        command.current_dir(stage.path("")).stdin(Stdio::null());
        command.arg("--data-dir").arg(stage.path("data")).args(["--root-policy", "patch"]);
        command.arg("--claude-binary-path").arg(real("2.1.112"));
        command.arg("--ready-file").arg(stage.path(&format!("{name}.ready")));
        command.stderr(log.try_clone().expect("the log again")).stdout(log);
        Self(command.spawn().expect("the worker starts"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn worker_processes_that_start_at_once_make_one_copy() {
    if !is_root() {
        // Nobody else patches.
        return;
    }
    let stage = Stage::new();
    let names = ["one", "two", "three"];
    let mut workers = names.map(|name| Worker::start(&stage, name));
    let log = |name: &str| fs::read_to_string(stage.path(name)).unwrap_or_default();
    for (name, worker) in names.iter().zip(&mut workers) {
        wait_for(&stage.path(&format!("{name}.ready")), &mut worker.0, &|| log(name));
    }
    let logs = names.map(log);
    let patched = logs.iter().filter(|log| log.contains("patched a copy of the Claude CLI")).count();
    assert_eq!(patched, 1, "{logs:?}");
    assert!(logs.iter().all(|log| log.contains("agent jobs can run")), "{logs:?}");
    assert_eq!(stage.copies().len(), 1);
}

fn wait_for(file: &Path, worker: &mut Child, log: &dyn Fn() -> String) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while !file.exists() {
        let ended = worker.try_wait().expect("asked");
        assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}: {}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
}
