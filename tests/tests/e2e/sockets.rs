//! Jobs over a WebSocket, by clients that others have written, at two apis.

use drover_tests::foreign::{self, Language};
use drover_tests::harness::{ClaudeKind, Cluster};
use drover_tests::upstream::{Upstream, words};

#[tokio::test]
async fn libraries_submit_stream_come_back_list_and_call_off() {
    let upstream = Upstream::start();
    let builder = Cluster::builder().claude(ClaudeKind::Native).upstream(&upstream);
    let mut cluster = builder.env("API_KEYS", "sesame").start().await;
    let other = cluster.add_api().await;
    let apis = format!("{},{}", cluster.api_url(), other.url());
    let environment = [("APIS", apis.as_str()), ("KEY", "sesame")];
    for (language, script) in [(Language::Python, "sockets.py"), (Language::Node, "sockets.mjs")] {
        let said = foreign::run(language, &foreign::script(script), &environment).await;
        assert_eq!(said.trim_end(), words(40), "{script}");
    }
    let logs = cluster.logs();
    assert!(
        logs.contains("added over a WebSocket") && !logs.contains("ticket-drover-"),
        "no ticket is logged"
    );
}
