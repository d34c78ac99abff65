//! The real CLI behind the relay, in both builds.

use drover_shared::cli::invocation::Account;
use drover_shared::cli::{Build, invocation};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use super::super::Relay;
use super::provider::{Exchange, Provider, closed, delta, ended, opened, started, stop};
use super::session::{BUILDS, relay, spawn};
use super::{PLACEHOLDER, job, soon};

/// Lets the CLI have one turn. The lines it has written.
async fn turn(build: Build, home: &TempDir, relay: &Relay) -> Vec<Value> {
    let mut child = spawn(build, home.path(), relay, &invocation::chat_arguments(Account::Key));
    let user = invocation::user("0", PLACEHOLDER);
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(user.as_bytes()).await.expect("it reads");
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
    for build in BUILDS {
        let mut provider = Provider::start().await;
        let (home, relay) = relay(&provider, build);
        let binding = relay.bind(job());
        let speak = async {
            let asked = provider.asked().await;
            assert_eq!(asked.body["messages"][0]["content"][0]["text"], "What is a ferry?");
            asked.answer(" A boat.  ").await;
        };
        let (lines, ()) = tokio::join!(turn(build, &home, &relay), speak);
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
    for build in BUILDS {
        for status in [400, 401, 404, 429, 529] {
            let mut provider = Provider::start().await;
            let (home, relay) = relay(&provider, build);
            let binding = relay.bind(job());
            let error = json!({ "type": "error", "error": { "type": "x", "message": "as it is" } });
            let refuse = async { provider.asked().await.reply(status, "", &error.to_string()).await };
            let (lines, ()) = tokio::join!(turn(build, &home, &relay), refuse);
            let last = result(&lines);
            assert!(last["is_error"] == true && last["api_error_status"] == status, "{build:?} {last}");
            assert!(provider.is_idle(), "what the CLI asks again is answered from memory");
            assert_eq!(binding.report().forwarded, 1);
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_the_real_cli() {
    for build in BUILDS {
        let mut provider = Provider::start().await;
        let (home, relay) = relay(&provider, build);
        let binding = relay.bind(job());
        let break_off = async {
            let mut asked: Exchange = provider.asked().await;
            asked.begin().await;
            asked.send(&[started(), opened(), delta("half an ans")].concat()).await;
        };
        let (lines, ()) = tokio::join!(turn(build, &home, &relay), break_off);
        assert_eq!(result(&lines)["is_error"], true, "{build:?} {}", result(&lines));
        let report = binding.report();
        assert!(report.failure.is_some() && report.forwarded == 1 && provider.is_idle(), "{report:?}");
    }
}

/// A CLI whose answer was cut short by the output limit asks the model to go on.
#[tokio::test]
async fn the_real_cli_does_not_go_on_by_itself() {
    for build in BUILDS {
        let mut provider = Provider::start().await;
        let (home, relay) = relay(&provider, build);
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
        let (_, report) = tokio::join!(turn(build, &home, &relay), cut_short);
        assert!(
            report.answered && report.forwarded == 1 && report.failure.is_none() && provider.is_idle(),
            "{report:?}"
        );
    }
}
