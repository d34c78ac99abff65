//! What holds for every answer and for every body.

use serde_json::Value;

use super::random::Random;
use super::{parse, stream, whole};
use crate::dialect::{Beside, Dialect};
use crate::schema::{Block, Event, StopReason, Usage};

const TEXTS: [&str; 6] =
    ["", " a", "näïve 🦀\n\n", "data: [DONE]\n\n", "\"quoted\\\"\u{0}", "0123456789 and more"];
const ARGUMENTS: [&str; 3] = ["", "{}", r#"{"city":"Zürich","days":[1,2]}"#];

/// A block of an answer, before it is cut into deltas.
#[derive(Clone, Copy)]
pub(super) enum Said {
    Text(&'static str),
    Thinking(&'static str),
    Call(&'static str),
}

pub(super) fn some_answer(random: &mut Random) -> Vec<Said> {
    let blocks = random.below(6);
    let block = |_| match random.below(3) {
        0 => Said::Text(random.pick(&TEXTS)),
        1 => Said::Thinking(random.pick(&TEXTS)),
        _ => Said::Call(random.pick(&ARGUMENTS)),
    };
    (0..blocks).map(block).collect()
}

/// The answer as events, each block cut at random.
pub(super) fn events(blocks: &[Said], random: &mut Random) -> Vec<Event> {
    let mut events = vec![Event::AttemptStarted { attempt: 1 }];
    for (block, index) in blocks.iter().zip(0..) {
        let (kind, text) = match *block {
            Said::Text(text) => (Block::Text, text),
            Said::Thinking(text) => (Block::Thinking, text),
            Said::Call(text) => {
                (Block::ToolUse { id: format!("toolu_{index}"), name: "weather".to_owned() }, text)
            }
        };
        events.push(Event::BlockStarted { index, block: kind });
        events.extend(random.cut(text).into_iter().map(|piece| delta(*block, index, piece.to_owned())));
        events.push(Event::BlockStopped { index });
    }
    let usage = Usage { input_tokens: 1, output_tokens: 2, cache_read_tokens: 3, ..Usage::default() };
    events.push(Event::Completed { stop: StopReason::EndTurn, stop_sequence: None, usage });
    events
}

fn delta(block: Said, index: u32, piece: String) -> Event {
    match block {
        Said::Text(_) => Event::TextDelta { index, text: piece },
        Said::Thinking(_) => Event::ThinkingDelta { index, thinking: piece },
        Said::Call(_) => Event::ToolInputDelta { index, partial_json: piece },
    }
}

/// The chunks of a stream, which must be well formed and closed.
pub(super) fn chunks(frames: &str) -> Vec<Value> {
    let chunks = frames.strip_suffix("data: [DONE]\n\n").expect("the stream is closed");
    let json = |frame: &str| {
        serde_json::from_str(frame.strip_prefix("data: ").expect("a data line")).expect("frames are JSON")
    };
    chunks.split_terminator("\n\n").map(json).collect()
}

fn append(to: &mut Value, piece: &Value) {
    if let Some(piece) = piece.as_str() {
        *to = Value::from(to.as_str().unwrap_or_default().to_owned() + piece);
    }
}

/// Puts the deltas together as a client does.
fn put_together(chunks: &[Value]) -> Value {
    let mut message = serde_json::json!({"role": null, "content": null});
    for delta in chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]) {
        for name in ["role", "content", "reasoning_content"] {
            if delta[name].is_string() {
                append(&mut message[name], &delta[name]);
            }
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().expect("an index")).expect("it is small");
            put_call(&mut message, index, call);
        }
    }
    message
}

fn put_call(message: &mut Value, index: usize, call: &Value) {
    if message["tool_calls"].is_null() {
        message["tool_calls"] = Value::Array(Vec::new());
    }
    let calls = message["tool_calls"].as_array_mut().expect("an array");
    if index == calls.len() {
        let mut first = call.clone();
        first.as_object_mut().expect("an object").remove("index");
        return calls.push(first);
    }
    assert!(call["id"].is_null() && call["type"].is_null() && call["function"]["name"].is_null(), "{call}");
    append(&mut calls[index]["function"]["arguments"], &call["function"]["arguments"]);
}

#[test]
fn the_answer_does_not_depend_on_how_it_was_cut() {
    for seed in 0..500 {
        let mut random = Random(seed);
        let blocks = some_answer(&mut random);
        let once = whole(&events(&blocks, &mut random)).expect("an answer");
        let twice = whole(&events(&blocks, &mut random)).expect("an answer");
        assert_eq!(once, twice, "seed {seed}");
    }
}

#[test]
fn the_chunks_add_up_to_the_whole_answer() {
    for seed in 0..500 {
        let mut random = Random(seed);
        let blocks = some_answer(&mut random);
        let events = events(&blocks, &mut random);
        let mut whole: Value = serde_json::from_str(&whole(&events).expect("an answer")).expect("JSON");
        let chunks = chunks(&stream(&events, true));
        let (usage, chunks) = chunks.split_last().expect("chunks");
        assert_eq!(usage["usage"], whole["usage"], "seed {seed}");
        assert_eq!(usage["choices"], serde_json::json!([]), "seed {seed}");
        assert!(chunks.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)), "seed {seed}");
        let mut message = whole["choices"][0]["message"].take();
        let fields = message.as_object_mut().expect("an object");
        assert_eq!(fields.remove("refusal"), Some(Value::Null));
        assert_eq!(fields.remove("annotations"), Some(Value::Array(Vec::new())));
        let mut together = put_together(chunks);
        // An answer that begins with thinking and goes on with calls opened with empty content.
        if message["content"].is_null() && together["content"] == "" {
            together["content"] = Value::Null;
        }
        assert_eq!(together, message, "seed {seed}");
    }
}

/// JSON that looks like a request here and there.
fn some_json(random: &mut Random, depth: usize) -> String {
    const NAMES: [&str; 26] = [
        "model",
        "messages",
        "role",
        "content",
        "type",
        "text",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "max_tokens",
        "refusal",
        "tools",
        "include_usage",
        "response_format",
        "tool_calls",
        "tool_choice",
        "function",
        "functions",
        "function_call",
        "arguments",
        "image_url",
        "json_schema",
        "schema",
        "thinking",
        "x",
    ];
    const LEAVES: [&str; 20] = [
        "null",
        "true",
        "-1",
        "0.5",
        "1e300",
        "18446744073709551615",
        r#""""#,
        r#""user""#,
        r#""assistant""#,
        r#""system""#,
        r#""text""#,
        r#""refusal""#,
        r#""image_url""#,
        r#""function""#,
        r#""tool""#,
        r#""json_schema""#,
        r#""{}""#,
        r#""\u0000é""#,
        "[]",
        "{}",
    ];
    match if depth == 0 { 0 } else { random.below(3) } {
        0 => random.pick(&LEAVES).to_owned(),
        1 => {
            let items: Vec<_> = (0..random.below(4)).map(|_| some_json(random, depth - 1)).collect();
            format!("[{}]", items.join(","))
        }
        _ => {
            let field = |_| format!(r#""{}":{}"#, random.pick(&NAMES), some_json(random, depth - 1));
            format!("{{{}}}", (0..5).map(field).collect::<Vec<_>>().join(","))
        }
    }
}

/// A request in which here and there stands what should not.
fn some_request(random: &mut Random) -> String {
    const FIELDS: [(&str, &str); 10] = [
        ("model", r#""m""#),
        ("stream", "true"),
        ("stream_options", r#"{"include_usage":true}"#),
        ("temperature", "0.5"),
        ("stop", r#"["a"]"#),
        ("max_tokens", "7"),
        ("n", "1"),
        ("response_format", r#"{"type":"text"}"#),
        ("unheard_of", "[]"),
        ("messages", ""),
    ];
    let mut fields = Vec::new();
    for (name, value) in FIELDS {
        let value = match name {
            _ if random.below(40) == 0 => some_json(random, 4),
            "messages" => {
                (0..=random.below(3)).fold("[".to_owned(), |list, _| list + &some_message(random) + ",")
                    + r#"{"role":"user","content":"x"}]"#
            }
            _ => value.to_owned(),
        };
        fields.push(format!(r#""{name}":{value}"#));
    }
    format!("{{{}}}", fields.join(","))
}

fn some_message(random: &mut Random) -> String {
    let role = random.pick(&["system", "developer", "user", "assistant"]);
    let part = match random.below(20) {
        0 => some_json(random, 2),
        _ => r#"{"type":"text","text":"é"}"#.to_owned(),
    };
    let content = match random.below(20) {
        0 => some_json(random, 3),
        1..10 => format!("[{part}]"),
        _ => r#""x""#.to_owned(),
    };
    format!(r#"{{"role":"{role}","content":{content}}}"#)
}

#[test]
fn parsing_never_panics_and_always_names_a_reason() {
    let mut accepted = 0;
    for seed in 0..3_000 {
        let mut random = Random(seed);
        for body in [some_json(&mut random, 5), some_request(&mut random)] {
            match parse(&body) {
                Ok(_) => accepted += 1,
                Err(rejection) => {
                    assert_eq!(rejection.status, 400, "seed {seed}: {body}");
                    assert!(
                        !rejection.message.is_empty() && rejection.code != "invalid_json",
                        "{seed}: {body}"
                    );
                }
            }
        }
    }
    assert!((1_000..2_900).contains(&accepted), "both ways are walked: {accepted}");
}

#[test]
fn a_body_cut_short_is_refused() {
    let body =
        r#"{"model":"m","messages":[{"role":"user","content":"naïve 🦀"}],"stop":["\u00e9"]}"#.as_bytes();
    for end in 0..body.len() {
        let rejection =
            super::OpenAiChat.parse(&body[..end], &Beside::default()).expect_err("not a whole body");
        assert_eq!((rejection.status, rejection.code), (400, "invalid_json"), "{end}");
    }
}
