//! The api against its own description: schemathesis makes requests of it, good ones and bad ones, for every operation,
//! and holds the answers against it.

use drover_tests::client::PATIENCE;
use drover_tests::harness::{Cluster, installed};
use drover_tests::upstream::Upstream;
use serde_json::Value;
use std::process::Stdio;
use tokio::process::Command;

const KEY: &str = "key-of-the-description";

/// Requests for each operation, besides those that try each of its constraints once.
const REQUESTS: &str = "5";

/// Of what fits the description not all is accepted: which models there are and what a conversation must look like is
/// more than a schema can say. So that the opposite of what it says is refused is checked, and this is not.
const UNCHECKED: &str = "positive_data_acceptance";

#[tokio::test]
async fn the_api_does_what_its_description_says() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().upstream(&upstream).env("API_KEYS", KEY).start().await;
    let description = format!("{}/openapi.json", cluster.api_url());
    let home = tempfile::tempdir().expect("a home");
    let mut command = Command::new(installed("DROVER_TEST_SCHEMATHESIS", "schemathesis/bin/schemathesis"));
    command
        .args(["--no-color", "run", &description])
        .args(["--header", &format!("Authorization: Bearer {KEY}")])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", REQUESTS, "--seed", "1"])
        .args(["--exclude-checks", UNCHECKED, "--request-timeout", "30", "--continue-on-failure"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(10 * PATIENCE, command.output()).await;
    let output = output.expect("it ends in time").expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let document = cluster.client().get("/openapi.json").await;
    // All but the one that it has read the description from.
    let all = operations(&document.json()) - 1;
    assert!(said.contains(&format!("Tested: {all}\n")), "each of {all} operations is tried: {said}");
    assert!(!upstream.calls().is_empty(), "some requests have been answered by a model");
}

fn operations(document: &Value) -> usize {
    let paths = document["paths"].as_object().expect("paths");
    paths.values().filter_map(Value::as_object).map(serde_json::Map::len).sum()
}
