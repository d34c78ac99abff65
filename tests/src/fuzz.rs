//! What holds whatever bytes come in, for the parser of requests and the decoder of the CLI's lines. `tests/fuzz` looks
//! for bytes for which it does not; `cargo test` goes through those that it has kept.

use drover_shared::cli::{Decoder, Line};
use drover_shared::dialect::openai_chat::OpenAiChat;
use drover_shared::dialect::{self, Answer, Beside, Dialect as _, Form, UsageWish};
use drover_shared::provider::{Target, TurnBack, compose};
use drover_shared::schema::offer::{Abilities, Setting, Thinking};
use drover_shared::schema::{Block, Event, JobId, JobSpec, OutputFormat, SeqEvent, StopReason, Tool, Usage};
use serde_json::{Map, Value, json};

const PLACEHOLDER: &str = "placeholder";

/// A body is refused with a reason that can be told, or is a job that can be stored and asked of any provider.
pub fn parse(body: &[u8]) {
    let beside = Beside { default_model: Some("m".to_owned()), ..Beside::default() };
    for dialect in dialect::ALL {
        match dialect.parse(body, &beside) {
            Ok(request) => assert_sound(&request.spec),
            Err(rejection) => {
                assert!((400..500).contains(&rejection.status), "{rejection:?}");
                let told: Value =
                    serde_json::from_slice(&dialect.error(&rejection)).expect("errors are JSON");
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

/// A stream and an answer in one piece agree. The client has every tool that is called, unless it has none.
fn assert_told(mut events: Vec<Event>) {
    let usage = Usage::default();
    events.push(Event::Completed { stop: StopReason::EndTurn, stop_sequence: None, usage });
    for tools in [called(&events), Vec::new()] {
        let answer = Answer {
            job: JobId::from_uuid(uuid::Uuid::nil()),
            model: "m".to_owned(),
            created_s: 0,
            usage: UsageWish::default(),
            form: Form { tools: tools.into(), ..Form::default() },
            session: None,
            project: None,
        };
        let mut encoder = OpenAiChat.stream(&answer);
        let mut frames = Vec::new();
        for event in &events {
            encoder.encode(event, &mut frames);
        }
        let numbered = events.iter().cloned().zip(1..);
        let numbered: Vec<_> = numbered.map(|(event, seq)| SeqEvent { seq, attempt: 1, event }).collect();
        let whole = OpenAiChat.whole(&answer, &numbered).ok().map(|body| in_one_piece(&body));
        assert_eq!(streamed(&frames), whole, "{events:?}");
    }
}

fn called(events: &[Event]) -> Vec<Tool> {
    let mut tools: Vec<Tool> = Vec::new();
    for event in events {
        if let Event::BlockStarted { block: Block::ToolUse { name, .. }, .. } = event {
            let (name, input_schema) = (name.clone(), Map::new());
            tools.push(Tool { name, description: None, input_schema, strict: false });
        }
    }
    tools
}

/// What an answer says: its text, its reasoning, and its calls.
#[derive(Debug, Default, PartialEq)]
struct Said {
    text: String,
    reasoning: String,
    calls: Vec<(String, String)>,
}

/// `None` if it ended with an error.
fn streamed(frames: &[u8]) -> Option<Said> {
    let frames = std::str::from_utf8(frames).expect("frames are text");
    let chunks = frames.strip_suffix("data: [DONE]\n\n")?;
    let mut said = Said::default();
    for chunk in chunks.split_terminator("\n\n") {
        let json = chunk.strip_prefix("data: ").expect("a data line");
        let chunk: Value = serde_json::from_str(json).expect("chunks are JSON");
        let delta = &chunk["choices"][0]["delta"];
        said.text += delta["content"].as_str().unwrap_or_default();
        said.reasoning += delta["reasoning_content"].as_str().unwrap_or_default();
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let (name, arguments) = (&call["function"]["name"], &call["function"]["arguments"]);
            if let Some(name) = name.as_str() {
                said.calls.push((name.to_owned(), String::new()));
            }
            let index = call["index"].as_u64().and_then(|index| usize::try_from(index).ok());
            let call = said.calls.get_mut(index.expect("an index")).expect("it has begun");
            call.1 += arguments.as_str().expect("a piece");
        }
    }
    Some(said)
}

fn in_one_piece(body: &[u8]) -> Said {
    let body: Value = serde_json::from_slice(body).expect("bodies are JSON");
    let message = &body["choices"][0]["message"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let call = |call: &Value| (text(&call["function"]["name"]), text(&call["function"]["arguments"]));
    Said {
        text: text(&message["content"]),
        reasoning: text(&message["reasoning_content"]),
        calls: message["tool_calls"].as_array().into_iter().flatten().map(call).collect(),
    }
}
