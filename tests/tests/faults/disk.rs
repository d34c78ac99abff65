//! The database's disk is full, or cannot be written to.

use crate::chat::{CHAT, Chat, Heard, hear, request};
use crate::jobs::{assert_one_story, ended, events};
use drover_tests::client::PATIENCE;
use drover_tests::harness::{Cluster, binary, wait_for};
use drover_tests::upstream::{Upstream, words};
use reqwest::StatusCode;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A small file system of its own. It is unmounted when this is dropped.
struct Disk(TempDir);

impl Disk {
    /// `None`, and a loud word, where this user may not mount.
    fn mount(test: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a mount point");
        let disk = Self(dir);
        if disk.run("mount", &["-t", "tmpfs", "-o", "size=8m", "tmpfs"]) {
            return Some(disk);
        }
        skipped(test, "this user may not mount a file system (run it as root)");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the space there is.
    fn fill(&self) {
        let mut filler = File::create(self.path().join("filler")).expect("a file that fills the disk");
        for block in [1 << 16, 1 << 12, 1] {
            while filler.write_all(&vec![b'x'; block]).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.path().join("filler")).expect("the filler can be removed");
    }

    fn run(&self, command: &str, arguments: &[&str]) -> bool {
        run(command, arguments, self.path())
    }
}

fn run(command: &str, arguments: &[&str], path: &Path) -> bool {
    let run = Command::new(command).args(arguments).arg(path).output();
    run.is_ok_and(|output| output.status.success())
}

/// Says so past the test's captured output: a test that did not run must not look as if it had.
fn skipped(test: &str, why: &str) {
    let word = format!("SKIPPED {test}: {why}\n");
    std::io::stderr().write_all(word.as_bytes()).expect("standard error");
}

/// A file that nobody may write to, not even who has it open. It may be written to again when this is
/// dropped.
struct Immutable(PathBuf);

impl Immutable {
    fn make(path: &Path) -> Option<Self> {
        run("chattr", &["+i"], path).then(|| Self(path.to_owned()))
    }

    /// Whether this user may make files in `dir` immutable, and open ones heed it.
    fn works_in(dir: &Path) -> bool {
        let path = dir.join("immutable");
        let mut file = File::create(&path).expect("a file to try it with");
        let made = Self::make(&path);
        made.is_some() && file.write_all(b"x").is_err()
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        run("chattr", &["-i"], &self.0);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.run("umount", &["-l"]);
    }
}

#[tokio::test]
async fn a_full_disk_is_told_to_clients_and_everything_goes_on_when_there_is_space_again() {
    let Some(disk) = Disk::mount("a_full_disk") else { return };
    let upstream = Upstream::start();
    let url = format!("sqlite://{}", disk.path().join("drover.db").display());
    let cluster = Cluster::builder().env("DATABASE_URL", url).upstream(&upstream).start().await;
    let client = cluster.client();
    let mut chat = Chat::open(&client, "say 150 words every 50ms").await;
    chat.until("word3").await;
    let job = chat.job.clone();
    disk.fill();
    // The log of the database may have room for a little more.
    let big = format!("say 3 words {}", "x".repeat(100_000));
    let refused = wait_for("a job finds no space", PATIENCE, async || {
        let answer = client.post(CHAT, &request(&big, false)).await;
        (answer.status != StatusCode::OK).then_some(answer)
    })
    .await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text());
    assert_eq!(refused.json()["error"]["code"], "store_unavailable");
    assert!(refused.header("retry-after").is_some());
    cluster.wait_for_log("events wait for the store").await;
    disk.free();

    assert_eq!(chat.rest().await, Heard::whole(words(150)));
    assert_eq!(ended(&client, &job).await["attempts"], 1);
    assert_one_story(&events(&client, &job, 0).await);
    assert_eq!(hear(&client, "say 7 words").await.1, Heard::whole(words(7)));
    // Before its disk.
    drop(cluster);
}

#[tokio::test]
async fn a_database_that_turns_read_only_is_told_to_clients_and_everything_goes_on_afterwards() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().upstream(&upstream).start().await;
    if !Immutable::works_in(cluster.dir()) {
        skipped("a_database_that_turns_read_only", "files cannot be made immutable here");
        return;
    }
    let client = cluster.client();
    let mut chat = Chat::open(&client, "say 60 words every 50ms").await;
    chat.until("word3").await;
    let log = cluster.database().with_extension("db-wal");
    let immutable = Immutable::make(&log).expect("it worked a moment ago");
    let refused = client.post(CHAT, &request("say 3 words", false)).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text());
    assert_eq!(refused.json()["error"]["code"], "store_unavailable");
    cluster.wait_for_log("events wait for the store").await;
    drop(immutable);

    let job = chat.job.clone();
    assert_eq!(chat.rest().await, Heard::whole(words(60)));
    assert_one_story(&events(&client, &job, 0).await);
    assert_eq!(hear(&client, "say 7 words").await.1, Heard::whole(words(7)));
}

#[test]
fn nothing_starts_on_a_read_only_disk_and_it_says_why() {
    let Some(disk) = Disk::mount("nothing_starts_on_a_read_only_disk") else { return };
    File::create(disk.path().join("drover.db")).expect("a database, so far empty");
    assert!(disk.run("mount", &["-o", "remount,ro"]), "the disk turns read-only");
    for name in ["drover-api", "drover-worker"] {
        let process = Command::new(binary(name))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", disk.path())
            .env("DROVER_DATA_DIR", disk.path())
            .env("CLAUDE_BINARY_PATH", binary("drover-scripted-claude"))
            .env("LOG_LEVEL", "warn")
            .output()
            .expect("it can be started");
        let said = String::from_utf8_lossy(&[process.stdout, process.stderr].concat()).trim().to_owned();
        assert!(!process.status.success(), "{name} does not pretend to work");
        assert!(said.contains("Read-only file system") && said.contains("drover.db"), "{said}");
    }
}
