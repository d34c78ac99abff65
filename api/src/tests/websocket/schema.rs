//! `websocket.schema.json`: it says what the code says, no more and no less.

use std::path::Path;

use serde_json::{Value, json};

use super::client;
use crate::{openapi, socket};

/// What is in jobs and events is generated from the types that are written; `DROVER_REWRITE_DOCUMENTS=1` puts it in.
#[test]
fn jobs_and_events_are_described_as_they_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("websocket.schema.json");
    let text = std::fs::read_to_string(&path).expect("a schema");
    let mut schema: Value = serde_json::from_str(&text).expect("JSON");
    let generated = openapi::of_frames();
    if std::env::var_os("DROVER_REWRITE_DOCUMENTS").is_some() {
        schema["$defs"].as_object_mut().expect("definitions").extend(generated);
        let text = serde_json::to_string_pretty(&schema).expect("JSON");
        return std::fs::write(path, text + "\n").expect("written");
    }
    for (name, expected) in generated {
        assert_eq!(schema["$defs"][&name], expected, "{name}; DROVER_REWRITE_DOCUMENTS=1 puts it in");
    }
}

#[test]
fn it_knows_every_request() {
    let listed: Vec<&str> = socket::TYPES.iter().map(|(name, _)| *name).collect();
    assert_eq!(client::names("client"), listed);
    for (name, fields) in socket::TYPES {
        let properties = client::definition(name)["properties"].as_object().expect("properties").clone();
        let known: Vec<&str> = properties.keys().map(String::as_str).collect();
        let expected: Vec<&str> = ["type", "id"].iter().chain(fields).copied().collect();
        assert_eq!(known, expected, "{name}");
    }
}

/// Objects that say nothing of other fields would let a frame pass that nobody describes.
#[test]
fn every_frame_is_closed_and_names_its_type() {
    for side in ["client", "server"] {
        for name in client::names(side) {
            let frame = client::definition(&name);
            assert_eq!(frame["additionalProperties"], json!(false), "{name}");
            assert_eq!(frame["properties"]["type"], json!({ "const": name }), "{name}");
            let required = frame["required"].as_array().expect("a list");
            assert!(required.contains(&json!("type")), "{name}");
        }
    }
}

#[test]
fn what_the_code_refuses_is_refused() {
    for frame in [
        json!({"type": "job.submit", "request": {}, "format": "chunks"}),
        json!({"type": "job.submit", "request": {}, "subscribe": true, "include_usage": true}),
        json!({"type": "job.subscribe", "job": "job_1", "include_usage": false}),
        json!({"type": "job.list", "limit": 0}),
        json!({"type": "job.list", "limit": "5"}),
        json!({"type": "job.list", "limit": 5, "per_page": 5}),
        json!({"type": "job.list", "status": ["done"]}),
        json!({"type": "job.get"}),
        json!({"type": "ping", "job": "job_1"}),
    ] {
        assert!(!client::allows("client", &frame), "{frame}");
        assert!(socket::refuses(&frame.to_string()), "{frame}");
    }
}
