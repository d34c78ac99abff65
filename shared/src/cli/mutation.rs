//! Decoding is total: whatever bytes come, a line means something.

use std::path::Path;

use super::{Decoder, Line, Transcript, golden};
use crate::schema::Event;
use crate::schema::limits::{CLI_KIND_BYTES, CLI_MESSAGE_BYTES};

/// A small generator (xorshift), so that a failure repeats.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// Decodes and checks what every decoded line must keep to.
fn check(decoder: &mut Decoder, bytes: &[u8]) {
    match decoder.line(bytes) {
        Line::Events(events) => {
            assert!(!events.is_empty(), "no event in {}", bytes.escape_ascii());
            for event in events {
                assert!(event.terminal_state().is_none(), "only a worker ends a job: {event:?}");
                if let Event::Unrecognised { kind } = event {
                    assert!(kind.len() <= CLI_KIND_BYTES, "{kind}");
                }
            }
        }
        Line::Control { error, .. } => assert!(error.is_none_or(|text| text.len() <= CLI_MESSAGE_BYTES)),
        Line::Mirror(entries) => {
            assert!(!entries.is_empty(), "no entry in {}", bytes.escape_ascii());
            if let Some(transcript) = Transcript::resumable(&entries, Path::new("/elsewhere")) {
                assert_eq!(transcript.bytes.last(), Some(&b'\n'));
                assert!(!transcript.session_id.contains(['/', '.']), "{}", transcript.session_id);
            }
        }
        Line::TurnEnded(end) => assert!(end.message.is_none_or(|text| text.len() <= CLI_MESSAGE_BYTES)),
        Line::TurnBegan { .. } | Line::Quiet => {}
    }
}

#[test]
fn random_bytes_are_decoded() {
    let (mut random, mut decoder) = (Random(0x5eed), Decoder::agent());
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..random.below(80)).map(|_| random.byte()).collect();
        check(&mut decoder, &bytes);
    }
}

#[test]
fn mutated_lines_are_decoded() {
    let lines: Vec<Vec<u8>> = golden::recordings()
        .iter()
        .flat_map(|(_, text)| text.lines())
        .map(|line| line.as_bytes().to_vec())
        .collect();
    let (mut random, mut decoders) = (Random(0xd20), [Decoder::new(), Decoder::agent()]);
    for round in 0..30 {
        for line in &lines {
            let mut bytes = line.clone();
            for _ in 0..=round / 5 {
                mutate(&mut bytes, &mut random, &lines);
            }
            for decoder in &mut decoders {
                check(decoder, &bytes);
            }
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random, lines: &[Vec<u8>]) {
    let at = random.below(bytes.len());
    match random.below(6) {
        0 => bytes.truncate(at),
        1 if !bytes.is_empty() => bytes[at] = random.byte(),
        2 => bytes.insert(at, b"{}[]\",:\\0n"[random.below(10)]),
        3 => drop(bytes.splice(at..at, *b"\\ud83d")),
        4 => drop(bytes.drain(..at)),
        _ => {
            let other = &lines[random.below(lines.len())];
            bytes.truncate(at);
            bytes.extend_from_slice(&other[random.below(other.len())..]);
        }
    }
}

#[test]
fn deep_nesting_is_decoded() {
    let mut decoder = Decoder::agent();
    let deep = ["stream_event\",\"event", "user\",\"message", "transcript_mirror\",\"entries"];
    let deep = deep.map(|field| format!("{{\"type\":\"{field}\":"));
    for open in ["[", "{\"type\":"].into_iter().chain(deep.iter().map(String::as_str)) {
        check(&mut decoder, open.repeat(100_000).as_bytes());
    }
}
