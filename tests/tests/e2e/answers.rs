//! What an answer tells besides its text: reasoning, why it ended, and what it cost.

use drover_tests::chat::{self, Spoken, ask, streaming};
use drover_tests::client::PATIENCE;
use drover_tests::harness::{ClaudeKind, Cluster};
use drover_tests::upstream::{Call, Ending, Upstream, thoughts};
use serde_json::{Value, json};

#[tokio::test]
async fn the_native_cli_tells_all_of_an_answer() {
    all_of_an_answer_is_told(ClaudeKind::Native).await;
}

#[tokio::test]
async fn the_javascript_cli_tells_all_of_an_answer() {
    all_of_an_answer_is_told(ClaudeKind::JavaScript).await;
}

async fn all_of_an_answer_is_told(kind: ClaudeKind) {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().claude(kind).upstream(&upstream).start().await;
    usage_is_what_was_billed(&cluster, &upstream).await;
    usage_is_streamed_when_asked_for(&cluster, &upstream).await;
    thinking_is_reasoning_content(&cluster).await;
    the_end_has_its_reason(&cluster, kind).await;
}

async fn usage_is_what_was_billed(cluster: &Cluster, upstream: &Upstream) {
    let prompt = "say 5 words";
    let answer = cluster.client().post(chat::PATH, &ask(prompt)).await;
    assert_usage(&answer.json()["usage"], &billed(upstream, prompt).await);
    let job = answer.header("x-drover-job-id").expect("a job");
    let job = cluster.client().get(&format!("/v1/jobs/{job}")).await.json();
    let billed = billed(upstream, prompt).await.usage.expect("a bill");
    let expected = json!({
        "input_tokens": billed.input_tokens, "output_tokens": billed.output_tokens,
        "cache_read_tokens": billed.cache_read_input_tokens,
        "cache_write_tokens": billed.cache_creation_input_tokens, "thinking_tokens": 0,
        "web_searches": 0, "cost_microusd": job["cost_microusd"], "unpriced_calls": 0,
    });
    assert!(job["cost_microusd"].as_u64() > Some(0), "{job}");
    assert_eq!(job["usage"], expected);
}

async fn usage_is_streamed_when_asked_for(cluster: &Cluster, upstream: &Upstream) {
    let prompt = "say 6 words";
    let mut body = streaming(ask(prompt));
    body["stream_options"] = json!({"include_usage": true});
    let spoken = Spoken::of(cluster.client().stream(chat::PATH, &body).await).await;
    assert_usage(spoken.usage.as_ref().expect("the usage"), &billed(upstream, prompt).await);
    let (last, before) = spoken.chunks.split_last().expect("chunks");
    assert!(last.json()["usage"].is_object(), "the usage comes last");
    assert!(before.iter().all(|chunk| chunk.json().get("usage") == Some(&Value::Null)));
    let silent = cluster.client().stream(chat::PATH, &streaming(ask("say 7 words"))).await;
    let silent = Spoken::of(silent).await;
    assert!(silent.done && silent.chunks.iter().all(|chunk| chunk.json().get("usage").is_none()));
}

async fn thinking_is_reasoning_content(cluster: &Cluster) {
    let prompt = "think 4 words then say \"done\"";
    let answer = cluster.client().post(chat::PATH, &ask(prompt)).await.json();
    let message = &answer["choices"][0]["message"];
    assert_eq!((&message["reasoning_content"], &message["content"]), (&thoughts(4).into(), &"done".into()));
    let spoken = Spoken::of(cluster.client().stream(chat::PATH, &streaming(ask(prompt))).await).await;
    assert_eq!((spoken.thoughts.len(), spoken.thoughts.concat()), (4, thoughts(4)));
    assert_eq!(spoken.text(), "done");
}

async fn the_end_has_its_reason(cluster: &Cluster, kind: ClaudeKind) {
    for (prompt, limits, text, reason) in [
        ("say \"whole\"", json!({}), "whole", "stop"),
        ("say 9 words", json!({"max_completion_tokens": 2}), "word1 word2", "length"),
        ("say 8 words", json!({"stop": " word3"}), "word1 word2", "stop"),
        ("say \"STOP at once\"", json!({"stop": ["STOP"]}), "", "stop"),
        ("say \"half\" then refuse", json!({}), "half", "content_filter"),
        ("refuse", json!({}), "", "content_filter"),
    ] {
        let mut body = ask(prompt);
        body.as_object_mut().expect("an object").extend(limits.as_object().expect("an object").clone());
        if kind == ClaudeKind::Native {
            // What becomes of an answer in one piece depends on the events alone, not on who wrote them.
            let answer = cluster.client().post(chat::PATH, &body).await;
            assert_eq!(answer.status, 200, "{prompt}: {}", answer.text());
            let choice = &answer.json()["choices"][0];
            let told = (&choice["message"]["content"], &choice["finish_reason"]);
            assert_eq!(told, (&text.into(), &reason.into()), "{prompt}");
        }
        let spoken = Spoken::of(cluster.client().stream(chat::PATH, &streaming(body)).await).await;
        assert_eq!(
            (spoken.text().as_str(), spoken.finish_reason.as_deref()),
            (text, Some(reason)),
            "{prompt}"
        );
        assert!(spoken.done && spoken.error.is_none(), "{prompt}: {spoken:?}");
    }
}

async fn billed(upstream: &Upstream, prompt: &str) -> Call {
    let holds = |call: &Call| call.prompt == prompt && call.ending == Ending::Complete;
    upstream.wait_for("it is billed", PATIENCE, holds).await
}

/// OpenAI's prompt tokens include what was cached; Anthropic's input tokens do not.
fn assert_usage(told: &Value, call: &Call) {
    let billed = call.usage.expect("a bill");
    let prompt = billed.input_tokens + billed.cache_creation_input_tokens + billed.cache_read_input_tokens;
    assert_eq!(told["prompt_tokens"], prompt, "{told} {billed:?}");
    assert_eq!(told["completion_tokens"], billed.output_tokens, "{told} {billed:?}");
    assert_eq!(told["total_tokens"], prompt + billed.output_tokens, "{told} {billed:?}");
    assert_eq!(told["prompt_tokens_details"]["cached_tokens"], billed.cache_read_input_tokens, "{told}");
}
