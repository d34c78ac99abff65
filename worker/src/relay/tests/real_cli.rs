//! The real CLI behind the relay, in both builds.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

use drover_shared::cli::invocation::chat_arguments;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::super::{Address, Relay};
use super::provider::{Exchange, Provider, closed, delta, ended, opened, started, stop};
use super::{PLACEHOLDER, job, soon};

/// Both builds, as program and first argument.
fn builds() -> Vec<(OsString, Option<OsString>)> {
    let native = part("DROVER_TEST_CLAUDE_NATIVE", "native", "bin/claude.exe");
    let script = part("DROVER_TEST_CLAUDE_JS", "js", "cli.js");
    vec![(native, None), ("node".into(), Some(script))]
}

/// A CLI that `tests/setup.sh` has installed, or that the variable names.
fn part(variable: &str, build: &str, file: &str) -> OsString {
    let installed = format!("../.drover/test/{build}/node_modules/@anthropic-ai/claude-code/{file}");
    let installed = || Path::new(env!("CARGO_MANIFEST_DIR")).join(installed).into_os_string();
    let path = std::env::var_os(variable).unwrap_or_else(installed);
    assert!(Path::new(&path).exists(), "{} is missing: run tests/setup.sh", Path::new(&path).display());
    path
}

/// A relay of the kind that the build can reach.
fn relay(provider: &Provider, is_script: bool) -> (TempDir, Relay) {
    if is_script {
        let relay = Relay::loopback(provider.upstream()).expect("a relay");
        return (TempDir::new().expect("a folder"), relay);
    }
    super::relay(provider.upstream())
}

/// Lets the CLI have one turn. The lines it has written.
async fn turn(build: &(OsString, Option<OsString>), home: &TempDir, relay: &Relay) -> Vec<Value> {
    let mut command = Command::new(&build.0);
    command.args(&build.1).args(chat_arguments()).env_clear();
    match relay.address() {
        Address::Unix(path) => {
            command.env("ANTHROPIC_UNIX_SOCKET", path).env("ANTHROPIC_BASE_URL", "http://relay.invalid")
        }
        Address::Loopback(at) => command.env("ANTHROPIC_BASE_URL", format!("http://{at}")),
    };
    let mut child = command
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs([("CLAUDE_CODE_MAX_RETRIES", "0"), ("CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK", "1")])
        .envs([("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"), ("DISABLE_AUTOUPDATER", "1")])
        .env("HOME", home.path())
        .env("ANTHROPIC_API_KEY", relay.token().expose())
        .current_dir(home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the CLI starts");
    let message = json!({ "role": "user", "content": [{ "type": "text", "text": PLACEHOLDER }] });
    let user =
        json!({ "type": "user", "client_composed": true, "parent_tool_use_id": null, "message": message });
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(format!("{user}\n").as_bytes()).await.expect("it reads");
    drop(stdin);
    let output = soon(child.wait_with_output()).await.expect("it ends");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn result(lines: &[Value]) -> &Value {
    lines.iter().find(|line| line["type"] == "result").expect("a result")
}

#[tokio::test]
async fn the_answer_comes_out_of_the_real_cli() {
    for build in builds() {
        let mut provider = Provider::start().await;
        let (home, relay) = relay(&provider, build.1.is_some());
        let binding = relay.bind(job());
        let speak = async {
            let asked = provider.asked().await;
            assert_eq!(asked.body["messages"][0]["content"][0]["text"], "What is a ferry?");
            asked.answer(" A boat.  ").await;
        };
        let (lines, ()) = tokio::join!(turn(&build, &home, &relay), speak);
        assert_eq!(result(&lines)["is_error"], false, "{build:?} {}", result(&lines));
        let said = lines.iter().filter_map(|line| line["event"]["delta"]["text"].as_str());
        assert_eq!(said.collect::<String>(), " A boat.  ", "{build:?}");
        let report = binding.report();
        assert!(report.answered && report.forwarded == 1 && provider.is_idle(), "{build:?} {report:?}");
        assert_eq!(report.usage.input_tokens, 250_000);
    }
}

#[tokio::test]
async fn an_error_comes_out_of_the_real_cli_once() {
    for build in builds() {
        for status in [400, 401, 404, 429, 529] {
            let mut provider = Provider::start().await;
            let (home, relay) = relay(&provider, build.1.is_some());
            let binding = relay.bind(job());
            let error = json!({ "type": "error", "error": { "type": "x", "message": "as it is" } });
            let refuse = async { provider.asked().await.reply(status, "", &error.to_string()).await };
            let (lines, ()) = tokio::join!(turn(&build, &home, &relay), refuse);
            let last = result(&lines);
            assert!(last["is_error"] == true && last["api_error_status"] == status, "{build:?} {last}");
            assert!(provider.is_idle(), "what the CLI asks again is answered from memory");
            assert_eq!(binding.report().forwarded, 1);
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_the_real_cli() {
    for build in builds() {
        let mut provider = Provider::start().await;
        let (home, relay) = relay(&provider, build.1.is_some());
        let binding = relay.bind(job());
        let break_off = async {
            let mut asked: Exchange = provider.asked().await;
            asked.begin().await;
            asked.send(&[started(), opened(), delta("half an ans")].concat()).await;
        };
        let (lines, ()) = tokio::join!(turn(&build, &home, &relay), break_off);
        assert_eq!(result(&lines)["is_error"], true, "{build:?} {}", result(&lines));
        let report = binding.report();
        assert!(report.failure.is_some() && report.forwarded == 1 && provider.is_idle(), "{report:?}");
    }
}

/// A CLI whose answer was cut short by the output limit asks the model to go on.
#[tokio::test]
async fn the_real_cli_does_not_go_on_by_itself() {
    for build in builds() {
        let mut provider = Provider::start().await;
        let (home, relay) = relay(&provider, build.1.is_some());
        let binding = relay.bind(job());
        let cut_short = async {
            let mut asked = provider.asked().await;
            asked.begin().await;
            for frame in [started(), opened(), delta("half"), closed(), ended("max_tokens"), stop()] {
                asked.send(&frame).await;
            }
            asked.finish().await;
            let mut watch = binding.watch();
            let held = soon(watch.wait_for(|report| report.held > 0)).await.expect("a report").clone();
            drop(binding);
            held
        };
        let (_, report) = tokio::join!(turn(&build, &home, &relay), cut_short);
        assert!(
            report.answered && report.forwarded == 1 && report.failure.is_none() && provider.is_idle(),
            "{report:?}"
        );
    }
}
