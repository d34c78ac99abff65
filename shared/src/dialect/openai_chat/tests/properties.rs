//! What holds for every answer and for every body.

use serde_json::Value;

use super::parse;
use super::random::Random;
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
