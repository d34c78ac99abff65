//! What lines look like.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use super::lines;
use crate::config::LogFormat;

/// What a client may try to write into a log.
const HOSTILE: &str = "a\n2026-01-01 ERROR forged\r\u{1b}[2J\u{9b}2J\u{202e}\u{2028}\u{7f}\t\"}";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn logged(format: LogFormat, log: impl FnOnce()) -> String {
    let sink = Log::default();
    let subscriber = tracing_subscriber::registry().with(lines(format, false, sink.clone()));
    tracing::subscriber::with_default(subscriber, log);
    let bytes = sink.0.lock().expect("no panic").clone();
    String::from_utf8(bytes).expect("text")
}

/// A hostile value everywhere that one can stand.
fn hostile() {
    let span =
        tracing::error_span!("request", quoted = HOSTILE, shown = %HOSTILE, later = tracing::field::Empty);
    span.record("later", tracing::field::display(HOSTILE));
    let _inside = span.enter();
    tracing::info!(quoted = HOSTILE, shown = %HOSTILE, debug = ?HOSTILE, "said: {HOSTILE}");
}

#[test]
fn no_value_writes_a_line_of_its_own_or_moves_a_terminal() {
    for format in [LogFormat::Human, LogFormat::Json] {
        let log = logged(format, hostile);
        let (line, rest) = log.split_once('\n').expect("a line");
        assert_eq!(rest, "", "{format:?}: {log:?}");
        assert!(!line.chars().any(super::escape::is_hidden), "{format:?}: {line:?}");
        assert!(line.contains("forged"), "{format:?}: {line:?}");
    }
}

#[test]
fn json_says_what_was_said() {
    let line: Value = serde_json::from_str(&logged(LogFormat::Json, hostile)).expect("JSON");
    for name in ["quoted", "shown", "later"] {
        assert_eq!(line[name], HOSTILE, "{name}");
    }
    assert_eq!(line["message"], format!("said: {HOSTILE}"));
}

#[test]
fn a_line_of_json_has_all_that_its_spans_say_and_its_own_word_wins() {
    let log = logged(LogFormat::Json, || {
        let _outer =
            tracing::error_span!("request", request = "req_1", job = tracing::field::Empty).entered();
        let inner = tracing::error_span!("attempt", job = "job_1", attempt = 2, level = "forged").entered();
        inner.record("attempt", 3);
        tracing::warn!(ms = 5, right = true, target = "forged", "the message");
    });
    let mut line: Value = serde_json::from_str(&log).expect("JSON");
    let timestamp = line.as_object_mut().expect("an object").remove("timestamp").expect("a time");
    assert!(timestamp.as_str().expect("text").ends_with('Z'));
    let expected = json!({
        "level": "WARN", "message": "the message", "target": line["target"], "request": "req_1",
        "job": "job_1", "attempt": 3, "ms": 5, "right": true,
    });
    assert_eq!(line, expected);
    assert!(line["target"].as_str().expect("text").starts_with("drover_shared::"));
}

#[test]
fn people_read_the_spans_and_then_the_message() {
    let log = logged(LogFormat::Human, || {
        let _span = tracing::error_span!("request", request = %"req_1").entered();
        tracing::info!(ms = 5, name = "x", "the message");
    });
    let line = log.trim_end();
    assert!(line.ends_with(": the message ms=5 name=\"x\""), "{line}");
    assert!(line.contains(" INFO request{request=req_1}: drover_shared::"), "{line}");
}
