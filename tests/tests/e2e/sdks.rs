//! The official SDKs and the frameworks that most programs use as clients. Their scripts check for themselves what
//! comes back; a failed check fails the test. What they print of what was meant is held against what went up.

use drover_tests::client::PATIENCE;
use drover_tests::foreign::{self, Language};
use drover_tests::harness::{Builder, ClaudeKind, Cluster};
use drover_tests::upstream::{Ending, Upstream};
use serde_json::Value;

#[tokio::test]
async fn the_python_sdk_is_served() {
    sdk_is_served(Language::Python, "openai_sdk.py", ClaudeKind::Native).await;
}

#[tokio::test]
async fn the_node_sdk_is_served() {
    sdk_is_served(Language::Node, "openai_sdk.mjs", ClaudeKind::JavaScript).await;
}

#[tokio::test]
async fn the_ai_sdk_is_served() {
    is_served(Language::Node, "ai_sdk.mjs", Cluster::builder().claude(ClaudeKind::Native)).await;
}

#[tokio::test]
async fn langchain_for_python_is_served() {
    is_served(Language::Python, "lang_chain.py", Cluster::builder().claude(ClaudeKind::JavaScript)).await;
}

#[tokio::test]
async fn langchain_for_node_is_served() {
    is_served(Language::Node, "lang_chain.mjs", Cluster::builder().claude(ClaudeKind::Native)).await;
}

async fn sdk_is_served(language: Language, script: &str, kind: ClaudeKind) {
    let (cluster, upstream) = is_served(language, script, Cluster::builder().claude(kind).cold()).await;
    let stopped = "the stream that was closed early has stopped the model";
    upstream.wait_for(stopped, PATIENCE, |call| call.ending == Ending::ClientLeft).await;
    cluster.wait_until_no_descendants().await;
}

async fn is_served(language: Language, script: &str, builder: Builder) -> (Cluster, Upstream) {
    let upstream = Upstream::start();
    let cluster = builder.upstream(&upstream).env("API_KEYS", "key-of-the-sdk").start().await;
    let base = format!("{}/v1", cluster.api_url());
    let environment = [("OPENAI_BASE_URL", base.as_str()), ("OPENAI_API_KEY", "key-of-the-sdk")];
    let said = foreign::run(language, &foreign::script(script), &environment).await;
    assert!(!said.is_empty(), "{script} tells what it meant");
    for line in said.lines() {
        let meant: Value = serde_json::from_str(line).expect("a line of JSON");
        let prompt = meant["prompt"].as_str().expect("a prompt");
        let sent: Vec<Value> = upstream.calls_for(prompt).iter().map(|call| (*call.body).clone()).collect();
        assert_eq!(Value::from(sent), meant["sent"], "{script}: {prompt}");
    }
    (cluster, upstream)
}
