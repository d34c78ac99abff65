//! Recordings of the real CLI, and what they mean.
//!
//! `golden/<build>_<case>.jsonl` is what the CLI said (`tests/record/`), `….expected.json` what the decoder
//! makes of it. `DROVER_GOLDEN=write` rewrites the expectations.

use std::path::PathBuf;
use std::{env, fs};

use serde_json::{Value, json};

use super::{Decoder, Line};

/// Every case of the chat class, recorded from both builds.
const CASES: [&str; 22] = [
    "plain",
    "thinking",
    "tool_use",
    "max_tokens",
    "stop_sequence",
    "refusal",
    "pause_turn",
    "context_window",
    "empty",
    "surrogates",
    "error_400",
    "error_400_too_long",
    "error_401",
    "error_404",
    "error_429",
    "error_500",
    "error_529",
    "reset",
    "eof",
    "error_in_stream",
    "interrupt",
    "tool_use_interrupt",
];

/// Every recording of the agent class.
const AGENT_RECORDINGS: [&str; 5] = [
    "js_agent_cold",
    "native_agent_claim",
    "native_agent_interrupt",
    "native_agent_resume",
    "native_agent_subagent",
];

const BUILDS: [&str; 2] = ["native", "js"];

/// Name and text of every recording.
pub(super) fn recordings() -> Vec<(String, String)> {
    names().map(|name| (name.clone(), read(&format!("{name}.jsonl")))).collect()
}

fn names() -> impl Iterator<Item = String> {
    let chat = BUILDS.iter().flat_map(|build| CASES.iter().map(move |case| format!("{build}_{case}")));
    chat.chain(AGENT_RECORDINGS.map(str::to_owned))
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/cli/golden")
}

fn read(file: &str) -> String {
    fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// What the lines mean, without those that mean nothing.
fn meaning(name: &str, recording: &str) -> Vec<Value> {
    let mut decoder = decoder(name);
    recording
        .lines()
        .flat_map(|line| match decoder.line(line.as_bytes()) {
            Line::Events(events) => events.iter().map(|event| json!(event)).collect(),
            Line::Control { request_id, error, session_id } => {
                vec![json!({"control": request_id, "error": error, "session_id": session_id})]
            }
            Line::Mirror(entries) => {
                vec![json!({"mirror": entries.iter().map(|entry| kind(entry)).collect::<Vec<_>>()})]
            }
            Line::TurnEnded(end) => vec![json!({"turn_ended": end})],
            Line::TurnBegan { .. } | Line::Quiet => Vec::new(),
        })
        .collect()
}

/// The decoder for the class that was recorded.
fn decoder(name: &str) -> Decoder {
    if name.contains("_agent_") { Decoder::agent() } else { Decoder::new() }
}

/// Which kind of entry a mirrored one is.
fn kind(entry: &str) -> Value {
    let entry: Value = serde_json::from_str(entry).expect("an entry is JSON");
    entry["type"].clone()
}

/// One meaning per line, its fields sorted, for readable differences.
fn printed(meaning: &[Value]) -> String {
    let sorted = |meaning: &Value| {
        let mut meaning = meaning.clone();
        meaning.sort_all_objects();
        meaning.to_string()
    };
    let lines: Vec<_> = meaning.iter().map(sorted).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

#[test]
fn recordings_mean_what_is_expected() {
    let write = env::var_os("DROVER_GOLDEN").is_some_and(|value| value == "write");
    for (name, recording) in recordings() {
        let file = format!("{name}.expected.json");
        let found = printed(&meaning(&name, &recording));
        if write {
            fs::write(folder().join(&file), found).expect("the expectation is written");
        } else {
            assert_eq!(read(&file), found, "{name}");
        }
    }
}

#[test]
fn every_golden_belongs_to_a_case() {
    let known: Vec<String> =
        names().flat_map(|name| [format!("{name}.jsonl"), format!("{name}.expected.json")]).collect();
    for entry in fs::read_dir(folder()).expect("the folder is there") {
        let file = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        assert!(known.contains(&file), "no test refers to golden/{file}");
    }
}

#[test]
fn recordings_hold_nothing_the_decoder_does_not_know() {
    for (name, recording) in recordings() {
        assert!(!printed(&meaning(&name, &recording)).contains("unrecognised"), "{name}");
    }
}
