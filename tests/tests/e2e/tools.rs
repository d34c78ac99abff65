//! The client's tools: the model calls them, the client answers, and the provider is asked as if nobody stood between.

use drover_tests::chat::{self, ErrorBody, Spoken, streaming};
use drover_tests::harness::{ClaudeKind, Cluster, MODEL};
use drover_tests::upstream::Upstream;
use serde_json::{Value, json};

/// Two calls at once; with their results, an answer.
const PROMPT: &str = r#"until told say "Let me see." then call get_weather {"place":{"city":"Zürich","days":[1,2]}} then call now {} or say "It is warm.""#;

#[tokio::test]
async fn the_native_cli_carries_calls_of_the_clients_tools() {
    calls_are_carried(ClaudeKind::Native).await;
}

#[tokio::test]
async fn the_javascript_cli_carries_calls_of_the_clients_tools() {
    calls_are_carried(ClaudeKind::JavaScript).await;
}

async fn calls_are_carried(kind: ClaudeKind) {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().claude(kind).upstream(&upstream).start().await;
    let called = whole_answers(&cluster, &upstream).await;
    streams_tell_the_same(&cluster, &called).await;
    functions_are_called_too(&cluster, &upstream).await;
    what_the_model_gets_wrong_is_told(&cluster, &upstream).await;
}

fn tools() -> Value {
    let parameters = json!({"type": "object", "required": ["place"], "properties": {"place": {"$ref": "#/$defs/b"}},
        "$defs": {"b": {"type": "object"}, "a": {}}, "additionalProperties": false});
    json!([
        {"type": "function", "function": {
            "name": "now", "description": "The time. ".repeat(500),
        }},
        {"type": "function", "function": {
            "name": "get_weather", "description": "The weather.", "parameters": parameters, "strict": true,
        }},
    ])
}

/// The same as the provider is told of them.
fn definitions() -> Value {
    let tools = tools();
    let [now, weather] = [&tools[0]["function"], &tools[1]["function"]];
    json!([
        {"name": "now", "description": now["description"], "input_schema": {"type": "object", "properties": {}}},
        {
            "name": "get_weather", "description": "The weather.", "input_schema": weather["parameters"],
            "strict": true, "cache_control": {"type": "ephemeral"},
        },
    ])
}

/// Asks, answers the calls, and returns the assistant's message that made them.
async fn whole_answers(cluster: &Cluster, upstream: &Upstream) -> Value {
    let client = cluster.client();
    let question = json!({"role": "user", "content": PROMPT});
    let mut body = json!({"messages": [question], "tools": tools(), "parallel_tool_calls": true});
    let answer = client.post(chat::PATH, &body).await.json();
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls", "{answer}");
    let message = choice["message"].clone();
    assert_eq!(message["content"], "Let me see.");
    let [weather, now] = &message["tool_calls"].as_array().expect("calls")[..] else { panic!("{message}") };
    assert!(weather["id"].as_str().is_some_and(|id| id.starts_with("toolu_")), "{weather}");
    assert_eq!(weather["function"]["arguments"], r#"{"place":{"city":"Zürich","days":[1,2]}}"#);
    assert_eq!((&now["function"]["name"], &now["function"]["arguments"]), (&json!("now"), &json!("{}")));

    let result =
        |call: &Value, content: &str| json!({"role": "tool", "tool_call_id": call["id"], "content": content});
    body["messages"] =
        json!([question, message, result(now, "12:00"), result(weather, "error: no such city")]);
    let answer = client.post(chat::PATH, &body).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], "It is warm.", "{answer}");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");

    let [first, second] = &upstream.calls_for(PROMPT)[..] else { panic!("two calls for two jobs") };
    let asked = json!({"role": "user", "content": [{"type": "text", "text": PROMPT}]});
    let mut expected = json!({
        "model": MODEL, "max_tokens": 32_000, "stream": true, "messages": [asked], "tools": definitions(),
    });
    assert_eq!(*first.body, expected);
    let order = |body: &Value| body["tools"][1]["input_schema"].to_string();
    assert_eq!(order(&first.body), tools()[1]["function"]["parameters"].to_string(), "in the client's order");
    expected["messages"] = json!([
        asked,
        {"role": "assistant", "content": [
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": weather["id"], "name": "get_weather",
                "input": {"place": {"city": "Zürich", "days": [1, 2]}}},
            {"type": "tool_use", "id": now["id"], "name": "now", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": now["id"], "content": [{"type": "text", "text": "12:00"}]},
            {"type": "tool_result", "tool_use_id": weather["id"],
                "content": [{"type": "text", "text": "error: no such city"}],
                "cache_control": {"type": "ephemeral"}},
        ]},
    ]);
    assert_eq!(*second.body, expected);
    message
}

/// The chunks of a stream make up the message of a whole answer.
async fn streams_tell_the_same(cluster: &Cluster, whole: &Value) {
    let body = json!({
        "messages": [{"role": "user", "content": PROMPT}], "tools": tools(), "tool_choice": "required",
        "stream_options": {"include_usage": true},
    });
    let spoken = Spoken::of(cluster.client().stream(chat::PATH, &streaming(body)).await).await;
    assert_eq!((spoken.finish_reason.as_deref(), spoken.done), (Some("tool_calls"), true));
    assert_eq!(spoken.text(), "Let me see.");
    assert!(spoken.usage.is_some());
    let mut calls: Vec<Value> = Vec::new();
    for chunk in &spoken.chunks {
        for delta in chunk.json()["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index =
                delta["index"].as_u64().and_then(|index| usize::try_from(index).ok()).expect("an index");
            if index == calls.len() {
                calls.push(delta.clone());
                continue;
            }
            assert!(delta.get("id").is_none() && delta["function"].get("name").is_none(), "{delta}");
            let piece = delta["function"]["arguments"].as_str().expect("a piece");
            let so_far = calls[index]["function"]["arguments"].as_str().expect("a text").to_owned();
            calls[index]["function"]["arguments"] = (so_far + piece).into();
        }
    }
    let told = |call: &Value| (call["type"].clone(), call["function"].clone());
    let whole: Vec<_> = whole["tool_calls"].as_array().expect("calls").iter().map(told).collect();
    assert_eq!(calls.iter().map(told).collect::<Vec<_>>(), whole);
}

/// The older form, there and back.
async fn functions_are_called_too(cluster: &Cluster, upstream: &Upstream) {
    let prompt = r#"until told call now {} or say "Noon.""#;
    let question = json!({"role": "user", "content": prompt});
    let mut body = json!({
        "messages": [question], "functions": [{"name": "now"}], "function_call": {"name": "now"},
    });
    let answer = cluster.client().post(chat::PATH, &body).await.json();
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "function_call", "{answer}");
    let call = json!({"name": "now", "arguments": "{}"});
    assert_eq!((&choice["message"]["function_call"], choice["message"].get("tool_calls")), (&call, None));
    body["messages"] =
        json!([question, choice["message"], {"role": "function", "name": "now", "content": "12:00"}]);
    let answer = cluster.client().post(chat::PATH, &body).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], "Noon.", "{answer}");
    let calls = upstream.calls_for(prompt);
    let choice = json!({"type": "tool", "name": "now", "disable_parallel_tool_use": true});
    assert!(calls.len() == 2 && calls.iter().all(|call| call.body["tool_choice"] == choice), "{calls:#?}");
}

/// Calls that a client could not run, or not as promised, are an error; what it is to read itself is as it was written.
/// The model is asked once in any case.
async fn what_the_model_gets_wrong_is_told(cluster: &Cluster, upstream: &Upstream) {
    for (prompt, arguments) in [
        (r#"call now "{\"zone\": UTC}""#, Some("{\"zone\": UTC}")),
        (r#"call now """#, Some("{}")),
        (r#"call get_weather {"place":5,"city":"Bern"}"#, None),
        (r#"call get_weather "{\"place\":""#, None),
        (r#"say "So:" then call get_news {}"#, None),
        ("call now {} then call get_news {}", None),
    ] {
        let body = json!({"messages": [{"role": "user", "content": prompt}], "tools": tools()});
        let answer = cluster.client().post(chat::PATH, &body).await;
        let spoken = Spoken::of(cluster.client().stream(chat::PATH, &streaming(body)).await).await;
        assert_eq!(upstream.calls_for(prompt).len(), 2, "{prompt}: once for each");
        assert!(spoken.chunks.iter().all(|chunk| !chunk.data.contains("get_news")), "{spoken:?}");
        if let Some(arguments) = arguments {
            let choice = &answer.json()["choices"][0];
            assert_eq!(choice["message"]["tool_calls"][0]["function"]["arguments"], arguments, "{prompt}");
            assert_eq!(
                (choice["finish_reason"].as_str(), spoken.done),
                (Some("tool_calls"), true),
                "{prompt}"
            );
            assert_eq!(spoken.finish_reason.as_deref(), Some("tool_calls"), "{prompt}");
            continue;
        }
        let error = ErrorBody::of(&answer.json());
        assert_eq!((answer.status.as_u16(), error.code.as_str()), (502, "invalid_output"), "{prompt}");
        assert_eq!(answer.header("x-should-retry"), Some("false"));
        assert_eq!((spoken.error, spoken.done), (Some(error), false), "{prompt}");
    }
}
