//! What holds whatever bytes come in, for the parser of requests and the decoder of the CLI's lines. `tests/fuzz` looks
//! for bytes for which it does not; `cargo test` goes through those that it has kept.

use drover_shared::cli::{Decoder, Line};
use drover_shared::dialect::{self, Answer, Dialect, Form, UsageWish};
use drover_shared::provider::{Target, TurnBack, compose};
use drover_shared::schema::offer::{Abilities, Setting, Thinking};
use drover_shared::schema::{Event, JobId, JobSpec, OutputFormat, SeqEvent, StopReason, Usage};
use serde_json::{Map, Value, json};

const PLACEHOLDER: &str = "placeholder";

/// A body is refused with a reason that can be told, or is a job that can be stored and asked of any provider.
pub fn parse(body: &[u8]) {
    for dialect in dialect::ALL {
        match dialect.parse(body, Some("m")) {
            Ok(request) => assert_sound(&request.spec),
            Err(rejection) => {
                assert!((400..500).contains(&rejection.status), "{rejection:?}");
                let told: Value = serde_json::from_slice(&dialect.error(&rejection)).expect("errors are JSON");
                assert!(told["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{told}");
            }
        }
    }
}

fn assert_sound(spec: &JobSpec) {
    let row = serde_json::to_string(spec).expect("a job can be stored");
    let read: JobSpec = serde_json::from_str(&row).expect("and read again");
    assert!(read == *spec, "it is another one: {row}");
    let cli_body = json!({ "messages": [{ "role": "user", "content": PLACEHOLDER }] });
    let abilities = Abilities { tools: true, thinking: Thinking::Budget, ..Abilities::default() };
    for lacks in [&[][..], &[Setting::OutputFormat]] {
        let target = Target { model: "up", abilities: &abilities, lacks, login: false };
        let body = compose(&cli_body, PLACEHOLDER, spec, &target).expect("the body is the job's");
        let messages = body["messages"].as_array().expect("messages");
        assert!(messages.last().is_some_and(|message| message["role"] == "user"), "{body}");
        for message in messages {
            assert!(message["content"].as_array().is_some_and(|blocks| !blocks.is_empty()), "{message}");
        }
    }
}

/// Lines mean something in a job of either class, and whatever they mean, a stream and an answer in one piece tell it.
pub fn decode(output: &[u8]) {
    for (mut decoder, agent) in [(Decoder::new(), false), (Decoder::agent(), true)] {
        let mut events = vec![Event::AttemptStarted { attempt: 1 }];
        for line in output.split(|byte| *byte == b'\n') {
            if let Line::Events(said) = decoder.line(line) {
                assert!(!said.is_empty(), "no event in {}", line.escape_ascii());
                events.extend(said);
            }
        }
        assert!(events.iter().all(|event| event.terminal_state().is_none()), "only a worker ends a job");
        if !agent {
            let schema = Map::from_iter([("type".to_owned(), "object".into())]);
            let output = Some(OutputFormat::Schema { schema, strict: true });
            let turn_back = TurnBack::of(&JobSpec { output, ..JobSpec::default() });
            assert_told(turn_back.expect("a tool can stand in").read(events.clone()));
        }
        assert_told(events);
    }
}

fn assert_told(mut events: Vec<Event>) {
    let usage = Usage::default();
    events.push(Event::Completed { stop: StopReason::EndTurn, stop_sequence: None, usage });
    for dialect in dialect::ALL {
        let answer = Answer {
            job: JobId::from_uuid(uuid::Uuid::nil()),
            model: "m".to_owned(),
            created_s: 0,
            usage: UsageWish::default(),
            form: Form::default(),
        };
        let mut encoder = dialect.stream(&answer);
        let mut frames = Vec::new();
        events.iter().for_each(|event| encoder.encode(event, &mut frames));
        let numbered = events.iter().cloned().zip(1..);
        let numbered: Vec<_> = numbered.map(|(event, seq)| SeqEvent { seq, attempt: 1, event }).collect();
        let whole = dialect.whole(&answer, &numbered);
        let frames = String::from_utf8(frames).expect("frames are text");
        assert_eq!(frames.ends_with("data: [DONE]\n\n"), whole.is_ok(), "{events:?}");
    }
}
