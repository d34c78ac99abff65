//! The operator's MCP servers, on the real CLI: who has them, what they see, and what they may.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use drover_tests::chat::ErrorBody;
use drover_tests::harness::{Builder, ClaudeKind};
use drover_tests::upstream::Upstream;
use serde_json::{Value, json};

use crate::options::{ask, content, offered, told};
use crate::sessions::{builder, run};

const SECRET: &str = "a 'secret' $HOME of the server's";
const CALL: &str = r#"until told call mcp__notes__surroundings {} or say "heard""#;

/// Workers whose operator has configured a server, and one that does not start.
fn with_servers(upstream: &Upstream, dir: &Path, default: bool) -> Builder {
    // Slots may have users of their own.
    std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).expect("a passable directory");
    let script = dir.join("notes.py");
    std::fs::write(&script, include_str!("notes.py")).expect("the server is written");
    let servers = json!({"mcpServers": {
        "notes": {
            "command": "/usr/bin/python3", "args": [script, "one two"], "env": {"NOTES_TOKEN": SECRET}, "default": default,
        },
        "broken": {"command": "/usr/bin/false"},
    }});
    let file = dir.join("mcp.json");
    std::fs::write(&file, servers.to_string()).expect("the configuration is written");
    let path = |path: &Path| path.display().to_string();
    builder(upstream).env("DROVER_MCP_SERVERS", path(&file)).env("DROVER_SLOT_READ", path(&script))
}

#[tokio::test]
async fn who_asks_for_a_server_has_its_tools() {
    has_its_tools(ClaudeKind::Native).await;
}

#[tokio::test]
async fn who_asks_for_a_server_has_its_tools_in_the_javascript_build() {
    has_its_tools(ClaudeKind::JavaScript).await;
}

async fn has_its_tools(kind: ClaudeKind) {
    let (upstream, dir) = (Upstream::start(), tempfile::tempdir().expect("a directory"));
    let cluster = with_servers(&upstream, dir.path(), false).claude(kind).start().await;
    let client = cluster.client();
    let answer = ask(&client, CALL, json!({"mcp_servers": ["notes"], "tools": ["Read"]})).await;
    assert_eq!(content(&answer), "heard", "{}", answer.text());
    assert_eq!(offered(&upstream.calls_for(CALL)[0]), ["Read", "mcp__notes__surroundings"]);
    let heard = surroundings(&upstream, CALL);
    let variables: Vec<&String> = heard["environment"].as_object().expect("an environment").keys().collect();
    let known = ["HOME", "LANG", "LC_CTYPE", "NOTES_TOKEN", "OLDPWD", "PATH", "PWD", "SHLVL", "TMPDIR", "_"];
    assert!(
        variables.iter().all(|name| known.contains(&name.as_str())),
        "nothing of the CLI's: {variables:?}"
    );
    assert_eq!(heard["environment"]["NOTES_TOKEN"], SECRET);
    assert_eq!(heard["arguments"], json!(["one two"]));
    assert_eq!(
        answer.json()["files_changed"]["files"][0]["path"],
        "from-the-server",
        "it works in the project"
    );
    assert!(!cluster.logs().contains("of the server's"), "no log tells the secret");

    let without = run("true", "without");
    assert_eq!(content(&ask(&client, &without, json!(true)).await), "without");
    assert!(!offered(&upstream.calls_for(&without)[0]).iter().any(|tool| tool.starts_with("mcp__")));
    let out = r#"until told call mcp__notes__surroundings {"path":"/tmp/out-of-the-slot"} or say "walled""#;
    assert_eq!(content(&ask(&client, out, json!({"mcp_servers": ["notes"]})).await), "walled");
    assert_eq!(
        surroundings(&upstream, out)["refused"],
        "Permission denied",
        "it runs behind the slot's walls"
    );
    for (mode, may) in [("dontAsk", true), ("acceptEdits", true), ("plan", false)] {
        let prompt = CALL.replace("heard", mode);
        let answer = ask(&client, &prompt, json!({"mcp_servers": ["notes"], "permission_mode": mode})).await;
        assert_eq!(content(&answer), mode, "{}", answer.text());
        assert_eq!(
            told(&upstream, &prompt).contains("NOTES_TOKEN"),
            may,
            "{mode}: {}",
            told(&upstream, &prompt)
        );
    }
}

#[tokio::test]
async fn a_server_is_had_by_default_or_by_name_and_others_are_refused() {
    let (upstream, dir) = (Upstream::start(), tempfile::tempdir().expect("a directory"));
    let cluster = with_servers(&upstream, dir.path(), true).start().await;
    let client = cluster.client();
    assert_eq!(content(&ask(&client, CALL, json!(true)).await), "heard");
    let none = run("true", "none");
    assert_eq!(content(&ask(&client, &none, json!({"mcp_servers": []})).await), "none");
    assert!(!offered(&upstream.calls_for(&none)[0]).iter().any(|tool| tool.starts_with("mcp__")));
    let asked = upstream.calls().len();
    let unknown = ask(&client, "hello", json!({"mcp_servers": ["notes", "tickets"]})).await;
    let error = ErrorBody::of(&unknown.json());
    let expected = ("invalid_value", Some("agent.mcp_servers[1]"));
    assert_eq!((error.code.as_str(), error.param.as_deref()), expected, "{error:?}");
    assert!(error.message.contains("broken, notes"), "{error:?}");
    assert_eq!(upstream.calls().len(), asked, "the model was not asked");

    let broken = ask(&client, "say 1 words", json!({"mcp_servers": ["broken"]})).await;
    let job = broken.header("x-drover-job-id").expect("a job").parse().expect("an identifier");
    let events = drover_tests::desk::Desk::of(&cluster).await.events(job).await;
    assert!(format!("{events:?}").contains("The MCP server broken has not started."), "{events:?}");
}

/// What the server has told the model in the last round of this prompt.
fn surroundings(upstream: &Upstream, prompt: &str) -> Value {
    let body = upstream.calls_for(prompt).pop().expect("its calls").body;
    let texts = body["messages"].as_array().expect("messages").iter().flat_map(|message| {
        let parts = message["content"].as_array().cloned().unwrap_or_default();
        parts.into_iter().flat_map(|part| match &part["content"] {
            Value::String(text) => vec![text.clone()],
            Value::Array(all) => {
                all.iter().filter_map(|one| one["text"].as_str()).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        })
    });
    let told = texts.filter_map(|text| text.split("TOLD").nth(1).map(str::to_owned)).next_back();
    serde_json::from_str(&told.unwrap_or_else(|| panic!("the server has told nothing: {body}")))
        .expect("JSON")
}
