//! How a request names its session, and what it may say then.

use super::{OpenAiChat, accepted, answer, refused, with};
use crate::dialect::{Answer, Answered, Beside, Dialect, SESSION_HEADER, SessionWish};
use crate::schema::{Event, IfBusy, SeqEvent, StopReason, Usage};

const SESSION: &str = "session_00000000000000000000000000000001";
const OTHER: &str = "session_00000000000000000000000000000002";

fn known(id: &str) -> SessionWish {
    SessionWish { known: Some(id.parse().expect("an id")), if_busy: IfBusy::Wait }
}

#[test]
fn a_session_is_named_in_the_body_or_by_the_header() {
    let new = Some(SessionWish { known: None, if_busy: IfBusy::Wait });
    for (field, header, expected) in [
        (None, None, Ok(None)),
        (Some(SESSION), None, Ok(Some(known(SESSION)))),
        (None, Some(SESSION), Ok(Some(known(SESSION)))),
        (Some(SESSION), Some(SESSION), Ok(Some(known(SESSION)))),
        (Some("new"), None, Ok(new)),
        (None, Some("new"), Ok(new)),
        (Some(SESSION), Some(OTHER), Err("session_id")),
        (Some("mine"), None, Err("session_id")),
        (Some(""), None, Err("session_id")),
        (None, Some("mine"), Err(SESSION_HEADER)),
    ] {
        let field = field.map(|id| format!(r#""session_id":"{id}","#)).unwrap_or_default();
        let beside = Beside { session: header.map(str::to_owned), ..Beside::default() };
        let read = OpenAiChat.parse(with(&field).as_bytes(), &beside);
        let read = read.map(|request| request.session).map_err(|rejection| rejection.param);
        assert_eq!(read, expected.map_err(|param| Some(param.to_owned())), "{field} {header:?}");
    }
}

#[test]
fn a_session_may_say_what_the_request_does_not() {
    let body = format!(r#"{{"session_id":"{SESSION}","messages":[{{"role":"user","content":"x"}}]}}"#);
    let request = accepted(&body);
    assert!(!request.names_model && request.spec.model.is_empty() && request.spec.system.is_empty());
    let house = Beside { default_model: Some("house".to_owned()), ..Beside::default() };
    assert_eq!(OpenAiChat.parse(body.as_bytes(), &house).expect("a request").spec.model, "");
    assert!(accepted(&with("")).names_model);
    refused(
        r#"{"session_id":"new","messages":[{"role":"user","content":"x"}]}"#,
        "missing_required_parameter",
        Some("model"),
    );
    assert_eq!(accepted(&with(r#""system_prompt":"Be brief.","#)).spec.system, "Be brief.");
    let both = r#"{"model":"m","system_prompt":"a","messages":[{"role":"system","content":"b"},{"role":"user","content":"x"}]}"#;
    refused(both, "invalid_value", Some("system_prompt"));
}

#[test]
fn a_client_chooses_what_becomes_of_it_in_a_busy_session() {
    let wish = |fields: &str| accepted(&with(fields)).session.map(|session| session.if_busy);
    assert_eq!(wish(r#""session_id":"new","session_busy":"wait","#), Some(IfBusy::Wait));
    assert_eq!(wish(r#""session_id":"new","session_busy":"refuse","#), Some(IfBusy::Refuse));
    assert_eq!(wish(r#""agent":true,"session_busy":"refuse","#), Some(IfBusy::Refuse));
    for (fields, code) in [
        (r#""session_busy":"wait","#, "invalid_value"),
        (r#""session_id":"new","session_busy":"hurry","#, "invalid_value"),
        (r#""session_id":"new","session_busy":true,"#, "invalid_type"),
    ] {
        refused(&with(fields), code, Some("session_busy"));
    }
    refused(&with(r#""session_id":"new","n":2,"#), "unsupported_parameter", Some("n"));
}

#[test]
fn the_first_messages_may_answer_calls_of_the_session() {
    let tool = |id: &str| format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"x"}}"#);
    let body = |session: &str, messages: &[String]| {
        format!(r#"{{"model":"m",{session}"messages":[{}]}}"#, messages.join(","))
    };
    let session = format!(r#""session_id":"{SESSION}","#);
    let user = r#"{"role":"user","content":"and?"}"#.to_owned();
    let request = accepted(&body(&session, &[tool("a"), tool("b"), user.clone()]));
    let at =
        |id: &str, at: usize| Answered { id: id.to_owned(), path: format!("messages[{at}].tool_call_id") };
    assert_eq!(request.answered, [at("a", 0), at("b", 1)]);
    assert_eq!((request.spec.turns.len(), request.spec.turns[0].parts.len()), (1, 3));

    let param = Some("messages[0].tool_call_id");
    refused(&body("", &[tool("a")]), "invalid_value", param);
    refused(&body(r#""session_id":"new","#, &[tool("a")]), "invalid_value", param);
    let param = Some("messages[1].tool_call_id");
    refused(&body(&session, &[tool("a"), tool("a")]), "invalid_value", param);
    refused(&body(&session, &[user, tool("a")]), "invalid_value", param);
}

#[test]
fn an_agents_session_is_told_what_speaks_against_it() {
    for (fields, param) in
        [(r#""temperature":0.5,"#, Some("temperature")), (r#""agent":false,"#, Some("agent")), ("", None)]
    {
        let request = accepted(&with(&format!(r#"{fields}"session_id":"{SESSION}","#)));
        let told = request.unfit_for_agent.and_then(|rejection| rejection.param);
        assert_eq!((request.agent, told.as_deref()), (None, param), "{fields}");
    }
    assert_eq!(accepted(&with(r#""temperature":0.5,"#)).unfit_for_agent, None, "no session, no agent");
}

#[test]
fn an_answer_says_where_its_job_belongs() {
    let completed =
        Event::Completed { stop: StopReason::EndTurn, stop_sequence: None, usage: Usage::default() };
    let project = "project_00000000000000000000000000000003";
    let placed = Answer { session: SESSION.parse().ok(), project: project.parse().ok(), ..answer(false) };
    let place = format!(r#""session_id":"{SESSION}","project_id":"{project}""#);
    let whole = OpenAiChat.whole(&placed, &[SeqEvent { seq: 1, attempt: 1, event: completed.clone() }]);
    assert!(String::from_utf8(whole.expect("an answer")).expect("text").contains(&place));
    let mut frames = Vec::new();
    OpenAiChat.stream(&placed).encode(&completed, &mut frames);
    let frames = String::from_utf8(frames).expect("text");
    let chunks: Vec<_> = frames.split_terminator("\n\n").filter(|frame| !frame.ends_with("[DONE]")).collect();
    assert!(!chunks.is_empty() && chunks.iter().all(|chunk| chunk.contains(&place)), "{frames}");
}
