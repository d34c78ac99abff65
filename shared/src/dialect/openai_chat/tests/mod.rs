//! Tests of the dialect as a whole, by what goes in and what comes out.

mod agents;
mod agreement;
mod calls;
mod choices;
mod errors;
mod goldens;
mod media;
mod output;
mod parse;
mod past;
mod properties;
mod random;
mod responses;
mod sessions;
mod stored;
mod streams;
mod table;
mod terms;
mod tools;

use uuid::Uuid;

use super::OpenAiChat;
use crate::dialect::{Answer, Beside, Dialect, Form, Rejection, Request, UsageWish};
use crate::schema::{Event, JobId, SeqEvent, Tool};

const HELLO: &str = r#"[{"role":"user","content":"hello"}]"#;

fn parse(body: &str) -> Result<Request, Rejection> {
    OpenAiChat.parse(body.as_bytes(), &Beside::default())
}

fn answer(include_usage: bool) -> Answer {
    Answer {
        job: JobId::from_uuid(Uuid::from_u128(0x0192_aaaa_bbbb_7ccc_8ddd_eeee_ffff_0001)),
        model: "claude-test".to_owned(),
        created_s: 1_800_000_000,
        usage: UsageWish { streamed: include_usage, cost: false },
        form: form(),
        session: None,
        project: None,
    }
}

/// Of an answer to a client with some tools.
fn form() -> Form {
    let tool = |name: &str| Tool {
        name: name.to_owned(),
        description: None,
        input_schema: serde_json::Map::new(),
        strict: false,
    };
    Form { tools: ["f", "now", "search", "weather"].map(tool).into(), ..Form::default() }
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

/// The body of a plain request with `fields`, each ending in a comma, put in or put in place of its own.
fn with(fields: &str) -> String {
    format!(r#"{{"model":"m",{fields}"messages":{HELLO}}}"#)
}

fn accepted(body: &str) -> Request {
    parse(body).unwrap_or_else(|rejection| panic!("{body}: {rejection:?}"))
}

fn refused(body: &str, code: &str, param: Option<&str>) {
    let rejection = parse(body).expect_err(body);
    let told = (rejection.status, rejection.code, rejection.param.as_deref());
    assert_eq!(told, (400, code, param), "{body}: {}", rejection.message);
}
