//! Images and documents reach the provider as the client sent them.

use drover_tests::chat;
use drover_tests::harness::{Cluster, MODEL};
use drover_tests::upstream::{Upstream, echo_text};
use serde_json::json;

#[tokio::test]
async fn images_and_documents_go_up_unchanged() {
    const PIXEL: &str =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
    // A large one, which the CLI would make smaller.
    let photograph = format!("/9j/{}", "AAAA".repeat(500_000));
    let upstream = Upstream::start();
    let cluster = Cluster::builder().upstream(&upstream).start().await;
    let shown = |url: String| json!({"type": "image_url", "image_url": {"url": url}});
    let body = json!({"messages": [{"role": "user", "content": [
        shown(format!("data:image/png;base64,{PIXEL}")),
        shown(format!("data:image/jpeg;base64,{photograph}")),
        // Nobody but the provider may fetch it: this address would answer no one.
        shown("https://192.0.2.1/b.png".to_owned()),
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjc="}},
        {"type": "file", "file": {"file_data": "data:text/markdown;base64,IyBIaQ=="}},
        {"type": "text", "text": "What is this?"},
    ]}]});
    let answer = cluster.client().post(chat::PATH, &body).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], echo_text("What is this?"), "{answer}");
    let calls = upstream.calls_for("What is this?");
    let base64 =
        |media_type: &str, data: &str| json!({"type": "base64", "media_type": media_type, "data": data});
    let expected = json!({"model": MODEL, "max_tokens": 32_000, "stream": true, "messages": [
        {"role": "user", "content": [
            {"type": "image", "source": base64("image/png", PIXEL)},
            {"type": "image", "source": base64("image/jpeg", &photograph)},
            {"type": "image", "source": {"type": "url", "url": "https://192.0.2.1/b.png"}},
            {"type": "document", "source": base64("application/pdf", "JVBERi0xLjc="), "title": "a.pdf"},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "# Hi"}},
            {"type": "text", "text": "What is this?"},
        ]},
    ]});
    assert_eq!(calls.len(), 1);
    assert!(*calls[0].body == expected, "the provider is shown something else");
}
