//! A stream and an answer in one piece say the same, whatever there is to say and however it was cut.

use serde_json::{Map, Value, json};

use super::random::Random;
use super::{OpenAiChat, answer};
use crate::dialect::{Answer, Dialect, Form};
use crate::schema::{
    Block, CancelReason, Event, Failure, FailureKind, OutputFormat, SeqEvent, StopReason, Tool, Usage,
};

const TEXTS: [&str; 6] = ["", " a", "näïve 🦀\n\n", "data: [DONE]\n\n", "\"quoted\\\"\u{0}", r#"{"a":1}"#];
const ARGUMENTS: [&str; 5] =
    ["", "{}", r#"{"city":"Zürich","days":[1,2]}"#, r#"{"city":5}"#, r#"{"city":"no J"#];
const STOPS: [StopReason; 5] = [
    StopReason::EndTurn,
    StopReason::EndTurn,
    StopReason::ToolUse,
    StopReason::MaxTokens,
    StopReason::Refusal,
];

/// A block of an answer before it is cut into deltas: what it is, and all of it.
type Said = (Block, &'static str);

fn some_block(random: &mut Random, index: usize) -> Said {
    let names = ["loose", "loose", "strict", "strict", "stranger"];
    match random.below(4) {
        0 => (Block::Thinking, random.pick(&TEXTS)),
        1 => (
            Block::ToolUse { id: format!("t{index}"), name: random.pick(&names).to_owned() },
            random.pick(&ARGUMENTS),
        ),
        2 if random.below(8) == 0 => (Block::RedactedThinking { data: "x".to_owned() }, ""),
        _ => (Block::Text, random.pick(&TEXTS)),
    }
}

fn some_end(random: &mut Random) -> Event {
    let usage = Usage { input_tokens: 1, output_tokens: 2, cache_read_tokens: 3, ..Usage::default() };
    match random.below(12) {
        0 => Event::Failed { failure: Failure::new(FailureKind::StreamInterrupted, "Cut."), usage },
        1 => Event::Cancelled { reason: CancelReason::Requested, usage },
        2 => Event::Expired,
        _ => Event::Completed { stop: random.pick(&STOPS), stop_sequence: None, usage },
    }
}

fn some_form(random: &mut Random) -> Form {
    let output = match random.below(6) {
        0 => Some(OutputFormat::Object),
        1 => Some(OutputFormat::Schema { schema: schema(), strict: true }),
        _ => None,
    };
    Form { older_calls: random.below(4) == 0, output, ..with_tools([("loose", false), ("strict", true)]) }
}

fn schema() -> Map<String, Value> {
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    schema.as_object().cloned().expect("an object")
}

fn with_tools<'a>(tools: impl IntoIterator<Item = (&'a str, bool)>) -> Form {
    let tool = |(name, strict): (&str, bool)| Tool {
        name: name.to_owned(),
        description: None,
        input_schema: schema(),
        strict,
    };
    Form { tools: tools.into_iter().map(tool).collect(), ..Form::default() }
}

/// The blocks as events, each cut at random.
fn events(blocks: &[Said], end: &Event, random: &mut Random) -> Vec<Event> {
    let mut events = vec![Event::AttemptStarted { attempt: 1 }];
    for ((block, all), index) in blocks.iter().zip(0..) {
        events.push(Event::BlockStarted { index, block: block.clone() });
        events.extend(random.cut(all).into_iter().map(|piece| delta(block, index, piece.to_owned())));
        // Now and then a block is never closed.
        events.extend((!all.is_empty() || index % 3 > 0).then_some(Event::BlockStopped { index }));
    }
    events.push(end.clone());
    events
}

fn delta(block: &Block, index: u32, piece: String) -> Event {
    match block {
        Block::Text => Event::TextDelta { index, text: piece },
        Block::Thinking => Event::ThinkingDelta { index, thinking: piece },
        Block::RedactedThinking { .. } => Event::SignatureDelta { index, signature: piece },
        Block::ToolUse { .. } => Event::ToolInputDelta { index, partial_json: piece },
    }
}

/// What a client makes of a stream, or the error that ended it.
fn streamed(answer: &Answer, events: &[Event]) -> Result<Value, Value> {
    let mut encoder = OpenAiChat.stream(answer);
    let mut out = Vec::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    let frames = String::from_utf8(out).expect("frames are UTF-8");
    let mut frames: Vec<&str> = frames.split_terminator("\n\n").collect();
    let last = frames.pop().expect("a frame");
    let json = |frame: &str| -> Value {
        serde_json::from_str(frame.strip_prefix("data: ").expect("a data line")).expect("frames are JSON")
    };
    if last != "data: [DONE]" {
        return Err(json(last));
    }
    let mut folded = json!({ "message": { "role": null, "content": null } });
    let chunks: Vec<Value> = frames.into_iter().map(json).collect();
    let (usage, chunks) = chunks.split_last().expect("chunks");
    assert_eq!((&usage["choices"], usage["usage"].is_object()), (&json!([]), true), "{usage}");
    folded["usage"] = usage["usage"].clone();
    for chunk in chunks {
        assert_eq!(chunk.get("usage"), Some(&Value::Null), "{chunk}");
        let choice = &chunk["choices"][0];
        assert_eq!(folded.get("finish_reason"), None, "nothing follows the reason: {chunk}");
        fold(&mut folded["message"], &choice["delta"]);
        if choice["finish_reason"].is_string() {
            folded["finish_reason"] = choice["finish_reason"].clone();
        }
    }
    Ok(folded)
}

fn fold(message: &mut Value, delta: &Value) {
    for name in ["role", "content", "reasoning_content"] {
        append(message, name, &delta[name]);
    }
    if let Some(call) = delta.get("function_call") {
        append(&mut message["function_call"], "name", &call["name"]);
        append(&mut message["function_call"], "arguments", &call["arguments"]);
    }
    for call in delta["tool_calls"].as_array().into_iter().flatten() {
        let index = usize::try_from(call["index"].as_u64().expect("an index")).expect("it is small");
        if message["tool_calls"].is_null() {
            message["tool_calls"] = json!([]);
        }
        let calls = message["tool_calls"].as_array_mut().expect("an array");
        if index == calls.len() {
            let mut first = call.clone();
            first.as_object_mut().expect("an object").remove("index");
            calls.push(first);
            continue;
        }
        let named = ["id", "type"].iter().any(|name| call.get(*name).is_some());
        assert!(!named && call["function"].get("name").is_none(), "{call}");
        append(&mut calls[index]["function"], "arguments", &call["function"]["arguments"]);
    }
}

fn append(to: &mut Value, name: &str, piece: &Value) {
    if let Some(piece) = piece.as_str() {
        to[name] = Value::from(to[name].as_str().unwrap_or_default().to_owned() + piece);
    }
}

/// The same of an answer in one piece.
fn in_one_piece(answer: &Answer, events: &[Event]) -> Result<Value, Value> {
    let events = events.iter().cloned().zip(1..);
    let events: Vec<_> = events.map(|(event, seq)| SeqEvent { seq, attempt: 1, event }).collect();
    let json = |body: Vec<u8>| -> Value { serde_json::from_slice(&body).expect("bodies are JSON") };
    let body = OpenAiChat.whole(answer, &events).map(json).map_err(|why| json(OpenAiChat.error(&why)))?;
    let choice = &body["choices"][0];
    let mut message = choice["message"].clone();
    let fields = message.as_object_mut().expect("an object");
    assert_eq!(fields.remove("refusal"), Some(Value::Null));
    assert_eq!(fields.remove("annotations"), Some(json!([])));
    Ok(json!({ "message": message, "finish_reason": choice["finish_reason"], "usage": body["usage"] }))
}

/// Both, which have to agree.
fn agreed(answer: &Answer, events: &[Event]) -> Result<Value, Value> {
    let whole = in_one_piece(answer, events);
    let mut streamed = streamed(answer, events);
    // A stream that begins with thinking and goes on with calls has opened with empty content.
    if let (Ok(whole), Ok(streamed)) = (&whole, &mut streamed)
        && whole["message"]["content"].is_null()
        && streamed["message"]["content"] == ""
    {
        streamed["message"]["content"] = Value::Null;
    }
    assert_eq!(streamed, whole, "{events:#?}");
    whole
}

#[test]
fn they_agree_however_the_answer_is_cut_and_ends() {
    let mut failed = 0;
    for seed in 0..2_000 {
        let mut random = Random(seed);
        let blocks: Vec<Said> = (0..random.below(6)).map(|index| some_block(&mut random, index)).collect();
        let end = some_end(&mut random);
        let answer = Answer { form: some_form(&mut random), ..answer(true) };
        let once = agreed(&answer, &events(&blocks, &end, &mut random));
        let again = agreed(&answer, &events(&blocks, &end, &mut random));
        assert_eq!(once, again, "seed {seed}");
        failed += u32::from(once.is_err());
    }
    assert!((500..1_500).contains(&failed), "both ends are reached: {failed}");
}
