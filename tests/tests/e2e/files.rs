//! Uploaded files, with the official SDKs as clients, and what of them reaches the provider.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drover_tests::chat;
use drover_tests::client::Answer;
use drover_tests::foreign::{self, Language};
use drover_tests::harness::{ClaudeKind, Cluster};
use drover_tests::upstream::Upstream;
use reqwest::Method;
use serde_json::{Value, json};

const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

#[tokio::test]
async fn what_the_python_sdk_uploads_is_shown() {
    let upstream = Upstream::start();
    sdk_is_served(&upstream, Language::Python, "files.py").await;
    let pdf: Vec<u8> = b"%PDF-1.7 ".iter().copied().chain((0..8_000).flat_map(|_| 0..=255)).collect();
    let expected = json!([
        {"type": "document", "title": "a.pdf",
            "source": {"type": "base64", "media_type": "application/pdf", "data": STANDARD.encode(pdf)}},
        {"type": "document", "title": "b", "source": {"type": "text", "media_type": "text/plain", "data": "# Grüezi"}},
        {"type": "text", "text": "What is in the files?"},
    ]);
    assert!(
        only_turn(&upstream, "What is in the files?") == expected,
        "the provider is shown something else"
    );
    assert_eq!(upstream.calls().len(), 1, "what is missing reaches no model");
}

#[tokio::test]
async fn what_the_node_sdk_uploads_is_shown() {
    let upstream = Upstream::start();
    sdk_is_served(&upstream, Language::Node, "files.mjs").await;
    assert_eq!(
        only_turn(&upstream, "What is in the picture?"),
        json!([
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
            {"type": "text", "text": "What is in the picture?"},
        ])
    );
}

async fn sdk_is_served(upstream: &Upstream, language: Language, script: &str) {
    let builder = Cluster::builder().claude(ClaudeKind::Native).upstream(upstream);
    let cluster = builder.env("API_KEYS", "key-of-the-sdk,another-key").start().await;
    let base = format!("{}/v1", cluster.api_url());
    let environment = [("OPENAI_BASE_URL", base.as_str()), ("OPENAI_API_KEY", "key-of-the-sdk")];
    foreign::run(language, &foreign::script(script), &environment).await;
}

fn only_turn(upstream: &Upstream, prompt: &str) -> Value {
    let calls = upstream.calls_for(prompt);
    assert_eq!(calls.len(), 1, "one call for one job");
    calls[0].body["messages"][0]["content"].clone()
}

/// Uploads by hand; the file's identifier.
async fn upload(cluster: &Cluster, content: &[u8]) -> String {
    let mut body = b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n".to_vec();
    body.extend_from_slice(content);
    body.extend_from_slice(
        b"\r\n--b\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n--b--\r\n",
    );
    let request = cluster.client().request(Method::POST, "/v1/files");
    let request = request.header("content-type", "multipart/form-data; boundary=b").body(body);
    let answer = Answer::of(request).await.json();
    answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn items_of_the_responses_api_show_files_too_and_what_cannot_be_shown_is_refused() {
    let upstream = Upstream::start();
    let mut cluster = Cluster::builder().upstream(&upstream).start().await;
    let image = upload(&cluster, &STANDARD.decode(PIXEL).expect("base64")).await;
    let text = upload(&cluster, b"# Hi").await;
    let binary = upload(&cluster, b"\xff\xfe\x00").await;
    // Any api has them.
    cluster.kill_api().await;
    cluster.restart_api().await;
    let ask = |parts: Value| json!({"input": [{"role": "user", "content": parts}]});
    let shown = ask(json!([
        {"type": "input_image", "file_id": image},
        {"type": "input_file", "file_id": text},
        {"type": "input_text", "text": "What are these?"},
    ]));
    let answer = cluster.client().post(chat::PATH, &shown).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let turn = only_turn(&upstream, "What are these?");
    assert_eq!((&turn[0]["source"]["data"], &turn[1]["source"]["data"]), (&json!(PIXEL), &json!("# Hi")));
    for (part, code, param) in [
        (json!({"type": "input_image", "file_id": text}), "invalid_value", "input[0].content[0].file_id"),
        (json!({"type": "input_file", "file_id": binary}), "invalid_value", "input[0].content[0].file_id"),
        (json!({"type": "input_file", "file_id": "file-1"}), "file_not_found", "input[0].content[0].file_id"),
        (json!({"type": "input_file", "file_id": 5}), "invalid_type", "input[0].content[0].file_id"),
        (
            json!({"type": "input_file", "file_id": text, "file_data": "data:text/plain;base64,eA=="}),
            "invalid_value",
            "input[0].content[0].file_id",
        ),
    ] {
        let answer = cluster.client().post(chat::PATH, &ask(json!([part]))).await;
        let error = chat::ErrorBody::of(&answer.json());
        assert_eq!(
            (answer.status.as_u16(), error.code.as_str(), error.param.as_deref()),
            (400, code, Some(param))
        );
    }
    assert_eq!(upstream.calls().len(), 1, "the model is not called");
}
