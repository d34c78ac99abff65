//! The scripted CLI beside the real one: driven the same way against the same prompts, both print the same
//! events.

use drover_tests::client::PATIENCE;
use drover_tests::harness::{ClaudeKind, DirectCli};
use drover_tests::scripted::Fault;
use drover_tests::upstream::{Ending, Upstream, words};
use serde_json::{Value, json};
use std::os::unix::process::ExitStatusExt as _;

const REAL: ClaudeKind = ClaudeKind::Native;
const STAND_IN: ClaudeKind = ClaudeKind::Scripted(None);

/// What of a turn has to agree: every upstream event, every message, and how the turn ended. Numbers of
/// messages and calls depend on what else the upstream served, made-up ids on nothing.
fn essence(lines: &[Value]) -> Vec<Value> {
    lines.iter().filter_map(one_essence).collect()
}

fn one_essence(line: &Value) -> Option<Value> {
    match line["type"].as_str()? {
        "stream_event" => {
            let mut event = line["event"].clone();
            for usage in ["/message/usage", "/usage"] {
                // The system prompts differ, and input is billed by the word.
                if let Some(usage) = event.pointer_mut(usage).and_then(Value::as_object_mut) {
                    usage.remove("input_tokens");
                }
            }
            if event["type"] == "message_delta" && event["delta"]["stop_reason"].is_null() {
                // The CLI's own end of a message that broke off.
                return Some(json!({"broke_off": event["type"]}));
            }
            Some(event)
        }
        "assistant" if line["message"]["model"] == "<synthetic>" => Some(json!({
            "made_up": line["message"]["stop_reason"], "error": line["error"],
            "status": line["api_error_status"], "kind": line["api_error_type"],
        })),
        "assistant" => Some(json!({"said": line["message"]["content"]})),
        "user" => Some(json!({"told": line["message"]["content"]})),
        "result" => Some(json!({
            "result": line["subtype"], "is_error": line["is_error"], "status": line["api_error_status"],
            "stop_reason": line["stop_reason"], "terminal_reason": line["terminal_reason"],
        })),
        _ => None,
    }
}

async fn turn(kind: ClaudeKind, prompt: &str) -> (Vec<Value>, Option<i32>, Upstream) {
    let upstream = Upstream::start();
    let mut cli = DirectCli::start(kind, &upstream.url());
    cli.initialize().await;
    let lines = cli.turn(prompt).await;
    (essence(&lines), cli.finish().await.code(), upstream)
}

#[tokio::test]
async fn the_stand_in_prints_what_the_real_cli_prints() {
    for prompt in [
        "say 5 words",
        r#"think 3 words then say " exact  text\n" then wait 20ms then say "more""#,
        r#"say "let me see" then call get_weather {"city":"Paris"}"#,
        "reset before headers",
        "truncate after 3",
        "reset after 3",
        "error after 3",
        "think 2 words then truncate after 2",
        "empty",
        "refuse",
        "say 2 words then refuse",
        "status 401",
        "status 403",
        "status 429",
        "status 500",
        "status 529",
        r#"status 400 "prompt is too long: 2 > 1""#,
        "status 413",
    ] {
        // A tool call is answered by the CLI, which then calls again with the same last text.
        let calls_a_tool = prompt.contains("call ");
        let prompt =
            if calls_a_tool { format!("1 times {prompt} or say 2 words") } else { prompt.to_owned() };
        let (real, real_exit, real_upstream) = turn(REAL, &prompt).await;
        let (stand_in, stand_in_exit, stand_in_upstream) = turn(STAND_IN, &prompt).await;
        for (stand_in, real) in stand_in.iter().zip(&real) {
            assert_eq!(stand_in, real, "{prompt}");
        }
        assert_eq!(stand_in.len(), real.len(), "{prompt}");
        assert_eq!(stand_in_exit, real_exit, "{prompt}");
        assert_eq!(stand_in_upstream.calls().len(), real_upstream.calls().len(), "calls for {prompt}");
    }
}

#[tokio::test]
async fn the_stand_in_asks_as_the_real_cli_asks() {
    let mut asked = Vec::new();
    for kind in [REAL, STAND_IN] {
        let (_, _, upstream) = turn(kind, "say 1 words").await;
        let call = upstream.calls().remove(0);
        let mut messages = call.body["messages"].clone();
        messages[0]["content"][0].as_object_mut().expect("a text block").remove("cache_control");
        let head = ["x-api-key", "anthropic-version", "user-agent", "content-type"]
            .map(|name| call.headers[name].clone());
        let body = json!({"messages": messages, "model": call.body["model"], "stream": call.body["stream"],
            "max_tokens": call.body["max_tokens"], "tools": call.body["tools"]});
        asked.push((call.request, head, body));
    }
    assert_eq!(asked[0], asked[1]);
}

#[tokio::test]
async fn both_stop_when_interrupted_and_work_on() {
    for kind in [REAL, STAND_IN] {
        let upstream = Upstream::start();
        let mut cli = DirectCli::start(kind, &upstream.url());
        cli.initialize().await;
        cli.user("stall after 3").await;
        cli.until(|line| line["event"]["delta"]["text"] == " word3").await;
        cli.control("interrupt").await;
        let lines = cli.until(|line| line["type"] == "result").await;
        let result = lines.last().expect("a result");
        assert_eq!(result["terminal_reason"], "aborted_streaming", "{kind:?}");
        assert_eq!(result["subtype"], "error_during_execution", "{kind:?}");
        upstream.wait_for("its client left", PATIENCE, |call| call.ending == Ending::ClientLeft).await;
        let lines = cli.turn("say 2 words").await;
        assert_eq!(lines.last().expect("a result")["result"], words(2), "{kind:?}");
        assert!(cli.finish().await.success(), "{kind:?}");
    }
}

#[tokio::test]
async fn faults_are_what_they_are_called() {
    let upstream = Upstream::start();
    for (fault, exit) in
        [(Fault::Garbage, 0), (Fault::Flood, 0), (Fault::Line20Mb, 0), (Fault::Grandchildren, 0)]
    {
        let mut cli = DirectCli::start(ClaudeKind::Scripted(Some(fault)), &upstream.url());
        cli.initialize().await;
        let lines = cli.turn("say 2 words").await;
        assert_eq!(lines.last().expect("a result")["result"], words(2), "{fault}");
        if fault != Fault::Grandchildren {
            assert_eq!(cli.finish().await.code(), Some(exit), "{fault}");
        }
    }
    let mut cli = DirectCli::start(ClaudeKind::Scripted(Some(Fault::CrashAfter(2))), &upstream.url());
    cli.user("say 5 words").await;
    cli.until(|line| line["event"]["delta"]["text"] == " word2").await;
    assert_eq!(cli.finish().await.signal(), Some(9));
    let cli = DirectCli::start(ClaudeKind::Scripted(Some(Fault::Exit1)), &upstream.url());
    assert_eq!(cli.finish().await.code(), Some(1));
    let mut cli = DirectCli::start(ClaudeKind::Scripted(Some(Fault::SpeakTwice)), &upstream.url());
    let lines = essence(&cli.turn("say 1 words").await);
    assert_eq!(lines.iter().filter(|line| line["delta"]["text"] == "word1").count(), 2);
}
