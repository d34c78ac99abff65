//! The official SDKs as clients. Their scripts check for themselves; a failed check fails the test.

use drover_tests::client::PATIENCE;
use drover_tests::foreign::{self, Language};
use drover_tests::harness::{ClaudeKind, Cluster};
use drover_tests::upstream::{Ending, Upstream};

#[tokio::test]
async fn the_python_sdk_is_served() {
    sdk_is_served(Language::Python, "openai_sdk.py", ClaudeKind::Native).await;
}

#[tokio::test]
async fn the_node_sdk_is_served() {
    sdk_is_served(Language::Node, "openai_sdk.mjs", ClaudeKind::JavaScript).await;
}

async fn sdk_is_served(language: Language, script: &str, kind: ClaudeKind) {
    let upstream = Upstream::start();
    let builder =
        Cluster::builder().cold().claude(kind).upstream(&upstream).env("API_KEYS", "key-of-the-sdk");
    let cluster = builder.start().await;
    let base = format!("{}/v1", cluster.api_url());
    let environment = [("OPENAI_BASE_URL", base.as_str()), ("OPENAI_API_KEY", "key-of-the-sdk")];
    foreign::run(language, &foreign::script(script), &environment).await;
    let stopped = "the stream that was closed early has stopped the model";
    upstream.wait_for(stopped, PATIENCE, |call| call.ending == Ending::ClientLeft).await;
    cluster.wait_until_no_descendants().await;
}
