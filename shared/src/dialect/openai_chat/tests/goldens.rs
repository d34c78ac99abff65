//! Recorded jobs and the exact bytes a client gets for them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::{stream, whole};
use crate::schema::Event;

/// Each is a file of events, `.jsonl`, beside the stream that they give, `.sse`, and the whole answer or
/// the error, `.json`.
const CASES: [(&str, Usage); 7] = [
    ("text", Usage::Left),
    ("text_with_usage", Usage::Included),
    ("thinking", Usage::Left),
    ("tool_calls", Usage::Included),
    ("text_then_tool", Usage::Left),
    ("failed_midway", Usage::Included),
    ("requeued", Usage::Left),
];

#[derive(Clone, Copy, PartialEq)]
enum Usage {
    Included,
    Left,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/dialect/openai_chat/golden")
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn events(name: &str) -> Vec<Event> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"));
    read(&format!("{name}.jsonl")).lines().map(parse).collect()
}

#[test]
fn streams_are_as_recorded() {
    for (name, usage) in CASES {
        let frames = stream(&events(name), usage == Usage::Included);
        assert_eq!(frames, read(&format!("{name}.sse")), "{name}");
    }
}

#[test]
fn whole_answers_are_as_recorded() {
    for (name, _) in CASES {
        let body = whole(&events(name)).unwrap_or_else(|rejection| {
            String::from_utf8(super::Dialect::error(&super::OpenAiChat, &rejection))
                .expect("bodies are UTF-8")
        });
        assert_eq!(body, read(&format!("{name}.json")).trim_end(), "{name}");
    }
}

#[test]
fn every_golden_is_referred_to() {
    let there = fs::read_dir(folder()).expect("the folder of goldens");
    let there: BTreeSet<_> = there
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .collect();
    let files = |(name, _): &(&str, Usage)| ["jsonl", "sse", "json"].map(|end| format!("{name}.{end}"));
    let meant: BTreeSet<_> = CASES.iter().flat_map(files).collect();
    assert_eq!(there, meant);
}
