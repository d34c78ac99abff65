//! The provider's answer, event by event.
//!
//! [`Splitter`] cuts bytes into frames, [`Meter`] reads of them what the relay has to know. All but the
//! frames that carry usage pass byte for byte and, apart from their name, unread.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::failure;
use crate::schema::{Class, Failure, Usage, limits};

/// A server-sent event as it came, up to and including the empty line that ends it.
pub type Frame = Vec<u8>;

/// An event is longer than [`limits::PROVIDER_EVENT_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is too long")]
pub struct EventTooLong;

/// Cuts a byte stream into frames, wherever the chunks' borders are. Lines end with `\n` or `\r\n`; a
/// lone `\r`, which the specification allows too, is sent by nobody.
#[derive(Debug, Default)]
pub struct Splitter {
    rest: Vec<u8>,
    scanned: usize,
}

impl Splitter {
    /// The frames that `chunk` completes.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<Frame>, EventTooLong> {
        self.rest.extend_from_slice(chunk);
        let mut frames = Vec::new();
        while let Some(end) = frame_end(&self.rest, self.scanned) {
            let rest = self.rest.split_off(end);
            frames.push(std::mem::replace(&mut self.rest, rest));
            self.scanned = 0;
        }
        // The last two bytes may be the beginning of the empty line.
        self.scanned = self.rest.len().saturating_sub(2);
        if self.rest.len() > limits::PROVIDER_EVENT_BYTES {
            return Err(EventTooLong);
        }
        Ok(frames)
    }
}

/// Where the first empty line ends that follows another line at or after `from`.
fn frame_end(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len()).filter(|at| bytes[*at] == b'\n').find_map(|at| match &bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// What a frame means to the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Nothing.
    Passed,
    /// The usage has changed.
    Metered,
    /// The answer is whole.
    Stopped,
    /// The provider gives up.
    Failed(Failure),
}

/// Reads what the provider bills.
#[derive(Debug)]
pub struct Meter {
    usage: Usage,
    hides: bool,
    speaks: bool,
}

impl Meter {
    /// For the answer to a job of this class.
    ///
    /// A chat process is told small figures: one that hears of 199,000 tokens and more answers "Prompt is too
    /// long" by itself from then on. An agent's is told the truth, by which it compacts its conversation in time.
    pub fn new(class: Class) -> Self {
        Self { usage: Usage::default(), hides: class == Class::Chat, speaks: false }
    }

    /// What was billed so far.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Whether there is more of the answer than its beginning: until then nobody has heard any of it, and another
    /// provider may be asked.
    pub fn has_spoken(&self) -> bool {
        self.speaks
    }

    /// The frame as the CLI is to see it, and what it means. An error's frame is kept back: whoever
    /// reads tells of it in words that suit the CLI.
    pub fn read(&mut self, frame: Frame) -> (Frame, Signal) {
        let (name, data) = fields(&frame);
        self.speaks |= !matches!(name.as_deref(), None | Some("ping" | "message_start" | "error"));
        match name.as_deref() {
            Some("message_start") => self.meter(&data, "/message/usage", &frame),
            Some("message_delta") => self.meter(&data, "/usage", &frame),
            Some("message_stop") => (frame, Signal::Stopped),
            Some("error") => (Frame::new(), Signal::Failed(failure::from_error_event(&data))),
            _ => (frame, Signal::Passed),
        }
    }

    /// Takes the usage at `pointer`, if there is one.
    fn meter(&mut self, data: &[u8], pointer: &str, frame: &[u8]) -> (Frame, Signal) {
        let metered = self.metered(data, pointer);
        let signal = if metered.is_some() { Signal::Metered } else { Signal::Passed };
        (metered.filter(|_| self.hides).unwrap_or_else(|| frame.to_vec()), signal)
    }

    /// The frame with small figures in the place of those at `pointer`, which are taken. `None` if there are none.
    fn metered(&mut self, data: &[u8], pointer: &str) -> Option<Frame> {
        let mut event: Value = serde_json::from_slice(data).ok()?;
        let reported = event.pointer_mut(pointer).filter(|usage| usage.is_object())?;
        self.raise_to(reported);
        *reported = json!({ "input_tokens": 1, "output_tokens": 1 });
        let name = event["type"].as_str()?.to_owned();
        Some(frame(&name, &event))
    }

    /// Figures are cumulative, and each event has only some of them: none ever falls.
    fn raise_to(&mut self, reported: &Value) {
        let usage = &mut self.usage;
        for (count, pointer) in [
            (&mut usage.input_tokens, "/input_tokens"),
            (&mut usage.output_tokens, "/output_tokens"),
            (&mut usage.cache_read_tokens, "/cache_read_input_tokens"),
            (&mut usage.cache_write_tokens, "/cache_creation_input_tokens"),
            (&mut usage.thinking_tokens, "/output_tokens_details/thinking_tokens"),
            (&mut usage.web_searches, "/server_tool_use/web_search_requests"),
        ] {
            *count = (*count).max(reported.pointer(pointer).and_then(Value::as_u64).unwrap_or(0));
        }
    }
}

/// An event as it goes over the wire.
pub fn frame(name: &str, data: &Value) -> Frame {
    format!("event: {name}\ndata: {data}\n\n").into_bytes()
}

/// The event by which a stream that has begun tells of a failure.
pub fn error_frame(failure: &Failure) -> Frame {
    frame("error", &json!({ "type": "error", "error": { "type": "api_error", "message": failure.message } }))
}

/// The event's name and its data. Some providers send no `event:` line; the data's `type` says the same.
pub(super) fn fields(frame: &[u8]) -> (Option<Cow<'_, str>>, Cow<'_, [u8]>) {
    let (mut name, mut data) = (None, Cow::Borrowed(&[][..]));
    for line in frame.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(value) = value(line, b"event:") {
            name = std::str::from_utf8(value).ok().map(Cow::Borrowed);
        } else if let Some(value) = value(line, b"data:") {
            data = joined(data, value);
        }
    }
    if name.is_none() {
        name = kind(&data).map(Cow::Owned);
    }
    (name, data)
}

fn value<'a>(line: &'a [u8], field: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(field)?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// Several `data:` lines are one text with line feeds between them.
fn joined<'a>(data: Cow<'a, [u8]>, line: &'a [u8]) -> Cow<'a, [u8]> {
    if data.is_empty() {
        return Cow::Borrowed(line);
    }
    let mut data = data.into_owned();
    data.push(b'\n');
    data.extend_from_slice(line);
    Cow::Owned(data)
}

fn kind(data: &[u8]) -> Option<String> {
    serde_json::from_slice::<Value>(data).ok()?["type"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::FailureKind;

    const STREAM: &str = "event: ping\ndata: {}\n\nevent: a\r\ndata: 1\r\n\r\n: comment\n\ndata: ü\n\n";
    const FRAMES: [&str; 4] =
        ["event: ping\ndata: {}\n\n", "event: a\r\ndata: 1\r\n\r\n", ": comment\n\n", "data: ü\n\n"];

    #[test]
    fn chunking_makes_no_difference() {
        for size in 1..=STREAM.len() {
            let mut splitter = Splitter::default();
            let mut frames = Vec::new();
            for chunk in STREAM.as_bytes().chunks(size) {
                frames.extend(splitter.push(chunk).expect("short events"));
            }
            assert_eq!(frames, FRAMES.map(str::as_bytes), "chunks of {size}");
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut splitter = Splitter::default();
        let chunk = vec![b'x'; limits::PROVIDER_EVENT_BYTES / 2];
        assert_eq!(splitter.push(&chunk), Ok(vec![]));
        assert_eq!(splitter.push(&chunk), Ok(vec![]));
        assert_eq!(splitter.push(b"x"), Err(EventTooLong));
    }

    #[test]
    fn usage_is_taken_from_the_provider_and_small_for_the_cli() {
        let mut meter = Meter::new(Class::Chat);
        let start = json!({ "type": "message_start", "message": { "id": "m", "usage": {
            "input_tokens": 250_000, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 20,
            "output_tokens": 1,
        } } });
        let (seen, signal) = meter.read(frame("message_start", &start));
        assert_eq!(signal, Signal::Metered);
        let small = json!({ "type": "message_start", "message": { "id": "m",
            "usage": { "input_tokens": 1, "output_tokens": 1 } } });
        assert_eq!(seen, frame("message_start", &small));

        let delta = json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": {
            "output_tokens": 900, "output_tokens_details": { "thinking_tokens": 400 },
            "server_tool_use": { "web_search_requests": 2 },
            "cache_read_input_tokens": null,
        } });
        let (seen, signal) = meter.read(frame("message_delta", &delta));
        assert_eq!(signal, Signal::Metered);
        assert!(!String::from_utf8_lossy(&seen).contains("900"));
        assert!(String::from_utf8_lossy(&seen).contains("end_turn"));
        let billed = Usage {
            input_tokens: 250_000,
            output_tokens: 900,
            cache_read_tokens: 30,
            cache_write_tokens: 20,
            thinking_tokens: 400,
            web_searches: 2,
            ..Usage::default()
        };
        assert_eq!(meter.usage(), billed);
    }

    #[test]
    fn an_agents_cli_is_told_the_usage_as_it_is() {
        let mut meter = Meter::new(Class::Agent);
        let start = b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\" :119000}}}\n\n".to_vec();
        let delta =
            frame("message_delta", &json!({ "type": "message_delta", "usage": { "output_tokens": 9 } }));
        for frame in [start, delta] {
            let (seen, signal) = meter.read(frame.clone());
            assert_eq!(String::from_utf8_lossy(&seen), String::from_utf8_lossy(&frame));
            assert_eq!(signal, Signal::Metered);
        }
        assert_eq!((meter.usage().input_tokens, meter.usage().output_tokens), (119_000, 9));
    }

    #[test]
    fn usage_that_comes_at_the_end_only_counts_too() {
        let mut meter = Meter::new(Class::Chat);
        for usage in [json!({ "input_tokens": 0 }), json!({ "input_tokens": 12, "output_tokens": 3 })] {
            meter.read(
                format!("data:{}\n\n", json!({ "type": "message_delta", "usage": usage })).into_bytes(),
            );
        }
        assert_eq!((meter.usage().input_tokens, meter.usage().output_tokens), (12, 3));
    }

    #[test]
    fn everything_else_passes_as_it_is() {
        for frame in [
            "event: content_block_delta\ndata: {\"delta\": { \"text\" :\"\\u00fc  \"}}\n\n",
            "event: ping\r\ndata: {}\r\n\r\n",
            "event: message_start\ndata: not json\n\n",
            "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{}}\n\n",
            "event: content_block_delta\ndata: [broken\n\n",
            ":\n\n",
            "\n\n",
        ] {
            let frame = frame.as_bytes().to_vec();
            assert_eq!(Meter::new(Class::Chat).read(frame.clone()), (frame, Signal::Passed));
        }
    }

    #[test]
    fn the_end_is_noticed_with_or_without_a_name() {
        for text in ["event: message_stop\ndata: {}\n\n", "data: {\"type\":\ndata: \"message_stop\"}\r\n\r\n"]
        {
            let frame = text.as_bytes().to_vec();
            assert_eq!(Meter::new(Class::Chat).read(frame.clone()), (frame, Signal::Stopped));
        }
    }

    #[test]
    fn an_error_is_kept_back() {
        let error =
            json!({ "type": "error", "error": { "type": "overloaded_error", "message": "host x9 busy" } });
        let (seen, signal) = Meter::new(Class::Chat).read(frame("error", &error));
        let Signal::Failed(failure) = signal else { panic!("{signal:?}") };
        assert_eq!(failure.kind, FailureKind::ProviderOverloaded);
        assert_eq!(seen, Frame::new());
    }
}
