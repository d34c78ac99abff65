//! What the CLI has no flag for reaches the provider all the same, or is refused before a job exists.

use super::matrix::{Registry, ask_model, job_of};
use drover_tests::chat::{self, Spoken, streaming};
use drover_tests::harness::ClaudeKind;
use drover_tests::upstream::Upstream;
use serde_json::{Value, json};

/// A request with these fields besides.
fn with(model: &str, prompt: &str, fields: &Value) -> Value {
    let mut body = ask_model(model, prompt);
    body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    body
}

#[tokio::test]
async fn settings_go_up_as_they_were_given() {
    let upstream = Upstream::start();
    let registry =
        Registry::new().provider("full", &upstream).provider_lacking("plain", &upstream, &["top_k"]);
    let registry = registry.model("m", "priority", &[("plain", 3, 15), ("full", 3, 15)]);
    let registry = registry.model("alone", "priority", &[("plain", 3, 15)]);
    let cluster = registry.for_cluster().claude(ClaudeKind::Native).start().await;
    let client = cluster.client();
    let sampling = json!({
        "temperature": 0.25, "top_p": 0.5, "top_k": 7, "stop": ["END"], "max_completion_tokens": 900, "user": "u-1",
        "service_tier": "default", "usage": {"include": true},
    });
    let answer = client.post(chat::PATH, &with("m", "say 2 words", &sampling)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-drover-provider"), Some("full"), "the other one lacks a setting");
    let sent = &upstream.calls_for("say 2 words")[0].body;
    let expected = json!({
        "model": "m", "stream": true, "max_tokens": 900, "temperature": 0.25, "top_p": 0.5, "top_k": 7,
        "stop_sequences": ["END"], "service_tier": "standard_only", "metadata": {"user_id": "u-1"},
        "messages": [{"role": "user", "content": [{"type": "text", "text": "say 2 words"}]}],
    });
    assert_eq!(**sent, expected);
    let job = job_of(&client, &answer).await;
    let cost = answer.json()["usage"]["cost"].as_f64().expect("a cost");
    assert_eq!(format!("{cost:.6}"), job["cost_usd"], "{job}");

    let refused = client.post(chat::PATH, &with("alone", "say 3 words", &json!({"top_k": 7}))).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["error"]["param"]), (400, &"top_k".into()));
    let body = with("alone", "say 3 words", &json!({"top_k": 7, "drop_params": true}));
    let dropped = client.post(chat::PATH, &body).await;
    assert_eq!(dropped.header("x-drover-ignored-parameters"), Some("top_k"));
    assert!(upstream.calls_for("say 3 words")[0].body.get("top_k").is_none());
    assert!(dropped.json()["usage"].get("cost").is_none(), "it was not asked for");
}

#[tokio::test]
async fn a_model_is_told_to_think_in_its_own_way_and_never_past_its_limits() {
    let upstream = Upstream::start();
    // The shipped registry, with Anthropic's models at the scripted provider.
    let cluster = drover_tests::harness::Cluster::builder().upstream(&upstream).start().await;
    let client = cluster.client();
    let effort = json!({"reasoning_effort": "medium", "max_tokens": 20_000});
    for (model, thinking, told) in [
        ("claude-sonnet-4-5", json!({"type": "enabled", "budget_tokens": 10_000}), Value::Null),
        ("claude-opus-5-5", json!({"type": "adaptive"}), json!({"effort": "medium"})),
    ] {
        let prompt = format!("think 3 words then say \"{model}\"");
        let mut body = with(model, &prompt, &effort);
        body["stream_options"] = json!({"include_usage": true});
        body["usage"] = json!({"include": true});
        let spoken = Spoken::of(client.stream(chat::PATH, &streaming(body)).await).await;
        assert_eq!(spoken.text(), model);
        assert!(spoken.usage.as_ref().is_some_and(|usage| usage["cost"].as_f64() > Some(0.0)), "{spoken:?}");
        let sent = &upstream.calls_for(&prompt)[0].body;
        assert_eq!(sent["thinking"], thinking);
        assert_eq!(sent.get("output_config").cloned().unwrap_or_default(), told);
    }
    for (fields, param) in [
        (json!({"max_tokens": 64_001}), "max_completion_tokens"),
        (json!({"reasoning_effort": "low", "max_tokens": 1_000}), "max_completion_tokens"),
        (json!({"reasoning_effort": "low", "temperature": 0.5}), "temperature"),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 5}}), "thinking.budget_tokens"),
    ] {
        let asked = upstream.calls().len();
        let answer = client.post(chat::PATH, &with("claude-sonnet-4-5", "say 1 words", &fields)).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["param"]),
            (400, &param.into()),
            "{fields}"
        );
        assert_eq!(upstream.calls().len(), asked, "the model is not asked");
    }
}
