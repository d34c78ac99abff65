//! The registry is read again when it changes.

use super::matrix::{Registry, ask_model};
use drover_tests::chat;
use drover_tests::client::{Client, PATIENCE};
use drover_tests::harness::wait_for;
use drover_tests::upstream::Upstream;
use nix::sys::signal::Signal;

/// The models by their own names, without those by which they are agents.
async fn models(client: &Client) -> Vec<String> {
    let list = client.get("/v1/models").await.json();
    let ids = list["data"].as_array().expect("a list").iter().filter_map(|model| model["id"].as_str());
    ids.filter(|id| !id.ends_with(":agent")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_changed_file_takes_effect_and_a_bad_one_does_not() {
    let upstream = Upstream::start();
    let registry = Registry::new().provider("only", &upstream).model("old", "priority", &[("only", 1, 1)]);
    let mut cluster = registry.for_cluster().start().await;
    let client = cluster.client();
    assert_eq!(models(&client).await, ["old"]);
    let registry = registry.model("new", "priority", &[("only", 1, 1)]);
    registry.write();
    let offered = async |name: &str| {
        let all = models(&client).await;
        all.iter().any(|model| model == name).then_some(())
    };
    wait_for("the new model is offered", PATIENCE, async || offered("new").await).await;
    assert_eq!(client.post(chat::PATH, &ask_model("new", "say 1 words")).await.status, 200);

    std::fs::write(
        registry.path(),
        "extends = \"nothing\"\n\n[[model]]\nid = \"bad\"\nroutes = [{ provider = \"x\" }]\n",
    )
    .expect("the file can be written");
    cluster.workers()[0].signal(Signal::SIGHUP);
    cluster.wait_for_log("the one before stays in force").await;
    assert!(cluster.logs().contains("line 5: there is no provider `x`"), "{}", cluster.logs());
    assert_eq!(models(&client).await, ["new", "old"]);
    assert_eq!(client.post(chat::PATH, &ask_model("old", "say 1 words")).await.status, 200);
}

#[tokio::test]
async fn a_worker_with_a_bad_file_does_not_start() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "\nprovider = 1\n").expect("written");
    let data = tempfile::TempDir::new().expect("a directory");
    let refused = std::process::Command::new(drover_tests::harness::binary("drover-worker"))
        .args(["--providers", &file.path().display().to_string(), "doctor"])
        .env_clear()
        .env("DROVER_DATA_DIR", data.path())
        .env("CLAUDE_BINARY_PATH", drover_tests::harness::binary("drover-scripted-claude"))
        .output()
        .expect("the binary runs");
    let told = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(!refused.status.success() && told.contains("line 2:"), "{told}");
}
