//! The pieces in which a stream tells an answer.

use drover_tests::chat::{self, Spoken, ask, streaming};
use drover_tests::harness::{ClaudeKind, Cluster};
use drover_tests::upstream::{Upstream, thoughts, words};
use serde_json::json;

/// The model says a few letters at a time.
const SAID: &str = "First one. Then naïve 👩‍👩‍👧!\n你好。And a last, longer sentence without an end";

#[tokio::test]
async fn a_stream_comes_in_the_pieces_that_were_asked_for_while_the_model_speaks() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().claude(ClaudeKind::Native).upstream(&upstream).start().await;
    let characters: Vec<&str> = SAID.split("").filter(|c| !c.is_empty()).collect();
    let family = characters.iter().position(|c| *c == "👩").expect("a family");
    let mut characters: Vec<String> = characters.into_iter().map(str::to_owned).collect();
    characters.splice(family..family + 5, ["👩‍👩‍👧".to_owned()]);
    let owned = |pieces: &[&str]| pieces.iter().map(|piece| (*piece).to_owned()).collect();
    for (granularity, expected) in [
        ("character", characters),
        (
            "word",
            owned(&[
                "First ",
                "one. ",
                "Then ",
                "naïve ",
                "👩‍👩‍👧!\n",
                "你",
                "好。",
                "And ",
                "a ",
                "last, ",
                "longer ",
                "sentence ",
                "without ",
                "an ",
                "end",
            ]),
        ),
        (
            "sentence",
            owned(&[
                "First one. ",
                "Then naïve 👩‍👩‍👧!\n",
                "你好。",
                "And a last, longer sentence without an end",
            ]),
        ),
        ("message", vec![SAID.to_owned()]),
    ] {
        let prompt = format!("say {} every 60ms", json!(SAID));
        let mut body = streaming(ask(&prompt));
        body["stream_options"] = json!({"granularity": granularity});
        let spoken = Spoken::of(cluster.client().stream(chat::PATH, &body).await).await;
        assert_eq!(spoken.pieces, expected, "{granularity}");
        assert_eq!((spoken.finish_reason.as_deref(), spoken.done), (Some("stop"), true));
        let calls = upstream.calls_for(&prompt);
        let last = calls.last().and_then(|call| call.deltas_at.last()).expect("the model has spoken");
        let early = spoken.chunks.iter().filter(|frame| frame.at < *last);
        let early = early.filter(|frame| frame.json()["choices"][0]["delta"]["content"].as_str() != Some(""));
        if granularity == "message" {
            assert_eq!(early.count(), 0, "a message is told when it ends");
        } else {
            assert!(early.count() > 1, "{granularity}: nothing came before the model's last word");
        }
    }
}

#[tokio::test]
async fn thoughts_come_in_pieces_too_and_calls_as_they_are() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().claude(ClaudeKind::Native).upstream(&upstream).start().await;
    let mut body = streaming(ask(r#"think 3 words then say 3 words then call now {"in a": "b c"}"#));
    body["tools"] = json!([{"type": "function", "function": {"name": "now"}}]);
    body["stream_options"] = json!({"granularity": "message", "include_usage": true});
    let spoken = Spoken::of(cluster.client().stream(chat::PATH, &body).await).await;
    assert_eq!((spoken.thoughts, spoken.pieces), (vec![thoughts(3)], vec![words(3)]));
    let calls: Vec<_> = spoken
        .chunks
        .iter()
        .map(|frame| frame.json()["choices"][0]["delta"]["tool_calls"][0].clone())
        .collect();
    let arguments: String = calls.iter().filter_map(|call| call["function"]["arguments"].as_str()).collect();
    assert_eq!(arguments, r#"{"in a":"b c"}"#);
    assert_eq!((spoken.finish_reason.as_deref(), spoken.usage.is_some()), (Some("tool_calls"), true));
}
