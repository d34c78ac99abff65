//! Requests that are refused: each with the right status, code and parameter, and without a job or a call.

use drover_shared::dialect::openai_chat::parameters::{Kind, PARAMETERS, Scope, Treatment};
use drover_tests::chat::{self, ErrorBody, ask};
use drover_tests::client::{Answer, Client};
use drover_tests::harness::{Cluster, MODEL};
use drover_tests::ledger;
use drover_tests::upstream::Upstream;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn what_is_refused_costs_nothing_and_says_why() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().upstream(&upstream).start().await;
    let client = cluster.client();
    for (raw, status, code, param) in bodies() {
        let request = client.request(Method::POST, chat::PATH).header("content-type", "application/json");
        assert_refused(&Answer::of(request.body(raw.clone())).await, status, code, param, &raw);
    }
    for (fields, code, param) in fields() {
        let answer = client.post(chat::PATH, &with(ask("hi"), fields.clone())).await;
        assert_refused(&answer, 400, code, Some(param), &fields.to_string());
    }
    for (messages, code, param) in conversations() {
        let answer = client.post(chat::PATH, &json!({"messages": messages})).await;
        assert_refused(&answer, 400, code, Some(param), &messages.to_string());
    }
    every_refused_parameter(&client).await;
    wrong_addresses(&client).await;
    assert!(upstream.calls().is_empty(), "{:#?}", upstream.calls());
    assert_eq!(ledger::job_ids(&cluster.database()).await, Vec::<String>::new());
}

/// Bodies as they are sent, with status, code and parameter of the error.
fn bodies() -> Vec<(String, u16, &'static str, Option<&'static str>)> {
    let too_large = format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, "x".repeat(33 << 20));
    let unknown_model = with(ask("hi"), json!({"model": "gpt-9"})).to_string();
    let deep = "[".repeat(5_000);
    vec![
        (String::new(), 400, "invalid_json", None),
        ("{".to_owned(), 400, "invalid_json", None),
        ("{\"messages\": }".to_owned(), 400, "invalid_json", None),
        (deep, 400, "invalid_json", None),
        ("[]".to_owned(), 400, "invalid_type", None),
        ("\"hello\"".to_owned(), 400, "invalid_type", None),
        ("null".to_owned(), 400, "invalid_type", None),
        ("{}".to_owned(), 400, "missing_required_parameter", Some("messages")),
        (unknown_model, 404, "model_not_found", Some("model")),
        (too_large, 413, "request_too_large", None),
    ]
}

/// Fields beside a sound conversation, with code and parameter of the error.
fn fields() -> Vec<(Value, &'static str, &'static str)> {
    vec![
        (json!({"model": 5}), "invalid_type", "model"),
        (json!({"model": " "}), "invalid_value", "model"),
        (json!({"stream": "yes"}), "invalid_type", "stream"),
        (json!({"stream_options": {"include_usage": true}}), "invalid_value", "stream_options"),
        (json!({"stream_options": {"granularity": "word"}}), "invalid_value", "stream_options"),
        (
            json!({"stream": true, "stream_options": {"granularity": "letter"}}),
            "invalid_value",
            "stream_options.granularity",
        ),
        (json!({"temperature": 5}), "invalid_value", "temperature"),
        (json!({"temperature": 1.5}), "invalid_value", "temperature"),
        (json!({"temperature": -0.1}), "invalid_value", "temperature"),
        (json!({"temperature": "warm"}), "invalid_type", "temperature"),
        (json!({"top_p": 1.1}), "invalid_value", "top_p"),
        (json!({"max_tokens": 0}), "invalid_value", "max_tokens"),
        (json!({"max_tokens": -1}), "invalid_value", "max_tokens"),
        (json!({"max_tokens": 1.5}), "invalid_type", "max_tokens"),
        (json!({"max_tokens": 1, "max_completion_tokens": 2}), "invalid_value", "max_tokens"),
        (json!({"stop": [""]}), "invalid_value", "stop[0]"),
        (json!({"stop": [1]}), "invalid_type", "stop[0]"),
        (json!({"stop": vec!["x"; 17]}), "invalid_value", "stop"),
        (json!({"n": 17}), "invalid_value", "n"),
        (json!({"n": 0}), "invalid_value", "n"),
        (json!({"logprobs": true}), "unsupported_parameter", "logprobs"),
        (json!({"tools": [{"type": "function"}]}), "missing_required_parameter", "tools[0].function"),
        (json!({"tools": [{"type": "custom"}]}), "unsupported_parameter", "tools[0].type"),
        (json!({"tool_choice": "required"}), "invalid_value", "tool_choice"),
        (json!({"reasoning_effort": "low", "temperature": 0.5}), "unsupported_parameter", "temperature"),
        (json!({"service_tier": "flex"}), "unsupported_parameter", "service_tier"),
        (json!({"response_format": {"type": "xml"}}), "invalid_value", "response_format.type"),
        (json!({"base_url": "http://192.0.2.1"}), "unsupported_parameter", "base_url"),
        (json!({"api_key": "sk-mine"}), "unsupported_parameter", "api_key"),
        (json!({"anthropic_base_url": "http://192.0.2.1"}), "unsupported_parameter", "anthropic_base_url"),
        (json!({"apiBase": "http://192.0.2.1"}), "unsupported_parameter", "apiBase"),
        (json!({"extra_headers": {}}), "unsupported_parameter", "extra_headers"),
    ]
}

/// Conversations, with code and parameter of the error.
fn conversations() -> Vec<(Value, &'static str, &'static str)> {
    let user = |content: Value| json!([{"role": "user", "content": content}]);
    vec![
        (Value::Null, "invalid_type", "messages"),
        (json!("hello"), "invalid_type", "messages"),
        (json!([]), "invalid_value", "messages"),
        (json!([5]), "invalid_type", "messages[0]"),
        (json!([{"content": "hi"}]), "missing_required_parameter", "messages[0].role"),
        (json!([{"role": "user"}]), "missing_required_parameter", "messages[0].content"),
        (json!([{"role": "wizard", "content": "hi"}]), "invalid_value", "messages[0].role"),
        (json!([{"role": "system", "content": "hi"}]), "invalid_value", "messages"),
        (
            json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "I"}]),
            "invalid_value",
            "messages[1]",
        ),
        (
            json!([{"role": "tool", "content": "18C"}]),
            "missing_required_parameter",
            "messages[0].tool_call_id",
        ),
        (
            json!([{"role": "tool", "tool_call_id": "t", "content": "18C"}]),
            "invalid_value",
            "messages[0].tool_call_id",
        ),
        (user(json!("")), "invalid_value", "messages[0].content"),
        (user(json!([])), "invalid_value", "messages[0].content"),
        (user(json!(5)), "invalid_type", "messages[0].content"),
        (user(json!(["hi"])), "invalid_type", "messages[0].content[0]"),
        (user(json!([{"type": "text"}])), "missing_required_parameter", "messages[0].content[0].text"),
        (user(json!([{"type": "video"}])), "invalid_value", "messages[0].content[0].type"),
        (
            user(json!([{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}])),
            "invalid_value",
            "messages[0].content[0].image_url.url",
        ),
    ]
}

/// Whatever the table of parameters refuses, with a value of the parameter's own kind.
async fn every_refused_parameter(client: &Client) {
    let mut refused = 0;
    for row in PARAMETERS.iter().filter(|row| row.scope == Scope::Body) {
        let value = match row.kind {
            Kind::Any | Kind::String | Kind::StringOrArray | Kind::StringOrObject => json!("?"),
            Kind::Array => json!([5]),
            Kind::Integer | Kind::Number | Kind::NumberOrString => json!(7),
            Kind::Object => json!({"?": 5}),
            // Both values of a flag may be harmless; those rows are among `fields`.
            Kind::Boolean | Kind::BooleanOrObject => continue,
        };
        if !matches!(row.treatment, Treatment::Honoured | Treatment::Ignored) {
            let answer = client.post(chat::PATH, &with(ask("hi"), json!({row.name: value}))).await;
            assert_refused(&answer, 400, "unsupported_parameter", Some(row.name), row.name);
            refused += 1;
        }
    }
    assert!(refused > 15, "only {refused} parameters were tried");
}

async fn wrong_addresses(client: &Client) {
    for (method, path, status, code) in [
        (Method::POST, "/v1/completions", 404, "unknown_url"),
        (Method::GET, "/v2/models", 404, "unknown_url"),
        (Method::GET, "/v1/models/gpt-9", 404, "model_not_found"),
        (Method::GET, "/v1/jobs/job_nonsense", 404, "job_not_found"),
        (Method::GET, "/v1/jobs/../../etc/passwd", 404, "unknown_url"),
        (Method::PUT, chat::PATH, 405, "method_not_allowed"),
        (Method::GET, "/v1/chat/completions/chatcmpl-1", 404, "completion_not_found"),
        (Method::DELETE, "/v1/models", 405, "method_not_allowed"),
    ] {
        let answer = Answer::of(client.request(method.clone(), path)).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        assert_eq!(ErrorBody::of(&answer.json()).code, code, "{method} {path}");
        assert_eq!(answer.header("allow").is_some(), status == 405, "{method} {path}");
    }
    let answer = client.get(&format!("/v1/models/{MODEL}")).await;
    assert_eq!(answer.json()["id"], MODEL);
}

fn assert_refused(answer: &Answer, status: u16, code: &str, param: Option<&str>, what: &str) {
    let what: String = what.chars().take(200).collect();
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
    assert_eq!(answer.header("x-drover-job-id"), None, "{what}");
    let error = ErrorBody::of(&answer.json());
    assert_eq!((error.code.as_str(), error.param.as_deref()), (code, param), "{what}: {error:?}");
    assert_eq!(error.kind, "invalid_request_error", "{what}");
}

fn with(mut body: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    body.as_object_mut().expect("an object").extend(fields);
    body
}
