use super::{OpenAiChat, stream, whole};
use crate::dialect::{Answer, Dialect, Form};
use crate::schema::{
    Block, CancelReason, Event, Failure, FailureKind, OutputFormat, SeqEvent, StopReason, Usage,
};

fn completed(stop: StopReason) -> Event {
    Event::Completed { stop, stop_sequence: None, usage: Usage::default() }
}

fn text(text: &str) -> Event {
    Event::TextDelta { index: 0, text: text.to_owned() }
}

#[test]
fn nothing_goes_out_before_the_model_speaks() {
    let silent = [
        Event::AttemptStarted { attempt: 1 },
        Event::MessageStarted { message_id: "msg_1".to_owned(), model: "claude-real".to_owned() },
        Event::Notice { code: "slow".to_owned(), message: "The provider is slow.".to_owned() },
        Event::Unrecognised { kind: "system/new".to_owned() },
    ];
    assert_eq!(stream(&silent, true), "");
}

#[test]
fn a_chunk_is_what_the_contract_says() {
    let head = r#"data: {"id":"chatcmpl-0192aaaabbbb7ccc8dddeeeeffff0001","object":"chat.completion.chunk","created":1800000000,"model":"claude-test","system_fingerprint":null,"choices":[{"index":0,"delta":"#;
    let tail = r#","logprobs":null,"finish_reason":null}]}"#;
    let expected = format!(
        "{head}{{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}}{tail}\n\n\
         {head}{{\"content\":\" a\\n\\\"\"}}{tail}\n\n{head}{{\"content\":\"é \"}}{tail}\n\n"
    );
    assert_eq!(stream(&[text(" a\n\""), text("é ")], false), expected);
}

#[test]
fn one_delta_is_one_chunk() {
    let deltas: Vec<_> = (0..40).map(|n| text(&format!("{n} "))).collect();
    assert_eq!(stream(&deltas, false).matches("\"delta\":{\"content\"").count(), 40);
    assert_eq!(stream(&[text(""), text("")], false).matches("data: ").count(), 1);
}

#[test]
fn every_reason_to_stop_has_its_name() {
    for (stop, reason) in [
        (StopReason::EndTurn, "stop"),
        (StopReason::StopSequence, "stop"),
        (StopReason::PauseTurn, "stop"),
        (StopReason::MaxTokens, "length"),
        (StopReason::ContextWindowExceeded, "length"),
        (StopReason::ToolUse, "tool_calls"),
        (StopReason::Refusal, "content_filter"),
    ] {
        let expected = format!("\"finish_reason\":\"{reason}\"");
        assert!(stream(&[completed(stop)], false).contains(&expected), "{stop:?}");
        assert!(whole(&[completed(stop)]).expect("an answer").contains(&expected), "{stop:?}");
    }
}

#[test]
fn a_job_without_an_answer_is_an_error_of_its_own_status() {
    let usage = Usage::default();
    let failure = Failure::new(FailureKind::ProviderOverloaded, "Busy.");
    for (event, status, code, class, should_retry) in [
        (Event::Failed { failure, usage }, 503, "provider_overloaded", "service_unavailable_error", None),
        (
            Event::Cancelled { reason: CancelReason::Requested, usage },
            400,
            "job_cancelled",
            "invalid_request_error",
            Some(false),
        ),
        (Event::Expired, 504, "job_expired", "server_error", None),
    ] {
        let said = [text("half"), event];
        let rejection = whole(&said).expect_err(code);
        assert_eq!((rejection.status, rejection.code, rejection.should_retry), (status, code, should_retry));
        let frames = stream(&said, true);
        let last = frames.trim_end().rsplit("\n\n").next().expect("frames");
        assert!(last.starts_with("data: {\"error\":{\"message\":\""), "{last}");
        assert!(
            last.ends_with(&format!("\"type\":\"{class}\",\"param\":null,\"code\":\"{code}\"}}}}")),
            "{last}"
        );
        assert!(!frames.contains("[DONE]"));
    }
}

#[test]
fn what_a_lost_attempt_said_is_not_in_the_answer() {
    let first = Event::AttemptStarted { attempt: 1 };
    let again = Event::AttemptStarted { attempt: 2 };
    let said = [first, text("lost"), again, text("kept"), completed(StopReason::EndTurn)];
    let body = whole(&said).expect("an answer");
    assert!(body.contains("\"content\":\"kept\""), "{body}");
}

#[test]
fn a_job_that_has_not_ended_has_no_answer() {
    assert_eq!(whole(&[text("half")]).expect_err("unfinished").status, 500);
}

#[test]
fn arguments_of_no_call_are_passed_over() {
    let stray = Event::ToolInputDelta { index: 3, partial_json: "{}".to_owned() };
    assert_eq!(stream(&[stray, Event::BlockStopped { index: 3 }], false), "");
    let redacted = Event::BlockStarted { index: 0, block: Block::RedactedThinking { data: "x".to_owned() } };
    assert_eq!(stream(&[redacted], false).matches("data: ").count(), 1);
}

#[test]
fn calls_are_told_as_the_client_knows_them() {
    let call = |index, id: &str| Event::BlockStarted {
        index,
        block: Block::ToolUse { id: id.to_owned(), name: "f".to_owned() },
    };
    let piece = |index, text: &str| Event::ToolInputDelta { index, partial_json: text.to_owned() };
    let said = [
        Event::BlockStarted { index: 0, block: Block::Text },
        text("so"),
        Event::BlockStopped { index: 0 },
        call(1, "toolu_1"),
        piece(1, r#"{"a":"#),
        piece(1, "}"),
        Event::BlockStopped { index: 1 },
        call(2, "toolu_2"),
        Event::BlockStopped { index: 2 },
        completed(StopReason::ToolUse),
    ];
    let told = |form: Form| {
        let answer = Answer { form, ..super::answer(false) };
        let mut frames = Vec::new();
        let mut encoder = OpenAiChat.stream(&answer);
        for event in &said {
            encoder.encode(event, &mut frames);
        }
        let events = said.iter().cloned().zip(1..);
        let events: Vec<_> = events.map(|(event, seq)| SeqEvent { seq, attempt: 1, event }).collect();
        let whole = OpenAiChat.whole(&answer, &events).expect("an answer");
        let deltas: Vec<String> = String::from_utf8(frames)
            .expect("frames are UTF-8")
            .split("\"delta\":")
            .skip(1)
            .filter_map(|rest| rest.split(",\"logprobs\"").next().map(str::to_owned))
            .collect();
        (deltas, String::from_utf8(whole).expect("bodies are UTF-8"))
    };
    let (deltas, whole) = told(super::form());
    assert_eq!(
        deltas,
        [
            r#"{"role":"assistant","content":"","refusal":null}"#,
            r#"{"content":"so"}"#,
            r#"{"tool_calls":[{"index":0,"id":"toolu_1","type":"function","function":{"name":"f","arguments":""}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}"#,
            r#"{"tool_calls":[{"index":1,"id":"toolu_2","type":"function","function":{"name":"f","arguments":""}}]}"#,
            r#"{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}"#,
            "{}",
        ]
    );
    // What is no JSON stays as the model said it.
    assert!(whole.contains(r#""arguments":"{\"a\":}""#) && whole.contains(r#""finish_reason":"tool_calls""#));

    let (deltas, whole) = told(Form { older_calls: true, ..super::form() });
    assert_eq!(
        deltas[2..],
        [
            r#"{"function_call":{"name":"f","arguments":""}}"#,
            r#"{"function_call":{"arguments":"{\"a\":"}}"#,
            r#"{"function_call":{"arguments":"}"}}"#,
            "{}",
        ]
    );
    assert!(whole.contains(r#""function_call":{"name":"f","arguments":"{\"a\":}"}"#), "{whole}");
    assert!(whole.contains(r#""finish_reason":"function_call""#) && !whole.contains("tool_calls"), "{whole}");
}

#[test]
fn an_answer_of_another_shape_is_an_error_at_its_end() {
    let form = Form { output: Some(OutputFormat::Object), ..Form::default() };
    let answer = Answer { form, ..super::answer(false) };
    for (said, stop, fits) in [
        ("{}", StopReason::EndTurn, true),
        ("no", StopReason::EndTurn, false),
        ("{\"a", StopReason::MaxTokens, true),
    ] {
        let events = [text(&said[..1]), text(&said[1..]), completed(stop)];
        let mut frames = Vec::new();
        let mut encoder = OpenAiChat.stream(&answer);
        for event in &events {
            encoder.encode(event, &mut frames);
        }
        let frames = String::from_utf8(frames).expect("frames are UTF-8");
        let events = events.into_iter().zip(1..);
        let events: Vec<_> = events.map(|(event, seq)| SeqEvent { seq, attempt: 1, event }).collect();
        let whole = OpenAiChat.whole(&answer, &events);
        assert_eq!((whole.is_ok(), frames.ends_with("data: [DONE]\n\n")), (fits, fits), "{said}");
        if let Err(rejection) = whole {
            assert_eq!((rejection.status, rejection.code), (502, "invalid_output"));
            assert!(
                frames
                    .ends_with("\"type\":\"server_error\",\"param\":null,\"code\":\"invalid_output\"}}\n\n")
            );
            assert!(!frames.contains("\"finish_reason\":\"stop\""), "{frames}");
        }
    }
}
