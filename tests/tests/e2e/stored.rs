//! Stored completions, with the official SDKs as clients.

use drover_tests::chat::{self, Spoken, ask, streaming};
use drover_tests::client::{Answer, PATIENCE};
use drover_tests::foreign::{self, Language};
use drover_tests::harness::{ClaudeKind, Cluster, wait_for};
use drover_tests::upstream::{Upstream, words};
use reqwest::Method;
use serde_json::json;

const LIST: &str = "/v1/chat/completions";

#[tokio::test]
async fn the_python_sdk_lists_reads_labels_and_deletes_what_it_stored() {
    sdk_is_served(Language::Python, "stored.py").await;
}

#[tokio::test]
async fn the_node_sdk_lists_reads_labels_and_deletes_what_it_stored() {
    sdk_is_served(Language::Node, "stored.mjs").await;
}

async fn sdk_is_served(language: Language, script: &str) {
    let upstream = Upstream::start();
    let builder = Cluster::builder().claude(ClaudeKind::Native).upstream(&upstream);
    let cluster = builder.env("API_KEYS", "key-of-the-sdk,another-key").start().await;
    let base = format!("{}/v1", cluster.api_url());
    let environment = [("OPENAI_BASE_URL", base.as_str()), ("OPENAI_API_KEY", "key-of-the-sdk")];
    foreign::run(language, &foreign::script(script), &environment).await;
}

#[tokio::test]
async fn a_stored_completion_outlives_the_api() {
    let upstream = Upstream::start();
    let mut cluster = Cluster::builder().upstream(&upstream).start().await;
    let mut body = streaming(ask("say 3 words"));
    body["store"] = true.into();
    let stream = cluster.client().stream(chat::PATH, &body).await;
    let job = stream.header("x-drover-job-id").expect("a job").to_owned();
    assert_eq!(Spoken::of(stream).await.text(), words(3));
    // Broken off by its client: it is never whole.
    body["messages"] = ask("say 4000 words every 50ms")["messages"].clone();
    let mut stream = cluster.client().stream(chat::PATH, &body).await;
    let broken = stream.header("x-drover-job-id").expect("a job").to_owned();
    stream.next().await.expect("the model speaks");
    drop(stream);
    let client = cluster.client();
    let path = format!("/v1/jobs/{broken}");
    wait_for("the end of the job", PATIENCE, async || {
        Some(client.get(&path).await.json()).filter(|job| job["status"] == "cancelled")
    })
    .await;

    cluster.kill_api().await;
    cluster.restart_api().await;
    let listed = cluster.client().get(LIST).await.json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "{listed}");
    let stored = &listed["data"][0];
    assert_eq!(stored["choices"][0]["message"]["content"], words(3));
    assert_eq!(stored["metadata"], json!({}));
    let id = stored["id"].as_str().expect("an identifier");
    assert_eq!(id.trim_start_matches("chatcmpl-"), job.trim_start_matches("job_"));
    let path = format!("{LIST}/{id}");
    assert_eq!(cluster.client().get(&path).await.json(), *stored);
    let deleted = Answer::of(cluster.client().request(Method::DELETE, &path)).await;
    assert_eq!((deleted.status.as_u16(), cluster.client().get(&path).await.status.as_u16()), (200, 404));
    let job = cluster.client().get(&format!("/v1/jobs/{job}")).await;
    assert_eq!(job.status, 404, "what was said is gone with it");
}
