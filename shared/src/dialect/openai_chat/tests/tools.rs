use serde_json::{Value, json};

use super::{accepted, refused, with};
use crate::schema::{Part, Role, Tool, ToolChoice, Turn, limits};

const TOOLS: &str =
    r#""tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}],"#;

fn body(messages: &str) -> String {
    format!(r#"{{"model":"m","messages":{messages}}}"#)
}

fn call(id: &str, name: &str, input: Value) -> Part {
    let Value::Object(input) = input else { panic!("arguments are an object") };
    Part::ToolUse { id: id.to_owned(), name: name.to_owned(), input }
}

fn text(text: &str) -> Part {
    Part::Text { text: text.to_owned() }
}

fn result(id: &str, content: Vec<Part>) -> Part {
    Part::ToolResult { tool_use_id: id.to_owned(), content, is_error: false }
}

#[test]
fn definitions_are_kept_in_order_and_in_full() {
    let schema =
        r#"{"type":"object","required":["b","a"],"properties":{"b":{"enum":[1,2.50]},"a":{}},"x-own":null}"#;
    let request = accepted(&with(&format!(
        r#""tools":[{{"type":"function","function":{{"name":"zeta","description":"","parameters":{schema},"strict":true}}}},
            {{"type":"function","function":{{"name":"Alpha-1_","strict":null,"description":null}}}}],"#
    )));
    let [zeta, alpha] = &request.spec.tools[..] else { panic!("two tools") };
    assert_eq!(serde_json::to_string(&zeta.input_schema).expect("JSON"), schema.replace("2.50", "2.5"));
    assert_eq!((zeta.description.as_deref(), zeta.strict), (Some(""), true));
    let empty = json!({"type": "object", "properties": {}}).as_object().cloned().expect("an object");
    let expected =
        Tool { name: "Alpha-1_".to_owned(), description: None, input_schema: empty, strict: false };
    assert_eq!(*alpha, expected);
    let stored = serde_json::to_string(&request.spec).expect("a row");
    assert_eq!(serde_json::from_str::<crate::schema::JobSpec>(&stored).expect("a row"), request.spec);
    assert!(stored.contains(&schema.replace("2.50", "2.5")), "{stored}");
}

#[test]
fn a_choice_is_read() {
    let named = |name: &str| ToolChoice::Tool { name: name.to_owned() };
    for (fields, choice, parallel, names) in [
        ("", None, None, "f g"),
        (r#""tool_choice":"auto","parallel_tool_calls":true,"#, Some(ToolChoice::Auto), Some(true), "f g"),
        (r#""tool_choice":"none","parallel_tool_calls":false,"#, Some(ToolChoice::None), Some(false), "f g"),
        (r#""tool_choice":"required","#, Some(ToolChoice::Any), None, "f g"),
        (r#""tool_choice":{"type":"function","function":{"name":"g"}},"#, Some(named("g")), None, "f g"),
        (
            r#""tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required",
                "tools":[{"type":"function","function":{"name":"g"}}]}},"#,
            Some(ToolChoice::Any),
            None,
            "g",
        ),
    ] {
        let spec = accepted(&with(&format!("{TOOLS}{fields}"))).spec;
        let told: Vec<_> = spec.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!((spec.tool_choice, spec.parallel_tool_calls), (choice, parallel), "{fields}");
        assert_eq!(told.join(" "), names, "{fields}");
    }
    let older = r#""functions":[{"name":"f","parameters":{}}],"#;
    for (fields, choice) in [
        ("", None),
        (r#""function_call":"none","#, Some(ToolChoice::None)),
        (r#""function_call":{"name":"f"},"#, Some(named("f"))),
    ] {
        let request = accepted(&with(&format!("{older}{fields}")));
        assert_eq!((request.spec.tool_choice, request.spec.parallel_tool_calls), (choice, Some(false)));
        let called = |tools: &[Tool]| tools.iter().map(|tool| tool.name.clone()).collect::<Vec<_>>();
        assert_eq!(called(&request.form.tools), called(&request.spec.tools));
        assert!(request.form.older_calls);
    }
}

#[test]
fn tools_that_cannot_be_are_refused() {
    let function = |fields: &str| format!(r#""tools":[{{"type":"function","function":{{{fields}}}}}],"#);
    let many = vec![r#"{"type":"function","function":{"name":"f"}}"#; limits::TOOLS + 1].join(",");
    let long = function(&format!(r#""name":"{}""#, "n".repeat(65)));
    let (invalid, missing, unsupported) =
        ("invalid_value", "missing_required_parameter", "unsupported_parameter");
    for (fields, code, param) in [
        (r#""tools":{},"#.to_owned(), "invalid_type", "tools"),
        (r#""tools":[5],"#.to_owned(), "invalid_type", "tools[0]"),
        (r#""tools":[{}],"#.to_owned(), missing, "tools[0].type"),
        (r#""tools":[{"type":"custom","custom":{}}],"#.to_owned(), unsupported, "tools[0].type"),
        (r#""tools":[{"type":"function"}],"#.to_owned(), missing, "tools[0].function"),
        (function(""), missing, "tools[0].function.name"),
        (function(r#""name":"a b""#), invalid, "tools[0].function.name"),
        (function(r#""name":"""#), invalid, "tools[0].function.name"),
        (long, invalid, "tools[0].function.name"),
        (function(r#""name":"f","parameters":[]"#), "invalid_type", "tools[0].function.parameters"),
        (function(r#""name":"f","strict":"yes""#), "invalid_type", "tools[0].function.strict"),
        (
            function(r##""name":"f","strict":true,"parameters":{"items":{"$ref":"#"}}"##),
            invalid,
            "tools[0].function.parameters",
        ),
        (format!(r#""tools":[{many}],"#), invalid, "tools"),
        (TOOLS.replace("\"g\"", "\"f\""), invalid, "tools[1]"),
        (format!(r#"{TOOLS}"functions":[{{"name":"h"}}],"#), invalid, "functions"),
        (r#""tool_choice":"required","#.to_owned(), invalid, "tool_choice"),
        (format!(r#"{TOOLS}"tool_choice":"any","#), invalid, "tool_choice"),
        (format!(r#"{TOOLS}"tool_choice":{{}},"#), missing, "tool_choice.type"),
        (format!(r#"{TOOLS}"tool_choice":{{"type":"custom"}},"#), unsupported, "tool_choice.type"),
        (
            format!(r#"{TOOLS}"tool_choice":{{"type":"function","function":{{"name":"h"}}}},"#),
            invalid,
            "tool_choice.function.name",
        ),
        (
            format!(r#"{TOOLS}"tool_choice":{{"type":"function","function":{{"name":"f"}},"x":1}},"#),
            unsupported,
            "tool_choice.x",
        ),
        (
            format!(
                r#"{TOOLS}"tool_choice":{{"type":"allowed_tools","allowed_tools":{{"mode":"auto","tools":[]}}}},"#
            ),
            invalid,
            "tool_choice.allowed_tools.tools",
        ),
        (format!(r#"{TOOLS}"tool_choice":"required","reasoning_effort":"low","#), invalid, "tool_choice"),
        (r#""function_call":{"name":"f"},"#.to_owned(), invalid, "function_call"),
        (
            r#""functions":[{"name":"f"}],"function_call":{"name":"g"},"#.to_owned(),
            invalid,
            "function_call.name",
        ),
        (format!(r#"{TOOLS}"agent":true,"#), unsupported, "tools"),
    ] {
        refused(&with(&fields), code, Some(param));
    }
}

#[test]
fn calls_and_their_results_are_turns() {
    let messages = r#"[{"role":"user","content":"go"},
        {"role":"assistant","content":"I ask","tool_calls":[
            {"id":"t1","type":"function","function":{"name":"f","arguments":"{\"b\":1,\"a\":[2.5]}"}},
            {"id":"t2","index":1,"function":{"name":"g","arguments":" {} "}}]},
        {"role":"tool","tool_call_id":"t2","content":"two"},
        {"role":"system","content":"Be brief."},
        {"role":"tool","tool_call_id":"t1","content":[{"type":"text","text":"on"},{"type":"text","text":"e"}]},
        {"role":"user","content":"and?"},
        {"role":"assistant","content":null,"tool_calls":[{"id":"t3","function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"t3","content":""}]"#;
    let request = accepted(&body(messages));
    let turn = |role, parts| Turn { role, parts };
    let expected = vec![
        turn(Role::User, vec![text("go")]),
        turn(
            Role::Assistant,
            vec![text("I ask"), call("t1", "f", json!({"b": 1, "a": [2.5]})), call("t2", "g", json!({}))],
        ),
        turn(
            Role::User,
            vec![result("t2", vec![text("two")]), result("t1", vec![text("on"), text("e")]), text("and?")],
        ),
        turn(Role::Assistant, vec![call("t3", "f", json!({}))]),
        turn(Role::User, vec![result("t3", vec![])]),
    ];
    assert_eq!(request.spec.turns, expected);
    assert_eq!(request.spec.system, "Be brief.");
    assert_eq!(request.ignored, ["messages[].tool_calls[].index"]);
}

#[test]
fn calls_of_functions_are_turns_too() {
    let messages = r#"[{"role":"user","content":"go"},
        {"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{\"a\":1}"}},
        {"role":"function","name":"f","content":"one"},
        {"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},
        {"role":"function","name":"f","content":"two"},{"role":"user","name":"Ann","content":"so?"}]"#;
    let request = accepted(&body(messages));
    let [_, first, one, second, two] = &request.spec.turns[..] else { panic!("five turns") };
    let (a, b) = ("function_call_0", "function_call_1");
    assert_eq!(first.parts, [call(a, "f", json!({"a": 1}))]);
    assert_eq!(one.parts, [result(a, vec![text("one")])]);
    assert_eq!(second.parts, [call(b, "f", json!({}))]);
    assert_eq!(two.parts, [result(b, vec![text("two")]), text("so?")]);
    assert_eq!(request.ignored, ["messages[].name"]);
}

/// A conversation in which an assistant has made these calls, and what follows it.
fn called(calls: &str, after: &str) -> String {
    body(&format!(
        r#"[{{"role":"user","content":"go"}},{{"role":"assistant","tool_calls":[{calls}]}}{after}]"#
    ))
}

#[test]
fn every_call_has_one_answer() {
    const CALL: &str = r#"{"id":"t1","function":{"name":"f","arguments":"{}"}}"#;
    const ANSWER: &str = r#",{"role":"tool","tool_call_id":"t1","content":"x"}"#;
    let user = r#",{"role":"user","content":"x"}"#;
    let stray = ANSWER.replace("t1", "t9");
    let again = format!(r#"{ANSWER},{{"role":"assistant","tool_calls":[{CALL}]}}{ANSWER}"#);
    let two = format!("{CALL},{CALL}");
    let (invalid, missing) = ("invalid_value", "missing_required_parameter");
    for (calls, after, code, param) in [
        (CALL, "", invalid, "messages[1].tool_calls[0]"),
        (CALL, user, invalid, "messages[1].tool_calls[0]"),
        (CALL, r#",{"role":"assistant","content":"x"}"#, invalid, "messages[1].tool_calls[0]"),
        (CALL, &stray, invalid, "messages[2].tool_call_id"),
        (CALL, &format!("{ANSWER}{ANSWER}"), invalid, "messages[3].tool_call_id"),
        (CALL, &again, invalid, "messages[3].tool_calls[0].id"),
        (CALL, &format!("{ANSWER}{user}{ANSWER}"), invalid, "messages[4].tool_call_id"),
        (CALL, r#",{"role":"tool","content":"x"}"#, missing, "messages[2].tool_call_id"),
        (CALL, r#",{"role":"tool","tool_call_id":"t1"}"#, missing, "messages[2].content"),
        (CALL, r#",{"role":"function","name":"f","content":"x"}"#, invalid, "messages[2].name"),
        (&two, ANSWER, invalid, "messages[1].tool_calls[1].id"),
        (r#"{"function":{"name":"f","arguments":"{}"}}"#, "", missing, "messages[1].tool_calls[0].id"),
        (
            r#"{"id":"","function":{"name":"f","arguments":"{}"}}"#,
            "",
            invalid,
            "messages[1].tool_calls[0].id",
        ),
        (r#"{"id":"a"}"#, "", missing, "messages[1].tool_calls[0].function"),
        ("5", "", "invalid_type", "messages[1].tool_calls[0]"),
        (r#"{"id":"a","type":"custom"}"#, "", "unsupported_parameter", "messages[1].tool_calls[0].type"),
    ] {
        refused(&called(calls, after), code, Some(param));
    }
    for (messages, param) in [
        (r#"[{"role":"tool","tool_call_id":"x","content":"x"}]"#, "messages[0].tool_call_id"),
        (r#"[{"role":"user","content":"x","tool_calls":[{}]}]"#, "messages[0].tool_calls"),
        (r#"[{"role":"user","content":"x","tool_call_id":"y"}]"#, "messages[0].tool_call_id"),
        (r#"[{"role":"user","content":"x","function_call":{}}]"#, "messages[0].function_call"),
    ] {
        refused(&body(messages), "invalid_value", Some(param));
    }
    refused(r#"{"model":"m","messages":[{"role":"assistant"}]}"#, missing, Some("messages[0].content"));
}

#[test]
fn arguments_are_the_text_of_an_object() {
    let deep = format!(
        "{{\\\"a\\\":{}{}}}",
        "[".repeat(limits::ARGUMENTS_DEPTH),
        "]".repeat(limits::ARGUMENTS_DEPTH)
    );
    let broad = format!("{{\\\"a\\\":[{}0]}}", "{},".repeat(limits::REQUEST_VALUES));
    for arguments in ["", " ", "{", "[]", "5", "null", r#"\"{}\""#, "{} {}", &deep, &broad] {
        let call = format!(r#"{{"id":"t","function":{{"name":"f","arguments":"{arguments}"}}}}"#);
        refused(&called(&call, ""), "invalid_value", Some("messages[1].tool_calls[0].function.arguments"));
    }
    let object = r#"{"id":"t","function":{"name":"f","arguments":{}}}"#;
    refused(&called(object, ""), "invalid_type", Some("messages[1].tool_calls[0].function.arguments"));
}

#[test]
fn the_deepest_request_can_be_stored() {
    let nest = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let arguments = nest(limits::ARGUMENTS_DEPTH - 1).replace('"', "\\\"");
    let call = format!(r#"{{"id":"t","function":{{"name":"f","arguments":"{arguments}"}}}}"#);
    let result = r#",{"role":"tool","tool_call_id":"t","content":"x"}"#;
    let tool =
        format!(r#""tools":[{{"type":"function","function":{{"name":"f","parameters":{}}}}}],"#, nest(121));
    for body in [called(&call, result), with(&tool)] {
        let spec = accepted(&body).spec;
        let stored = serde_json::to_string(&spec).expect("a row");
        assert_eq!(serde_json::from_str::<crate::schema::JobSpec>(&stored).expect("a row"), spec);
    }
}
