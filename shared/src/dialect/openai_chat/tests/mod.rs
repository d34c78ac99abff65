//! Tests of the dialect as a whole, by what goes in and what comes out.

mod errors;
mod goldens;
mod parse;
mod properties;
mod random;
mod streams;
mod table;

use uuid::Uuid;

use super::OpenAiChat;
use crate::dialect::{Answer, Dialect, Rejection, Request, UsageWish};
use crate::schema::{Event, JobId, SeqEvent};

fn parse(body: &str) -> Result<Request, Rejection> {
    OpenAiChat.parse(body.as_bytes(), None)
}

fn answer(include_usage: bool) -> Answer {
    Answer {
        job: JobId::from_uuid(Uuid::from_u128(0x0192_aaaa_bbbb_7ccc_8ddd_eeee_ffff_0001)),
        model: "claude-test".to_owned(),
        created_s: 1_800_000_000,
        usage: UsageWish { streamed: include_usage, cost: false },
    }
}

fn stream(events: &[Event], include_usage: bool) -> String {
    let mut encoder = OpenAiChat.stream(&answer(include_usage));
    let mut out = Vec::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    String::from_utf8(out).expect("frames are UTF-8")
}

fn whole(events: &[Event]) -> Result<String, Rejection> {
    let sequence = events.iter().cloned().zip(1..);
    let events: Vec<_> = sequence.map(|(event, seq)| SeqEvent { seq, attempt: 1, event }).collect();
    OpenAiChat.whole(&answer(false), &events).map(|body| String::from_utf8(body).expect("bodies are UTF-8"))
}
