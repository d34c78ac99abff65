//! What each permission mode lets an agent do, on both builds.

use drover_tests::harness::ClaudeKind;
use drover_tests::upstream::Upstream;
use serde_json::{Value, json};

use crate::options::{ask, content};
use crate::sessions::builder;

/// Reads, edits, and runs what does more, each in a turn of its own; then says what there is.
const TRIES: &str = r#"until told call Write {"file_path":"written","content":"w"} then call Bash {"command":"echo ran > redirected"} then call Bash {"command":"python3 -c 'open(\"opened\", \"w\")'"} then call Bash {"command":"ls -a; echo READ"} or say "tried""#;

#[tokio::test]
async fn each_permission_mode_allows_what_it_says() {
    modes(ClaudeKind::Native).await;
}

#[tokio::test]
async fn each_permission_mode_of_the_javascript_build_allows_what_it_says() {
    modes(ClaudeKind::JavaScript).await;
}

async fn modes(kind: ClaudeKind) {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).claude(kind).start().await;
    let client = cluster.client();
    for (mode, changed) in [
        ("bypassPermissions", &["opened", "redirected", "written"][..]),
        ("acceptEdits", &["redirected", "written"]),
        ("plan", &[]),
        ("dontAsk", &[]),
    ] {
        // Another prompt for each, since the upstream tells calls apart by it.
        let prompt = TRIES.replace("tried", mode);
        let answer = ask(&client, &prompt, json!({"permission_mode": mode})).await;
        assert_eq!(content(&answer), mode, "{}", answer.text());
        let told = answer.json()["files_changed"].clone();
        let paths: Vec<&str> = told["files"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|file| file["path"].as_str())
            .collect();
        assert_eq!((paths, &told["complete"]), (changed.to_vec(), &Value::Bool(true)), "{mode}");
        let messages = upstream.calls_for(&prompt).pop().expect("its calls").body["messages"].to_string();
        assert!(
            messages.contains("READ\"") || messages.contains("READ\\\""),
            "{mode}: reading goes: {messages}"
        );
    }
}
