//! The built-in demo model: makes the first run work without an account, and says that it is no model.

use serde_json::{Value, json};

use super::registry::DEMO;
use super::sse::{Frame, frame};
use crate::schema::{JobSpec, Part, Role, limits};

/// The demo's answer as frames of the Messages API, to be sent [`limits::DEMO_PACE`] apart. Its tokens
/// are words; so are its usage figures.
pub fn answer(spec: &JobSpec, message_id: &str) -> Vec<Frame> {
    let whole = text(spec);
    let (said, met) = until_stop(&whole, &spec.sampling.stop);
    let mut words: Vec<&str> = said.split_inclusive(' ').collect();
    let most =
        spec.sampling.max_tokens.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let reason = if words.len() > most {
        "max_tokens"
    } else if met.is_some() {
        "stop_sequence"
    } else {
        "end_turn"
    };
    words.truncate(most);
    let met = met.filter(|_| reason == "stop_sequence");

    let mut frames = vec![
        started(spec, message_id),
        event(&json!({
            "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" },
        })),
    ];
    frames.extend(words.iter().map(|word| {
        event(&json!({
            "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": word },
        }))
    }));
    frames.push(event(&json!({ "type": "content_block_stop", "index": 0 })));
    frames.push(event(&json!({
        "type": "message_delta",
        "delta": { "stop_reason": reason, "stop_sequence": met },
        "usage": { "output_tokens": words.len() },
    })));
    frames.push(event(&json!({ "type": "message_stop" })));
    frames
}

fn started(spec: &JobSpec, message_id: &str) -> Frame {
    let parts = spec.turns.iter().flat_map(|turn| &turn.parts);
    let said = parts.filter_map(Part::text).map(words).sum::<usize>() + words(&spec.system);
    event(&json!({ "type": "message_start", "message": {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": DEMO,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": { "input_tokens": said, "output_tokens": 0 },
    } }))
}

/// What the demo has to say.
fn text(spec: &JobSpec) -> String {
    let last = spec.turns.iter().rfind(|turn| turn.role == Role::User);
    let asked = last.and_then(|turn| turn.parts.iter().rev().find_map(Part::text)).unwrap_or_default();
    let mut echo: String = asked.chars().take(limits::DEMO_ECHO_CHARS).collect();
    if echo.len() < asked.len() {
        echo.push('…');
    }
    format!(
        "This is Drover's built-in demo model. It is no language model: nobody has read your message, and \
         whatever you write, you get this text. It is here because no provider key is configured. Set \
         ANTHROPIC_API_KEY in the environment of the workers (or in Drover's configuration file) and start \
         Drover again; then Claude answers. What came through the whole road, so that you can see it \
         works: “{echo}”"
    )
}

/// The text before the stop sequence that comes first in it, and that sequence.
fn until_stop<'a>(text: &'a str, stop: &'a [String]) -> (&'a str, Option<&'a str>) {
    let met = stop.iter().filter_map(|stop| text.find(stop.as_str()).map(|at| (at, stop.as_str()))).min();
    met.map_or((text, None), |(at, stop)| (&text[..at], Some(stop)))
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

fn event(data: &Value) -> Frame {
    frame(data["type"].as_str().unwrap_or_default(), data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::sse::{Meter, Signal};
    use crate::schema::{Class, Sampling, Turn};

    fn spec(asked: &str, sampling: Sampling) -> JobSpec {
        let parts = vec![Part::Text { text: asked.to_owned() }];
        let turns = vec![Turn { role: Role::User, parts }];
        JobSpec { model: DEMO.to_owned(), turns, sampling, ..JobSpec::default() }
    }

    /// The answer's text, stop reason and stop sequence.
    fn said(spec: &JobSpec) -> (String, Value, Value) {
        let (mut text, mut reason, mut met) = (String::new(), Value::Null, Value::Null);
        for frame in answer(spec, "msg_1") {
            let frame = String::from_utf8(frame).expect("text");
            let (_, data) = frame.split_once("data: ").expect("data");
            let data: Value = serde_json::from_str(data).expect("JSON");
            text.push_str(data["delta"]["text"].as_str().unwrap_or_default());
            if data["type"] == "message_delta" {
                (reason, met) =
                    (data["delta"]["stop_reason"].clone(), data["delta"]["stop_sequence"].clone());
            }
        }
        (text, reason, met)
    }

    #[test]
    fn it_says_what_it_is_and_how_to_get_more() {
        let (text, reason, met) = said(&spec("Wie geht's?", Sampling::default()));
        assert!(text.contains("demo model") && text.contains("ANTHROPIC_API_KEY"), "{text}");
        assert!(text.ends_with("“Wie geht's?”"), "{text}");
        assert_eq!((reason, met), (json!("end_turn"), Value::Null));
    }

    #[test]
    fn the_echo_is_bounded() {
        let (text, ..) = said(&spec(&"ü".repeat(10_000), Sampling::default()));
        assert_eq!(text.matches('ü').count(), limits::DEMO_ECHO_CHARS);
        assert!(text.ends_with("…”"), "{text}");
    }

    #[test]
    fn it_stops_where_it_is_told_to() {
        let stop = |stop: &[&str]| stop.iter().map(|stop| (*stop).to_owned()).collect();
        for (stop, max_tokens, text, reason, met) in [
            (stop(&["demo", "built"]), None, "This is Drover's ", "stop_sequence", json!("built")),
            (stop(&["built"]), Some(2), "This is ", "max_tokens", Value::Null),
            (stop(&["built"]), Some(3), "This is Drover's ", "stop_sequence", json!("built")),
            (stop(&["This"]), None, "", "stop_sequence", json!("This")),
            (stop(&[]), Some(1), "This ", "max_tokens", Value::Null),
        ] {
            let spec = spec("hi", Sampling { max_tokens, stop, ..Sampling::default() });
            assert_eq!(said(&spec), (text.to_owned(), json!(reason), met));
        }
    }

    #[test]
    fn its_usage_counts_words() {
        let mut meter = Meter::new(Class::Chat);
        let mut last = Signal::Passed;
        for frame in answer(&spec("one two  three", Sampling::default()), "msg_1") {
            last = meter.read(frame).1;
        }
        let (text, ..) = said(&spec("one two  three", Sampling::default()));
        assert_eq!(last, Signal::Stopped);
        assert_eq!(meter.usage().input_tokens, 3);
        assert_eq!(meter.usage().output_tokens, text.split(' ').count() as u64);
    }
}
