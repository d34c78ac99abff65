use super::{HELLO, OpenAiChat, accepted, parse, refused, with};
use crate::dialect::{Beside, Delivery, Dialect, Granularity, Request};
use crate::schema::{Effort, JobSpec, Part, Role, Sampling, ServiceTier, ThinkingWish, Turn, limits};

fn turn(role: Role, texts: &[&str]) -> Turn {
    Turn { role, parts: texts.iter().map(|text| Part::Text { text: (*text).to_owned() }).collect() }
}

/// A request of nothing but `turns`.
fn request(system: &str, turns: Vec<Turn>) -> Request {
    let spec = JobSpec { model: "m".to_owned(), system: system.to_owned(), turns, ..JobSpec::default() };
    Request { spec, names_model: true, ..Request::default() }
}

#[test]
fn conversations_are_read_as_they_are() {
    use Role::{Assistant, User};
    let cases = [
        (r#"[{"role":"user","content":"  hi\n "}]"#, request("", vec![turn(User, &["  hi\n "])])),
        (
            r#"[{"role":"system","content":"be brief"},{"role":"user","content":"a"},
                {"role":"assistant","content":"b"},{"role":"developer","content":[{"type":"text","text":"and kind"}]},
                {"role":"user","content":[{"type":"text","text":"c"},{"type":"text","text":""},{"type":"text","text":"d"}]}]"#,
            request(
                "be brief\n\nand kind",
                vec![turn(User, &["a"]), turn(Assistant, &["b"]), turn(User, &["c", "d"])],
            ),
        ),
        (
            r#"[{"role":"user","content":"a"},
                {"role":"assistant","content":[{"type":"text","text":"b"},{"type":"refusal","refusal":"no"}]},
                {"role":"assistant","content":null,"refusal":"never","tool_calls":[]},
                {"role":"assistant","content":""},
                {"role":"user","content":"c","name":null},{"role":"system","content":""}]"#,
            request(
                "",
                vec![
                    turn(User, &["a"]),
                    turn(Assistant, &["b", "no"]),
                    turn(Assistant, &["never"]),
                    turn(User, &["c"]),
                ],
            ),
        ),
        // Nothing in a prompt is a flag or a command.
        (
            r#"[{"role":"user","content":"--version\u0000/help"}]"#,
            request("", vec![turn(User, &["--version\0/help"])]),
        ),
    ];
    for (messages, expected) in cases {
        assert_eq!(accepted(&format!(r#"{{"model":"m","messages":{messages}}}"#)), expected, "{messages}");
    }
}

#[test]
fn sampling_is_read() {
    let stops = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let plain = Sampling::default;
    let thinks = |wish| Sampling { thinking: Some(wish), ..plain() };
    let cases = [
        (r#""temperature":0.5,"#, Sampling { temperature: Some(0.5), ..plain() }),
        (r#""temperature":1,"top_p":0,"#, Sampling { temperature: Some(1.0), top_p: Some(0.0), ..plain() }),
        (r#""max_tokens":5,"#, Sampling { max_tokens: Some(5), ..plain() }),
        (r#""max_completion_tokens":6,"#, Sampling { max_tokens: Some(6), ..plain() }),
        (r#""max_completion_tokens":7,"max_tokens":7,"#, Sampling { max_tokens: Some(7), ..plain() }),
        (r#""stop":"END","#, Sampling { stop: stops(&["END"]), ..plain() }),
        (r#""stop":["a","\n"],"#, Sampling { stop: stops(&["a", "\n"]), ..plain() }),
        (r#""stop":[],"#, plain()),
        (r#""top_k":40,"#, Sampling { top_k: Some(40), ..plain() }),
        (r#""service_tier":"auto","#, Sampling { service_tier: Some(ServiceTier::Auto), ..plain() }),
        (
            r#""service_tier":"default","#,
            Sampling { service_tier: Some(ServiceTier::StandardOnly), ..plain() },
        ),
        (r#""user":"u","#, Sampling { user: Some("u".to_owned()), ..plain() }),
        (r#""safety_identifier":"u","#, Sampling { user: Some("u".to_owned()), ..plain() }),
        (r#""user":"u","safety_identifier":"u","#, Sampling { user: Some("u".to_owned()), ..plain() }),
        (r#""reasoning_effort":"none","#, thinks(ThinkingWish::Off)),
        (r#""reasoning_effort":"minimal","#, thinks(ThinkingWish::Effort(Effort::Low))),
        (
            r#""reasoning":{"effort":"medium","summary":"auto"},"#,
            thinks(ThinkingWish::Effort(Effort::Medium)),
        ),
        (r#""reasoning":{"max_tokens":2000},"#, thinks(ThinkingWish::Budget(2_000))),
        (r#""reasoning":{},"#, plain()),
        (r#""thinking":{"type":"enabled","budget_tokens":1024},"#, thinks(ThinkingWish::Budget(1_024))),
        (
            r#""max_tokens":2001,"reasoning":{"max_tokens":2000},"#,
            Sampling { max_tokens: Some(2_001), ..thinks(ThinkingWish::Budget(2_000)) },
        ),
        (
            r#""max_tokens":2000,"reasoning_effort":"high","#,
            Sampling { max_tokens: Some(2_000), ..thinks(ThinkingWish::Effort(Effort::High)) },
        ),
        (r#""thinking":{"type":"adaptive"},"#, thinks(ThinkingWish::Effort(Effort::High))),
        (
            r#""thinking":{"type":"disabled"},"reasoning_effort":"none","temperature":0,"#,
            Sampling { temperature: Some(0.0), ..thinks(ThinkingWish::Off) },
        ),
        (
            r#""reasoning_effort":"high","temperature":1,"top_p":0.95,"#,
            Sampling {
                temperature: Some(1.0),
                top_p: Some(0.95),
                ..thinks(ThinkingWish::Effort(Effort::High))
            },
        ),
        (
            r#""stop":null,"temperature":null,"top_p":null,"max_tokens":null,"max_completion_tokens":null,"#,
            plain(),
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(accepted(&with(fields)).spec.sampling, expected, "{fields}");
    }
}

#[test]
fn streaming_is_read() {
    let cases = [
        ("", (false, false)),
        (r#""stream":false,"stream_options":null,"#, (false, false)),
        (r#""stream":true,"#, (true, false)),
        (r#""stream":true,"stream_options":{},"#, (true, false)),
        (r#""stream":true,"stream_options":{"include_usage":true},"#, (true, true)),
        (r#""stream":true,"stream_options":{"include_usage":false},"#, (true, false)),
    ];
    for (fields, expected) in cases {
        let request = accepted(&with(fields));
        assert_eq!((request.delivery == Delivery::Stream, request.usage.streamed), expected, "{fields}");
    }
}

#[test]
fn the_pieces_of_a_stream_are_read() {
    let asked = |options: &str| format!(r#""stream":true,"stream_options":{options},"#);
    for (options, expected) in [
        ("{}", Granularity::Model),
        (r#"{"granularity":null}"#, Granularity::Model),
        (r#"{"granularity":"model"}"#, Granularity::Model),
        (r#"{"granularity":"character"}"#, Granularity::Character),
        (r#"{"granularity":"word"}"#, Granularity::Word),
        (r#"{"granularity":"sentence"}"#, Granularity::Sentence),
        (r#"{"granularity":"message"}"#, Granularity::Message),
    ] {
        assert_eq!(accepted(&with(&asked(options))).form.granularity, expected, "{options}");
    }
}

#[test]
fn the_default_model_stands_in() {
    let house = Beside { default_model: Some("house".to_owned()), ..Beside::default() };
    let body = format!(r#"{{"messages":{HELLO}}}"#);
    let request = OpenAiChat.parse(body.as_bytes(), &house).expect("the model has a default");
    assert_eq!(request.spec.model, "house");
    let request = OpenAiChat.parse(with("").as_bytes(), &house).expect("a plain request");
    assert_eq!(request.spec.model, "m");
    refused(&body, "missing_required_parameter", Some("model"));
}

#[test]
fn the_body_says_whether_anybody_waits_and_else_the_header() {
    for (fields, prefers_async, expected) in [
        ("", false, Ok(Delivery::Whole)),
        ("", true, Ok(Delivery::Background)),
        (r#""background":true,"#, false, Ok(Delivery::Background)),
        (r#""background":false,"#, true, Ok(Delivery::Whole)),
        (r#""background":null,"#, true, Ok(Delivery::Background)),
        (r#""background":true,"stream":false,"#, false, Ok(Delivery::Background)),
        (r#""background":false,"stream":true,"#, true, Ok(Delivery::Stream)),
        (r#""background":true,"stream":true,"#, false, Err("invalid_value")),
        (r#""stream":true,"#, true, Err("invalid_value")),
        (r#""background":"yes","#, false, Err("invalid_type")),
    ] {
        let beside = Beside { prefers_async, ..Beside::default() };
        let parsed = OpenAiChat.parse(with(fields).as_bytes(), &beside);
        if let Err(rejection) = &parsed {
            // What stands in the body is named.
            let named = if fields.contains("background") { "background" } else { "stream" };
            assert_eq!(rejection.param.as_deref(), Some(named), "{fields}");
            assert!(rejection.message.contains("background"), "{}", rejection.message);
        }
        assert_eq!(parsed.map(|request| request.delivery).map_err(|it| it.code), expected, "{fields}");
    }
}

#[test]
fn neutral_values_pass_unmentioned() {
    let neutral = [
        r#""n":1,"logprobs":false,"top_logprobs":0,"frequency_penalty":0,"presence_penalty":0.0,"logit_bias":{},"#,
        r#""tools":[],"tool_choice":"auto","functions":[],"function_call":"none","parallel_tool_calls":true,"#,
        r#""response_format":{"type":"text"},"modalities":["text"],"store":false,"verbosity":"medium","#,
        r#""tools":null,"seed":null,"audio":null,"reasoning_effort":null,"base_url":null,"unheard_of":null,"#,
    ];
    for fields in neutral {
        assert_eq!(accepted(&with(fields)).ignored, Vec::<String>::new(), "{fields}");
    }
}

#[test]
fn what_is_ignored_is_named() {
    let cases = [
        (
            r#""prompt_cache_retention":"24h","metadata":{},"prompt_cache_key":"k","#,
            vec!["prompt_cache_retention", "prompt_cache_key", "metadata"],
        ),
        (r#""made_up":1,"me,\nétoo":{"deep":[1]},"#, vec!["made_up", "me???too"]),
        (
            r#""stream":true,"stream_options":{"include_obfuscation":true,"x":1},"#,
            vec!["stream_options.include_obfuscation", "stream_options.x"],
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(accepted(&with(fields)).ignored, expected, "{fields}");
    }
    let messages = r#"{"model":"m","messages":[{"role":"user","name":"a","content":"1"},{"role":"user","name":"b",
        "content":[{"type":"text","text":"2","cache_control":{}}]}]}"#;
    assert_eq!(accepted(messages).ignored, ["messages[].name", "messages[].content[].cache_control"]);
}

#[test]
fn the_names_of_what_is_ignored_are_bounded() {
    let many: Vec<_> = (0..1000).map(|n| format!(r#""{n}{}":1,"#, "x".repeat(1000))).collect();
    let ignored = accepted(&with(&many.concat())).ignored;
    assert_eq!(ignored.len(), limits::IGNORED_NAMES);
    assert!(ignored.iter().all(|name| name.len() == limits::IGNORED_NAME_BYTES));
}

#[test]
fn what_is_no_json_object_is_refused() {
    for body in ["", "nonsense", "{", r#"{"model":"m",}"#, "{}{}", "{\"a\":\"\\ud800\"}", "{\"a\":1e999}"] {
        refused(body, "invalid_json", None);
    }
    for body in ["[]", "null", "5", "\"text\""] {
        refused(body, "invalid_type", None);
    }
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    refused(&deep, "invalid_json", None);
    let broad = format!(r#"{{"x":[{}0]}}"#, "{},".repeat(limits::REQUEST_VALUES));
    refused(&broad, "invalid_value", None);
    let latin = OpenAiChat.parse(b"{\"model\":\"\xff\"}", &Beside::default()).expect_err("not UTF-8");
    assert_eq!(latin.code, "invalid_json");
}

#[test]
fn wrong_types_name_their_parameter() {
    for (fields, param) in [
        (r#""model":5,"#, "model"),
        (r#""temperature":"warm","#, "temperature"),
        (r#""top_p":[],"#, "top_p"),
        (r#""max_tokens":"5","#, "max_tokens"),
        (r#""max_tokens":5.5,"#, "max_tokens"),
        (r#""stop":5,"#, "stop"),
        (r#""stop":["a",5],"#, "stop[1]"),
        (r#""stream":"yes","#, "stream"),
        (r#""stream":true,"stream_options":[],"#, "stream_options"),
        (r#""stream":true,"stream_options":{"include_usage":1},"#, "stream_options.include_usage"),
        (r#""stream":true,"stream_options":{"granularity":1},"#, "stream_options.granularity"),
        (r#""n":"1","#, "n"),
        (r#""user":{},"#, "user"),
    ] {
        refused(&with(fields), "invalid_type", Some(param));
    }
}

#[test]
fn values_out_of_range_name_their_parameter() {
    let long_model = format!(r#""model":"{}","#, "m".repeat(limits::MODEL_NAME_BYTES + 1));
    let many_stops = format!(r#""stop":[{}"z"],"#, r#""z","#.repeat(limits::STOP_SEQUENCES));
    for (fields, param) in [
        (r#""temperature":5,"#, "temperature"),
        (r#""temperature":-0.1,"#, "temperature"),
        (r#""temperature":1.5,"#, "temperature"),
        (r#""top_p":1.01,"#, "top_p"),
        (r#""max_tokens":0,"#, "max_tokens"),
        (r#""max_tokens":-1,"#, "max_tokens"),
        (r#""max_completion_tokens":4294967296,"#, "max_completion_tokens"),
        (r#""max_tokens":1,"max_completion_tokens":2,"#, "max_tokens"),
        (r#""stop":"","#, "stop"),
        (r#""stop":["a",""],"#, "stop[1]"),
        (&many_stops, "stop"),
        (r#""model":" ","#, "model"),
        (r#""model":"a\nb","#, "model"),
        (&long_model, "model"),
        (r#""stream_options":{"include_usage":true},"#, "stream_options"),
        (r#""stream_options":{"granularity":"word"},"#, "stream_options"),
        (r#""stream":true,"stream_options":{"granularity":"Word"},"#, "stream_options.granularity"),
        (r#""top_k":0,"#, "top_k"),
        (r#""user":"","#, "user"),
        (r#""user":"u","safety_identifier":"s","#, "safety_identifier"),
        (r#""reasoning_effort":"much","#, "reasoning_effort"),
        (r#""reasoning":{"effort":"low","max_tokens":2000},"#, "reasoning"),
        (r#""reasoning_effort":"low","reasoning":{"effort":"high"},"#, "reasoning_effort"),
        (r#""thinking":{"type":"enabled","budget_tokens":1023},"#, "thinking.budget_tokens"),
        (r#""thinking":{"type":"deep"},"#, "thinking.type"),
        (
            r#""max_tokens":2000,"thinking":{"type":"enabled","budget_tokens":2000},"#,
            "thinking.budget_tokens",
        ),
        (r#""max_completion_tokens":2000,"reasoning":{"max_tokens":2001},"#, "reasoning.max_tokens"),
    ] {
        refused(&with(fields), "invalid_value", Some(param));
    }
    let told = parse(&with(r#""temperature":1.5,"#)).expect_err("beyond the provider's range").message;
    assert!(told.contains("0 to 1"), "{told}");
}

#[test]
fn what_cannot_be_done_is_refused() {
    for (fields, param) in [
        (r#""logprobs":true,"#, "logprobs"),
        (r#""logit_bias":{"50256":-100},"#, "logit_bias"),
        (r#""seed":7,"#, "seed"),
        (r#""presence_penalty":0.1,"#, "presence_penalty"),
        (r#""service_tier":"flex","#, "service_tier"),
        (r#""modalities":["text","audio"],"#, "modalities"),
        (r#""base_url":"http://stranger","#, "base_url"),
        (r#""api_base":"http://stranger","#, "api_base"),
        (r#""apiKey":"k","#, "apiKey"),
        (r#""anthropic-base-url":"x","#, "anthropic-base-url"),
    ] {
        refused(&with(fields), "unsupported_parameter", Some(param));
    }
}

#[test]
fn bad_messages_name_their_place() {
    let missing = "missing_required_parameter";
    for (messages, code, param) in [
        ("null", "invalid_type", "messages"),
        (r#""hi""#, "invalid_type", "messages"),
        ("[]", "invalid_value", "messages"),
        ("[5]", "invalid_type", "messages[0]"),
        ("[{}]", missing, "messages[0].role"),
        (r#"[{"role":5}]"#, "invalid_type", "messages[0].role"),
        (r#"[{"role":"wizard","content":"x"}]"#, "invalid_value", "messages[0].role"),
        (r#"[{"role":"user"}]"#, missing, "messages[0].content"),
        (r#"[{"role":"user","content":null}]"#, "invalid_type", "messages[0].content"),
        (r#"[{"role":"user","content":5}]"#, "invalid_type", "messages[0].content"),
        (r#"[{"role":"user","content":""}]"#, "invalid_value", "messages[0].content"),
        (r#"[{"role":"user","content":[]}]"#, "invalid_value", "messages[0].content"),
        (r#"[{"role":"user","content":["x"]}]"#, "invalid_type", "messages[0].content[0]"),
        (r#"[{"role":"user","content":[{"text":"x"}]}]"#, missing, "messages[0].content[0].type"),
        (r#"[{"role":"user","content":[{"type":"text"}]}]"#, missing, "messages[0].content[0].text"),
        (
            r#"[{"role":"user","content":[{"type":"text","text":5}]}]"#,
            "invalid_type",
            "messages[0].content[0].text",
        ),
        (r#"[{"role":"user","content":[{"type":"poem"}]}]"#, "invalid_value", "messages[0].content[0].type"),
        (
            r#"[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]}]"#,
            "invalid_value",
            "messages[0].content[1].image_url.url",
        ),
        (
            r#"[{"role":"user","content":[{"type":"refusal","refusal":"no"}]}]"#,
            "invalid_value",
            "messages[0].content[0].refusal",
        ),
        (r#"[{"role":"user","content":"x","refusal":"no"}]"#, "invalid_value", "messages[0].refusal"),
        (r#"[{"role":"user","content":"x"},{"role":"assistant"}]"#, missing, "messages[1].content"),
        (r#"[{"role":"assistant","content":null}]"#, "invalid_type", "messages[0].content"),
        (
            r#"[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]"#,
            "invalid_value",
            "messages[1]",
        ),
        (r#"[{"role":"system","content":"x"}]"#, "invalid_value", "messages"),
        (r#"[{"role":"assistant","content":""}]"#, "invalid_value", "messages"),
    ] {
        refused(&format!(r#"{{"model":"m","messages":{messages}}}"#), code, Some(param));
    }
    refused(r#"{"model":"m"}"#, missing, Some("messages"));
    let many = format!(r#"{{"model":"m","messages":[{}0]}}"#, "0,".repeat(limits::MESSAGES));
    refused(&many, "invalid_value", Some("messages"));
}
