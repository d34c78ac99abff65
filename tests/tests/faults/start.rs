//! Many processes start at once where there is nothing yet.

use crate::chat::{Heard, hear};
use crate::jobs::health;
use drover_tests::client::{Client, PATIENCE};
use drover_tests::harness::{MODEL, PROVIDER_KEY, binary, wait_until};
use drover_tests::upstream::{Upstream, words};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};
use std::path::{Path, PathBuf};
use tokio::process::{Child, Command};

const APIS: usize = 3;
const WORKERS: usize = 5;

/// Starts a process; it says in the file when it is ready, and is killed when the child is dropped.
fn start(name: &str, number: usize, dir: &Path, upstream: &Upstream) -> (Child, PathBuf) {
    let ready = dir.join(format!("{name}-{number}.ready"));
    let log = std::fs::File::create(dir.join(format!("{name}-{number}.log"))).expect("a log");
    let mut command = Command::new(binary(name));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", dir).env("DROVER_DATA_DIR", dir.join("data")).env("PORT", "0");
    command.env("DROVER_READY_FILE", &ready).env("CLAUDE_BINARY_PATH", binary("drover-scripted-claude"));
    command.env("ANTHROPIC_BASE_URL", upstream.url()).env("ANTHROPIC_API_KEY", PROVIDER_KEY);
    command.env("ANTHROPIC_MODEL", MODEL).current_dir(dir).kill_on_drop(true);
    command.stdout(log.try_clone().expect("a second handle")).stderr(log);
    (command.spawn().expect("the process starts"), ready)
}

async fn address(child: &mut Child, ready: &Path) -> String {
    wait_until(&format!("{} is there", ready.display()), 2 * PATIENCE, || {
        if let Ok(Some(status)) = child.try_wait() {
            let log = std::fs::read_to_string(ready.with_extension("log")).unwrap_or_default();
            panic!("{} ended with {status}: {log}", ready.display());
        }
        let said: Value = serde_json::from_slice(&std::fs::read(ready).ok()?).ok()?;
        Some(said["address"].as_str()?.to_owned())
    })
    .await
}

#[tokio::test]
async fn any_number_of_processes_may_start_at_once_on_nothing() {
    let upstream = Upstream::start();
    let dir = tempfile::tempdir().expect("a directory");
    // Slots may have users of their own, who have to get to their directories.
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).expect("set");
    let mut apis: Vec<_> = (0..APIS).map(|n| start("drover-api", n, dir.path(), &upstream)).collect();
    let mut workers: Vec<_> =
        (0..WORKERS).map(|n| start("drover-worker", n, dir.path(), &upstream)).collect();
    for (child, ready) in &mut workers {
        address(child, ready).await;
    }
    for (child, ready) in &mut apis {
        let client = Client::new(format!("http://{}", address(child, ready).await));
        health(&client, "all workers are known", |health| health["workers_alive"] == WORKERS).await;
        assert_eq!(hear(&client, "say 5 words").await.1, Heard::whole(words(5)));
    }
    let options = SqliteConnectOptions::new().filename(dir.path().join("data/drover.db")).read_only(true);
    let mut connection = options.connect().await.expect("the database");
    let check = sqlx::query("PRAGMA integrity_check").fetch_one(&mut connection).await.expect("a check");
    assert_eq!(check.get::<String, _>(0), "ok");
    let broken = sqlx::query("SELECT count(*) FROM _sqlx_migrations WHERE NOT success");
    assert_eq!(broken.fetch_one(&mut connection).await.expect("a count").get::<i64, _>(0), 0);
}
