//! The scripted provider against its own promises.

use drover_tests::client::{Answer, Client, Events, Frame, PATIENCE};
use drover_tests::upstream::{Ending, Upstream, echo_text, thoughts, words};
use serde_json::{Value, json};
use std::time::Duration;

fn body(prompt: &str) -> Value {
    json!({
        "model": "m", "max_tokens": 1000, "stream": true,
        "messages": [{"role": "user", "content": [{"type": "text", "text": prompt}]}],
    })
}

async fn post(upstream: &Upstream, body: &Value) -> Answer {
    Client::new(upstream.url()).post("/v1/messages", body).await
}

async fn stream(upstream: &Upstream, body: &Value) -> Events {
    Client::new(upstream.url()).stream("/v1/messages?beta=true", body).await
}

fn deltas(frames: &[Frame], field: &str) -> Vec<String> {
    let deltas = frames.iter().filter_map(|frame| frame.json()["delta"][field].as_str().map(str::to_owned));
    deltas.collect()
}

fn kinds(frames: &[Frame]) -> Vec<String> {
    frames.iter().map(|frame| frame.json()["type"].as_str().expect("a type").to_owned()).collect()
}

#[tokio::test]
async fn a_streamed_message_has_the_shape_of_the_api() {
    let upstream = Upstream::start();
    let frames = stream(&upstream, &body("think 2 words then say 3 words")).await.all().await;
    let expected = "message_start ping \
        content_block_start content_block_delta content_block_delta content_block_delta content_block_stop \
        content_block_start content_block_delta content_block_delta content_block_delta content_block_stop \
        message_delta message_stop";
    assert_eq!(kinds(&frames), expected.split_whitespace().collect::<Vec<_>>());
    assert!(frames.iter().all(|frame| frame.event.as_deref() == frame.json()["type"].as_str()));
    assert_eq!(deltas(&frames, "thinking").concat(), thoughts(2));
    assert_eq!(deltas(&frames, "text").concat(), words(3));
    assert_eq!(deltas(&frames, "signature").len(), 1);
    assert_eq!(deltas(&frames, "stop_reason"), ["end_turn"]);

    let call = upstream.wait_for("it is complete", PATIENCE, |call| call.ending == Ending::Complete).await;
    let billed = call.usage.expect("a complete call is billed");
    let told = &frames[frames.len() - 2].json()["usage"];
    assert_eq!(told["output_tokens"], billed.output_tokens);
    assert_eq!(told["cache_read_input_tokens"], billed.cache_read_input_tokens);
    assert_eq!(frames[0].json()["message"]["usage"]["input_tokens"], billed.input_tokens);
    assert_eq!(call.request, "POST /v1/messages?beta=true");
    assert_eq!(call.deltas_at.len(), 6);
    assert_eq!(call.events, frames.len());
}

#[tokio::test]
async fn a_whole_message_equals_the_streamed_one() {
    let upstream = Upstream::start();
    let prompt = r#"think "hm hm" then say " exact  text\n" then call get_weather {"city":"Paris"}"#;
    let mut whole = body(prompt);
    whole["stream"] = json!(false);
    let message = post(&upstream, &whole).await.json();
    let frames = stream(&upstream, &body(prompt)).await.all().await;
    assert_eq!(message["content"][0]["thinking"], deltas(&frames, "thinking").concat());
    assert_eq!(message["content"][1]["text"], " exact  text\n");
    assert_eq!(deltas(&frames, "text").concat(), " exact  text\n");
    assert_eq!(message["content"][2]["input"], json!({"city": "Paris"}));
    assert_eq!(deltas(&frames, "partial_json").concat(), r#"{"city":"Paris"}"#);
    assert_eq!(message["stop_reason"], "tool_use");
    assert_eq!(deltas(&frames, "stop_reason"), ["tool_use"]);
}

#[tokio::test]
async fn the_bodys_limits_are_honoured() {
    let upstream = Upstream::start();
    let mut short = body("say 5 words");
    short["max_tokens"] = json!(2);
    let frames = stream(&upstream, &short).await.all().await;
    assert_eq!(deltas(&frames, "text").concat(), words(2));
    assert_eq!(deltas(&frames, "stop_reason"), ["max_tokens"]);

    let mut stopped = body(r#"say "one two three""#);
    stopped["stop_sequences"] = json!(["three", "o t"]);
    let frames = stream(&upstream, &stopped).await.all().await;
    assert_eq!(deltas(&frames, "text").concat(), "one tw");
    assert_eq!(deltas(&frames, "stop_reason"), ["stop_sequence"]);
    assert_eq!(deltas(&frames, "stop_sequence"), ["o t"]);
}

#[tokio::test]
async fn other_ends_and_contents() {
    let upstream = Upstream::start();
    for (prompt, text, reason) in [
        ("refuse", String::new(), "refusal"),
        ("say 2 words then max_tokens", words(2), "max_tokens"),
        ("empty", String::new(), "end_turn"),
        ("big 10MB", "x".repeat(10 << 20), "end_turn"),
        ("echo", body("echo").to_string(), "end_turn"),
        ("what is this?", echo_text("what is this?"), "end_turn"),
    ] {
        let frames = stream(&upstream, &body(prompt)).await.all().await;
        assert!(deltas(&frames, "text").concat() == text, "{prompt}");
        assert_eq!(deltas(&frames, "stop_reason"), [reason], "{prompt}");
    }
}

#[tokio::test]
async fn errors_have_the_shape_of_the_api() {
    let upstream = Upstream::start();
    let answer = post(&upstream, &body("status 429 retry-after 2")).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("2")));
    assert_eq!(answer.json()["error"]["type"], "rate_limit_error");
    let answer = post(&upstream, &body(r#"status 400 "prompt is too long: 2 > 1""#)).await;
    assert_eq!(
        answer.json()["error"],
        json!({"type": "invalid_request_error", "message": "prompt is too long: 2 > 1"})
    );
    assert_eq!(answer.json()["request_id"], answer.header("request-id").expect("a request id"));
    let answer = post(&upstream, &body("content-type text/html")).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("text/html")));
    let answer = post(&upstream, &body("redirect")).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (302, Some("/elsewhere")));
    assert_eq!(Client::new(upstream.url()).get("/elsewhere").await.status.as_u16(), 404);
    assert_eq!(post(&upstream, &json!({"model": "m"})).await.status.as_u16(), 400);
    let flaky = body("2 times status 529 or say 1 words");
    let statuses =
        [post(&upstream, &flaky).await, post(&upstream, &flaky).await, post(&upstream, &flaky).await];
    assert_eq!(statuses.map(|answer| answer.status.as_u16()), [529, 529, 200]);
}

#[tokio::test]
async fn answers_break_off_on_request() {
    let upstream = Upstream::start();
    let frames = stream(&upstream, &body("truncate after 2")).await.all().await;
    assert_eq!(deltas(&frames, "text").concat(), words(2));
    assert_eq!(kinds(&frames).last().map(String::as_str), Some("content_block_delta"));
    let frames = stream(&upstream, &body("error after 2")).await.all().await;
    assert_eq!(frames[frames.len() - 1].json()["error"]["type"], "overloaded_error");

    let mut reset = stream(&upstream, &body("reset after 2")).await;
    let mut text = String::new();
    let error = loop {
        match reset.try_next().await {
            Ok(Some(frame)) => text.push_str(&deltas(&[frame], "text").concat()),
            Ok(None) => panic!("a reset is no clean end"),
            Err(error) => break error,
        }
    };
    assert_eq!(text, words(2));
    assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");
    let request = Client::new(upstream.url()).request(reqwest::Method::POST, "/v1/messages");
    let error = Answer::try_of(request.json(&body("reset before headers"))).await.expect_err("no answer");
    assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");
    assert_eq!(upstream.calls().iter().filter(|call| call.ending == Ending::Cut).count(), 4);
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed() {
    let upstream = Upstream::start();
    let mut stalled = stream(&upstream, &body("stall after 3")).await;
    while deltas(&[stalled.next().await.expect("it stalls, it does not end")], "text") != [" word3"] {}
    assert_eq!(upstream.calls()[0].ending, Ending::Answering);
    drop(stalled);
    let call = upstream.wait_for("its client left", PATIENCE, |call| call.ending == Ending::ClientLeft).await;
    assert_eq!(call.deltas_at.len(), 3);

    let request = Client::new(upstream.url()).request(reqwest::Method::POST, "/v1/messages");
    let silent = tokio::spawn(Answer::try_of(request.json(&body("stall before headers"))));
    upstream.wait_for("it stalls", PATIENCE, |call| call.prompt == "stall before headers").await;
    silent.abort();
    upstream
        .wait_for("its client left too", PATIENCE, |call| {
            call.prompt == "stall before headers" && call.ending == Ending::ClientLeft
        })
        .await;
}

#[tokio::test]
async fn words_keep_their_distance() {
    let upstream = Upstream::start();
    stream(&upstream, &body("say 5 words every 20ms")).await.all().await;
    let call = upstream.wait_for("it is complete", PATIENCE, |call| call.ending == Ending::Complete).await;
    // Timers fire late, never early.
    let due = (1..=5).map(|word| call.started + Duration::from_millis(20 * word));
    for (sent, due) in call.deltas_at.iter().zip(due) {
        assert!(*sent >= due, "{:?} too early", due - *sent);
    }
}
