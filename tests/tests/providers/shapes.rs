//! Answers with a schema from providers that take none: a tool stands in, and nobody sees it.

use super::matrix::{Registry, ask_model};
use drover_tests::chat::{self, ErrorBody, Spoken, streaming};
use drover_tests::client::{Answer, Client};
use drover_tests::harness::ClaudeKind;
use drover_tests::upstream::Upstream;
use serde_json::{Value, json};

const PLACE: &str = r#"{"city":"Zürich","days":[1,2]}"#;

#[tokio::test]
async fn the_native_cli_answers_by_a_tool() {
    a_tool_stands_in(ClaudeKind::Native).await;
}

#[tokio::test]
async fn the_javascript_cli_answers_by_a_tool() {
    a_tool_stands_in(ClaudeKind::JavaScript).await;
}

async fn a_tool_stands_in(kind: ClaudeKind) {
    let upstream = Upstream::start();
    let registry =
        Registry::new().provider("full", &upstream).provider_lacking("plain", &upstream, &["output_format"]);
    let registry = registry.model("alone", "priority", &[("plain", 1, 1)]);
    let registry = registry.model("plain-last", "priority", &[("full", 1, 1), ("plain", 1, 1)]);
    let registry = registry.model("plain-first", "priority", &[("plain", 1, 1), ("full", 1, 1)]);
    let cluster = registry.for_cluster().claude(kind).env("DROVER_PROVIDER_ATTEMPTS", "2").start().await;
    let client = cluster.client();
    the_call_is_the_answer(&client, &upstream).await;
    what_does_not_match_is_an_error(&client).await;
    providers_take_over_from_each_other(&client, &upstream).await;
    the_clients_tools_may_be_called_instead(&client, &upstream).await;
    lists_are_refused(&client, &upstream).await;
}

fn schema() -> Value {
    json!({"type": "object", "required": ["city"], "properties": {
        "days": {"type": "array"}, "city": {"type": "string"}}, "additionalProperties": false})
}

fn body(model: &str, prompt: &str) -> Value {
    let format = json!({"name": "place", "strict": true, "schema": schema()});
    let mut body = ask_model(model, prompt);
    body["response_format"] = json!({"type": "json_schema", "json_schema": format});
    body
}

/// The message of a whole answer that stopped by itself.
fn said(answer: &Answer) -> Value {
    let choice = &answer.json()["choices"][0];
    assert_eq!(choice["finish_reason"], "stop", "{}", answer.text());
    assert_eq!(choice["message"].get("tool_calls"), None, "{choice}");
    choice["message"]["content"].clone()
}

async fn the_call_is_the_answer(client: &Client, upstream: &Upstream) {
    let prompt = format!("call answer {PLACE}");
    let body = body("alone", &prompt);
    assert_eq!(said(&client.post(chat::PATH, &body).await), PLACE);
    let spoken = Spoken::of(client.stream(chat::PATH, &streaming(body)).await).await;
    assert_eq!((spoken.text().as_str(), spoken.finish_reason.as_deref()), (PLACE, Some("stop")));
    assert_eq!(spoken.pieces.len(), 2, "as many as the model sent: {spoken:?}");
    assert!(spoken.chunks.iter().all(|chunk| !chunk.data.contains("tool_calls")), "{spoken:?}");
    let calls = upstream.calls_for(&prompt);
    assert_eq!(calls.len(), 2);
    for call in calls {
        let tool = &call.body["tools"][0];
        assert_eq!((&tool["name"], call.body["tools"].as_array().map(Vec::len)), (&json!("answer"), Some(1)));
        assert_eq!(tool["input_schema"].to_string(), schema().to_string(), "in the client's order");
        let choice = json!({"type": "tool", "name": "answer", "disable_parallel_tool_use": true});
        assert_eq!((&call.body["tool_choice"], call.body.get("output_config")), (&choice, None));
    }
}

async fn what_does_not_match_is_an_error(client: &Client) {
    let body = body("alone", r#"call answer {"city":5}"#);
    let answer = client.post(chat::PATH, &body).await;
    let error = ErrorBody::of(&answer.json());
    assert_eq!((answer.status.as_u16(), error.code.as_str()), (502, "invalid_output"));
    let spoken = Spoken::of(client.stream(chat::PATH, &streaming(body)).await).await;
    assert_eq!((spoken.error, spoken.done), (Some(error), false));
}

/// The body is made for each provider, and its answer is read as what it is.
async fn providers_take_over_from_each_other(client: &Client, upstream: &Upstream) {
    for (model, then, by) in [
        ("plain-last", format!("call answer {PLACE}"), "plain"),
        ("plain-first", format!("say {}", Value::from(PLACE)), "full"),
    ] {
        let prompt = format!("1 times status 500 or {then}");
        let answer = client.post(chat::PATH, &body(model, &prompt)).await;
        assert_eq!((said(&answer), answer.header("x-drover-provider")), (PLACE.into(), Some(by)), "{model}");
        let calls = upstream.calls_for(&prompt);
        let by_tool: Vec<bool> = calls.iter().map(|call| call.body.get("tools").is_some()).collect();
        let by_schema: Vec<bool> =
            calls.iter().map(|call| call.body.get("output_config").is_some()).collect();
        let plain_last = by == "plain";
        assert_eq!((by_tool, by_schema), (vec![!plain_last, plain_last], vec![plain_last, !plain_last]));
    }
}

async fn the_clients_tools_may_be_called_instead(client: &Client, upstream: &Upstream) {
    let prompt = format!(r#"until told call answer_of {{"q":1}} or say "So:" then call answer {PLACE}"#);
    let mut body = body("alone", &prompt);
    body["tools"] = json!([{"type": "function", "function": {"name": "answer_of"}}]);
    let answer = client.post(chat::PATH, &body).await.json();
    let message = &answer["choices"][0]["message"];
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls", "{answer}");
    assert_eq!(message["tool_calls"][0]["function"], json!({"name": "answer_of", "arguments": r#"{"q":1}"#}));
    let result = json!({"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "yes"});
    body["messages"] = json!([body["messages"][0], message, result]);
    assert_eq!(
        said(&client.post(chat::PATH, &body).await),
        PLACE,
        "what leads up to the answer is none of it"
    );
    for call in upstream.calls_for(&prompt) {
        let [first, second] = &call.body["tools"].as_array().expect("tools")[..] else { panic!("{call:?}") };
        assert_eq!((&first["name"], &second["name"]), (&json!("answer_of"), &json!("answer")));
        assert_eq!(call.body["tool_choice"], json!({"type": "any"}));
    }
}

async fn lists_are_refused(client: &Client, upstream: &Upstream) {
    let asked = upstream.calls().len();
    let mut body = body("alone", "say 1 words");
    body["response_format"]["json_schema"]["schema"] = json!({"type": "array"});
    let error = ErrorBody::of(&client.post(chat::PATH, &body).await.json());
    assert_eq!(
        (error.code.as_str(), error.param.as_deref()),
        ("unsupported_parameter", Some("response_format"))
    );
    assert_eq!(upstream.calls().len(), asked, "the model is not asked");
}
