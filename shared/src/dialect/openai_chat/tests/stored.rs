use serde_json::{Value, json};

use super::{OpenAiChat, accepted, answer, parse, refused, with};
use crate::dialect::openai_chat::{listing, stored};
use crate::dialect::{Answer, Form, Granularity, UsageWish};
use crate::schema::{
    Event, JobSpec, KeptAnswer, KeptQuery, Metadata, Owner, Part, Role, SeqEvent, StopReason, Turn, Usage,
    limits,
};

fn labels(pairs: &[(&str, &str)]) -> Metadata {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn pairs(query: &[(&str, &str)]) -> Vec<(String, String)> {
    query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

#[test]
fn labels_are_those_of_a_stored_completion() {
    for (fields, keep, ignored) in [
        ("", None, &[][..]),
        (r#""store":false,"#, None, &[]),
        (r#""store":null,"metadata":null,"#, None, &[]),
        (r#""metadata":{"a":"b"},"#, None, &["metadata"]),
        (r#""store":true,"#, Some(labels(&[])), &[]),
        (r#""store":true,"metadata":{"a":"b","é":""},"#, Some(labels(&[("a", "b"), ("é", "")])), &[]),
    ] {
        let request = accepted(&with(fields));
        assert_eq!(
            (request.keep, &request.ignored[..]),
            (keep, &ignored.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
            "{fields}"
        );
    }
    let long = "é".repeat(limits::LABEL_CHARS + 1);
    let (name, fits) = ("é".repeat(limits::LABEL_NAME_CHARS), "é".repeat(limits::LABEL_CHARS));
    let many: Vec<String> = (0..=limits::LABELS).map(|n| format!(r#""{n}":"""#)).collect();
    for (metadata, code, param) in [
        ("[]".to_owned(), "invalid_type", "metadata"),
        (r#"{"a":1}"#.to_owned(), "invalid_type", "metadata.a"),
        (format!(r#"{{"a":"{long}"}}"#), "invalid_value", "metadata.a"),
        (format!(r#"{{"{name}x":""}}"#), "invalid_value", "metadata"),
        (format!("{{{}}}", many.join(",")), "invalid_value", "metadata"),
    ] {
        for store in ["", r#""store":true,"#] {
            refused(&with(&format!(r#"{store}"metadata":{metadata},"#)), code, Some(param));
        }
        let update =
            stored::update(format!(r#"{{"metadata":{metadata}}}"#).as_bytes()).expect_err("an error");
        assert_eq!((update.code, update.param.as_deref()), (code, Some(param)));
    }
    assert!(parse(&with(&format!(r#""store":true,"metadata":{{"{name}":"{fits}"}},"#))).is_ok());
    assert_eq!(stored::update(br#"{"metadata":{"a":"b"}}"#), Ok(labels(&[("a", "b")])));
    for (body, code) in [
        (&b"{}"[..], "missing_required_parameter"),
        (br#"{"metadata":{},"x":1}"#, "unsupported_parameter"),
        (b"[]", "invalid_type"),
    ] {
        assert_eq!(stored::update(body).expect_err("an error").code, code);
    }
}

fn said() -> Vec<SeqEvent> {
    let events = [
        Event::TextDelta { index: 0, text: "Hello".to_owned() },
        Event::Completed { stop: StopReason::EndTurn, stop_sequence: None, usage: Usage::default() },
    ];
    (1..).zip(events).map(|(seq, event)| SeqEvent { seq, attempt: 1, event }).collect()
}

#[test]
fn a_completion_is_told_again_as_it_was_with_its_labels() {
    let form = Form { older_calls: true, granularity: Granularity::Word, ..Form::default() };
    let answer = Answer { form, usage: UsageWish { streamed: true, cost: true }, ..answer(false) };
    let keep = answer.keep(&OpenAiChat, Some(labels(&[("a", "\"b\"")])));
    assert_eq!((keep.dialect.as_str(), Answer::kept(&keep)), (stored::DIALECT, Some(answer.clone())));
    let kept = KeptAnswer { job: answer.job, keep };
    let item = stored::completion(&kept, &said()).expect("an answer");
    let mut expected =
        json(&crate::dialect::Dialect::whole(&OpenAiChat, &answer, &said()).expect("an answer"));
    expected["metadata"] = json!({"a": "\"b\""});
    assert_eq!(json(item.body.get().as_bytes()), expected);
    assert_eq!(stored::job(&item.id), Ok(answer.job));
    assert!(stored::completion(&kept, &said()[..1]).is_none(), "it has not ended");
    let page = json(&listing::body(&[item], true));
    let id = &expected["id"];
    assert_eq!(
        page,
        json!({"object": "list", "data": [expected], "first_id": id, "last_id": id, "has_more": true})
    );
    let none = json(&listing::body(&[], false));
    assert_eq!(
        none,
        json!({"object": "list", "data": [], "first_id": null, "last_id": null, "has_more": false})
    );
    let deleted = json!({"id": id, "object": "chat.completion.deleted", "deleted": true});
    assert_eq!(json(&stored::deleted(answer.job)), deleted);
}

#[test]
fn what_is_no_completion_is_not_found() {
    let upper = format!("chatcmpl-{}", "A".repeat(31));
    for id in ["", "chatcmpl-", "x", "job_0192aaaabbbb7ccc8dddeeeeffff0001", &upper] {
        let rejection = stored::job(id).expect_err(id);
        let told = (rejection.status, rejection.code, rejection.param.as_deref());
        assert_eq!(told, (404, "completion_not_found", Some("completion_id")));
    }
}

#[test]
fn lists_are_asked_for_as_openai_has_it() {
    let owner = Owner("o".to_owned());
    let all = KeptQuery {
        owner: owner.clone(),
        dialect: "openai_chat".to_owned(),
        model: None,
        metadata: Metadata::new(),
        after: None,
        latest_first: false,
        limit: 20,
    };
    let job = answer(false).job;
    let id = format!("chatcmpl-{}", job.uuid().simple());
    for (query, expected) in [
        (vec![], all.clone()),
        (
            vec![("limit", "100"), ("order", "desc")],
            KeptQuery { limit: 100, latest_first: true, ..all.clone() },
        ),
        (vec![("after", id.as_str()), ("order", "asc")], KeptQuery { after: Some(job), ..all.clone() }),
        (
            vec![("model", "m"), ("metadata[a]", "1"), ("metadata[b]]", "")],
            KeptQuery { model: Some("m".to_owned()), metadata: labels(&[("a", "1"), ("b]", "")]), ..all },
        ),
    ] {
        assert_eq!(stored::query(owner.clone(), &pairs(&query)), Ok(expected), "{query:?}");
    }
    for (name, value, code) in [
        ("limit", "0", "invalid_value"),
        ("limit", "101", "invalid_value"),
        ("limit", "many", "invalid_value"),
        ("order", "up", "invalid_value"),
        ("after", "job_1", "invalid_value"),
        ("metadata", "a", "unknown_parameter"),
        ("before", "x", "unknown_parameter"),
    ] {
        let rejection = stored::query(owner.clone(), &pairs(&[(name, value)])).expect_err(name);
        assert_eq!((rejection.status, rejection.code, rejection.param.as_deref()), (400, code, Some(name)));
    }
}

#[test]
fn messages_are_told_as_clients_send_them() {
    let body = json!({"model": "m", "tools": [], "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [
            {"type": "text", "text": "Look."},
            {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
            {"type": "file", "file": {"filename": "t", "file_data": "data:text/plain;base64,SGk="}},
        ]},
        {"role": "assistant", "content": "So?", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"b\":1,\"a\":2}"}},
            {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ]},
        {"role": "tool", "tool_call_id": "c2", "content": "two"},
        {"role": "tool", "tool_call_id": "c1", "content": ""},
        {"role": "user", "content": "And?"},
    ]});
    let spec = accepted(&body.to_string()).spec;
    let job = answer(false).job;
    let page = |query: &[(&str, &str)]| {
        let query = stored::Messages::query(&pairs(query)).expect("a query");
        stored::messages(job, &spec, &query).map(|body| json(&body))
    };
    let id = |number: usize| format!("chatcmpl-{}-{number}", job.uuid().simple());
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let mut expected = [
        json!({"role": "system", "content": "Be brief."}),
        json!({"role": "user", "content": null, "content_parts": [
            {"type": "text", "text": "Look."},
            {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
            {"type": "file", "file": {"filename": "t", "file_data": "data:text/plain;base64,SGk="}},
        ]}),
        json!({"role": "assistant", "content": "So?", "tool_calls": [
            call("c1", "f", "{\"b\":1,\"a\":2}"), call("c2", "g", "{}"),
        ]}),
        json!({"role": "tool", "tool_call_id": "c2", "content": "two"}),
        json!({"role": "tool", "tool_call_id": "c1", "content": ""}),
        json!({"role": "user", "content": "And?"}),
    ];
    for (number, message) in expected.iter_mut().enumerate() {
        message["id"] = id(number).into();
        for absent in ["refusal", "name", "content_parts"] {
            message[absent] = message[absent].take();
        }
    }
    assert_eq!(page(&[]).expect("a page")["data"], json!(expected));
    let first = page(&[("limit", "2")]).expect("a page");
    assert_eq!((&first["has_more"], &first["last_id"]), (&json!(true), &json!(id(1))));
    let rest = page(&[("after", &id(1))]).expect("a page");
    assert_eq!((&rest["has_more"], &rest["data"]), (&json!(false), &json!(expected[2..])));
    let latest = page(&[("order", "desc"), ("limit", "1")]).expect("a page");
    assert_eq!(latest["data"], json!(expected[5..]));
    assert_eq!(page(&[("after", "x")]).expect_err("an error").param.as_deref(), Some("after"));
    assert!(stored::Messages::query(&pairs(&[("model", "m")])).is_err());
    let silent = JobSpec {
        turns: vec![Turn { role: Role::User, parts: vec![Part::Text { text: "x".to_owned() }] }],
        ..JobSpec::default()
    };
    let query = stored::Messages::query(&[]).expect("a query");
    assert_eq!(json(&stored::messages(job, &silent, &query).expect("a page"))["data"][0]["content"], "x");
}
