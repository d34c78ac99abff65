//! Several answers to one request: one job, one stream, one bill.

use std::time::Instant;

use drover_tests::chat::{self, ErrorBody, ask, streaming};
use drover_tests::client::{Answer, Client, Events, Frame, PATIENCE};
use drover_tests::harness::{ClaudeKind, Cluster, wait_for};
use drover_tests::upstream::{Call, Ending, Upstream, words};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn the_native_cli_answers_several_times() {
    answers_several_times(ClaudeKind::Native).await;
}

#[tokio::test]
async fn the_javascript_cli_answers_several_times() {
    answers_several_times(ClaudeKind::JavaScript).await;
}

async fn answers_several_times(kind: ClaudeKind) {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().claude(kind).upstream(&upstream).start().await;
    let client = cluster.client();
    let prompt = "think 2 words then say 40 words every 100ms";
    let alone = client.post(chat::PATH, &ask(prompt)).await.json();
    let expected = &alone["choices"][0];
    upstream.forget();

    let whole = client.post(chat::PATH, &times(3, prompt)).await;
    assert_eq!(whole.status, 200, "{}", whole.text());
    assert!(whole.header("x-drover-provider").is_some());
    let body = whole.json();
    for index in 0..3 {
        let choice = json!({"index": index, "message": expected["message"], "logprobs": null, "finish_reason": "stop"});
        assert_eq!(body["choices"][index], choice);
    }
    assert_eq!(body["choices"].as_array().map(Vec::len), Some(3));
    let calls = upstream.calls_for(prompt);
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| call.body == calls[0].body), "each is asked for in the same way");
    assert!(overlap(&calls), "as the worker has room, they are asked for beside each other");
    one_bill(&client, &whole, &alone["usage"]).await;

    let mut request = streaming(times(3, prompt));
    request["stream_options"] = json!({"include_usage": true});
    let chunks = client.stream(chat::PATH, &request).await.all().await;
    let (done, chunks) = chunks.split_last().expect("frames");
    assert_eq!(done.data, "[DONE]");
    for index in 0..3 {
        assert_eq!(put_together(chunks, index), (words(40), "thought1 thought2".to_owned(), json!("stop")));
    }
    assert_eq!(chunks.last().expect("the usage").json()["usage"], body["usage"]);
    let first_of = |index: u64| chunks.iter().position(|chunk| chunk.json()["choices"][0]["index"] == index);
    let last_of = |index: u64| chunks.iter().rposition(|chunk| chunk.json()["choices"][0]["index"] == index);
    let began = (0..3).map(first_of).max().expect("three");
    assert!(began < (0..3).map(last_of).min().expect("three"), "the choices come as they are spoken");
}

fn times(n: u32, prompt: &str) -> Value {
    let mut body = ask(prompt);
    body["n"] = n.into();
    body
}

/// Whether some time is common to all calls.
fn overlap(calls: &[Call]) -> bool {
    let began: Option<Instant> = calls.iter().filter_map(|call| call.deltas_at.first().copied()).max();
    let ended: Option<Instant> = calls.iter().filter_map(|call| call.deltas_at.last().copied()).min();
    began < ended
}

/// The usage is three times that of one, in the answer, the job and the ledger.
async fn one_bill(client: &Client, answer: &Answer, once: &Value) {
    let body = answer.json();
    let of = |usage: &Value, name: &str| usage[name].as_u64().expect("a number");
    for name in ["prompt_tokens", "completion_tokens", "total_tokens"] {
        assert_eq!(of(&body["usage"], name), 3 * of(once, name), "{name}");
    }
    let shown = client.get(&format!("/v1/jobs/{}", job(answer))).await.json();
    assert_eq!((&shown["status"], &shown["attempts"]), (&json!("completed"), &json!(1)));
    let calls = shown["calls"].as_array().expect("calls");
    assert!(calls.len() == 3 && calls.iter().all(|call| call["outcome"] == "answered"), "{shown}");
    let cost: u64 = calls.iter().map(|call| of(&call["usage"], "cost_microusd")).sum();
    assert!(cost > 0 && shown["cost_microusd"] == cost && shown["usage"]["cost_microusd"] == cost, "{shown}");
}

fn job(answer: &Answer) -> &str {
    answer.header("x-drover-job-id").expect("an answer names its job")
}

/// Text, reasoning and end of one of the choices.
fn put_together(chunks: &[Frame], index: u64) -> (String, String, Value) {
    let (mut text, mut thoughts, mut reason) = (String::new(), String::new(), Value::Null);
    for chunk in chunks.iter().map(Frame::json) {
        let choice = &chunk["choices"][0];
        if choice["index"] == index {
            text += choice["delta"]["content"].as_str().unwrap_or_default();
            thoughts += choice["delta"]["reasoning_content"].as_str().unwrap_or_default();
            reason = choice["finish_reason"].clone();
        }
    }
    (text, thoughts, reason)
}

#[tokio::test]
async fn without_room_the_answers_follow_each_other() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().env("DROVER_SLOTS", "1").upstream(&upstream).start().await;
    let prompt = "say 3 words";
    let answer = cluster.client().post(chat::PATH, &times(4, prompt)).await.json();
    let said: Vec<_> = answer["choices"].as_array().expect("choices").iter().collect();
    assert_eq!(said.len(), 4);
    assert!(said.iter().all(|choice| choice["message"]["content"] == words(3)), "{answer}");
    let calls = upstream.calls_for(prompt);
    assert_eq!(calls.len(), 4);
    for pair in calls.windows(2) {
        assert!(pair[0].deltas_at.last().expect("it has spoken") < &pair[1].started, "one at a time");
    }
}

#[tokio::test]
async fn what_ends_one_answer_ends_all() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().upstream(&upstream).start().await;
    let client = cluster.client();
    let prompt = r#"1 times status 400 "no" or say 1000 words every 50ms"#;
    let answer = client.post(chat::PATH, &times(2, prompt)).await;
    assert_eq!(
        (answer.status.as_u16(), ErrorBody::of(&answer.json()).code.as_str()),
        (400, "invalid_request")
    );
    let shown = client.get(&format!("/v1/jobs/{}", job(&answer))).await.json();
    assert_eq!(shown["status"], "failed");
    cluster.wait_until_no_descendants().await;
    let calls = upstream.calls_for(prompt);
    let spoke = calls.iter().filter(|call| !call.deltas_at.is_empty());
    assert!(spoke.map(|call| call.ending).all(|ending| ending == Ending::ClientLeft), "{calls:?}");
}

#[tokio::test]
async fn a_client_that_leaves_stops_all() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().upstream(&upstream).start().await;
    let client = cluster.client();
    let prompt = "say 1000 words every 50ms";
    let mut stream = client.stream(chat::PATH, &streaming(times(2, prompt))).await;
    let id = stream.header("x-drover-job-id").expect("a job").to_owned();
    let mut heard = std::collections::BTreeSet::new();
    while heard.len() < 2 {
        let chunk = stream.next().await.expect("both answers speak").json();
        heard.extend(chunk["choices"][0]["index"].as_u64());
    }
    drop(stream);
    wait_for("the job is called off", PATIENCE, async || {
        (client.get(&format!("/v1/jobs/{id}")).await.json()["status"] == "cancelled").then_some(())
    })
    .await;
    wait_for("the model is stopped", PATIENCE, async || {
        let calls = upstream.calls_for(prompt);
        (calls.len() == 2 && calls.iter().all(|call| call.ending == Ending::ClientLeft)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_answer_whose_process_dies_in_silence_is_asked_for_again() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().cold().claude(ClaudeKind::Native).upstream(&upstream).start().await;
    let client = cluster.client();
    let prompt = "1 times wait 60s then say 20 words or say 20 words";
    let mut stream = client.stream(chat::PATH, &streaming(times(2, prompt))).await;
    let id = stream.header("x-drover-job-id").expect("a job").to_owned();
    let mut chunks = vec![stream.next().await.expect("one of them speaks")];
    // One answer is whole, and the job knows it.
    let mut events = Events::open(client.request(Method::GET, &format!("/v1/jobs/{id}/events"))).await;
    while events.next().await.expect("the job goes on").event.as_deref() != Some("message_stopped") {}
    for process in cluster.descendants().iter().filter(|kin| kin.command.contains("/claude")) {
        // Its supervisor, which has the same name, sees to the rest.
        let _gone = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
    }
    chunks.extend(stream.all().await);
    assert_eq!(chunks.pop().expect("an end").data, "[DONE]");
    for index in 0..2 {
        assert_eq!(put_together(&chunks, index), (words(20), String::new(), json!("stop")));
    }
    let shown = client.get(&format!("/v1/jobs/{id}")).await.json();
    assert_eq!((&shown["status"], &shown["attempts"]), (&json!("completed"), &json!(1)));
    let outcomes: Vec<_> =
        shown["calls"].as_array().expect("calls").iter().map(|call| &call["outcome"]).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "answered").count(), 2, "{shown}");
    assert_eq!(outcomes.len(), 3, "{shown}");
}
