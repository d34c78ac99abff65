//! Bodies of the Responses API on the path of chats.

use serde_json::{Value, json};

use super::{accepted, refused};

const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

/// The body says what the chat's body says.
fn same(responses: &Value, chat: &Value) {
    let mut converted = accepted(&responses.to_string());
    converted.ignored.clear();
    assert_eq!(converted, accepted(&chat.to_string()), "{responses}");
}

#[test]
fn input_is_read_as_messages() {
    let user = |content: Value| json!({"role": "user", "content": content});
    for (input, messages) in [
        (json!("Hi"), json!([user(json!("Hi"))])),
        (json!([user(json!("Hi"))]), json!([user(json!("Hi"))])),
        (
            json!([
                {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
                {"role": "user", "id": "msg_1", "status": "completed", "content": [
                    {"type": "input_text", "text": "Look."},
                    {"type": "input_image", "image_url": PIXEL, "detail": "low"},
                    {"type": "input_image", "image_url": "https://a.example/b.png"},
                    {"type": "input_file", "filename": "t", "file_data": "data:text/plain;base64,SGk="},
                    {"type": "text", "text": "As a chat has it."},
                    {"type": "image_url", "image_url": {"url": PIXEL}},
                ]},
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
                {"type": "message", "id": "msg_2", "role": "assistant", "status": "completed", "content": [
                    {"type": "output_text", "text": "So?", "annotations": [], "logprobs": []},
                    {"type": "refusal", "refusal": "No."},
                ]},
                {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{\"b\":1}"},
                {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}", "status": "completed"},
                {"type": "function_call_output", "call_id": "c2", "output": "two"},
                {"type": "function_call_output", "call_id": "c1", "output": [
                    {"type": "input_text", "text": "one"}, {"type": "input_image", "image_url": PIXEL},
                ]},
                {"type": "function_call", "call_id": "c3", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c3", "output": ""},
            ]),
            json!([
                {"role": "developer", "content": "Be brief."},
                user(json!([
                    {"type": "text", "text": "Look."},
                    {"type": "image_url", "image_url": {"url": PIXEL}},
                    {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
                    {"type": "file", "file": {"filename": "t", "file_data": "data:text/plain;base64,SGk="}},
                    {"type": "text", "text": "As a chat has it."},
                    {"type": "image_url", "image_url": {"url": PIXEL}},
                ])),
                {"role": "assistant", "content": "So?", "refusal": "No.", "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"b\":1}"}},
                    {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ]},
                {"role": "tool", "tool_call_id": "c2", "content": "two"},
                {"role": "tool", "tool_call_id": "c1", "content": [
                    {"type": "text", "text": "one"}, {"type": "image_url", "image_url": {"url": PIXEL}},
                ]},
                {"role": "assistant", "tool_calls": [
                    {"id": "c3", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                ]},
                {"role": "tool", "tool_call_id": "c3", "content": ""},
            ]),
        ),
    ] {
        same(&json!({"model": "m", "input": input}), &json!({"model": "m", "messages": messages}));
        let mut system = vec![json!({"role": "system", "content": "Be kind."})];
        system.extend(messages.as_array().expect("messages").clone());
        same(
            &json!({"model": "m", "instructions": "Be kind.", "input": input, "messages": null}),
            &json!({"model": "m", "messages": system}),
        );
    }
}

#[test]
fn options_are_read_as_those_of_a_chat() {
    let schema = json!({"type": "object", "properties": {"b": {}, "a": {}}, "required": ["b"]});
    let both = |responses: Value, chat: Value| {
        let with = |fields: &Value, name: &str, value: Value| {
            let mut body = json!({"model": "m"});
            let fields = fields.as_object().expect("fields").clone();
            body.as_object_mut().expect("a body").extend(fields);
            body[name] = value;
            body
        };
        let messages = json!([{"role": "user", "content": "Hi"}]);
        same(&with(&responses, "input", json!("Hi")), &with(&chat, "messages", messages));
    };
    both(
        json!({"max_output_tokens": 7, "temperature": 0.5, "top_p": 0.9, "user": "u", "background": true}),
        json!({"max_completion_tokens": 7, "temperature": 0.5, "top_p": 0.9, "user": "u", "background": true}),
    );
    both(
        json!({"stream": true, "stream_options": {"include_usage": true}, "reasoning": {"effort": "low", "summary": "auto"},
            "store": true, "metadata": {"a": "b"}, "top_logprobs": 0}),
        json!({"stream": true, "stream_options": {"include_usage": true}, "reasoning_effort": "low",
            "store": true, "metadata": {"a": "b"}}),
    );
    both(
        json!({"text": {"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": true}, "verbosity": "medium"}}),
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}}}),
    );
    both(json!({"text": {"format": {"type": "text"}}}), json!({}));
    both(
        json!({"text": {"format": {"type": "json_object"}}}),
        json!({"response_format": {"type": "json_object"}}),
    );
    let flat = json!([
        {"type": "function", "name": "f", "description": "F.", "parameters": schema, "strict": true},
        {"type": "function", "function": {"name": "g"}},
    ]);
    let nested = json!([
        {"type": "function", "function": {"name": "f", "description": "F.", "parameters": schema, "strict": true}},
        {"type": "function", "function": {"name": "g"}},
    ]);
    for (choice, in_chats) in [
        (json!("required"), json!("required")),
        (json!({"type": "function", "name": "g"}), json!({"type": "function", "function": {"name": "g"}})),
        (
            json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}),
            json!({"type": "allowed_tools", "allowed_tools": {
                "mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}],
            }}),
        ),
    ] {
        both(
            json!({"tools": flat, "tool_choice": choice, "parallel_tool_calls": false}),
            json!({"tools": nested, "tool_choice": in_chats, "parallel_tool_calls": false}),
        );
    }
}

/// What is wrong with items, with code and parameter of the error.
fn wrong_items() -> Vec<(Value, &'static str, &'static str)> {
    let input = |item: Value| json!({"input": [item]});
    let user = |part: Value| json!({"input": [{"role": "user", "content": "a"}, {"role": "user", "content": [part]}]});
    vec![
        (json!({"input": 5}), "invalid_type", "input"),
        (json!({"input": []}), "invalid_value", "input"),
        (json!({"input": ""}), "invalid_value", "input"),
        (json!({"input": "Hi", "instructions": 5}), "invalid_type", "instructions"),
        (input(json!(5)), "invalid_type", "input[0]"),
        (input(json!({"role": "wizard", "content": "a"})), "invalid_value", "input[0].role"),
        (input(json!({"role": "user"})), "missing_required_parameter", "input[0].content"),
        (input(json!({"type": "item_reference", "id": "x"})), "unsupported_parameter", "input[0].type"),
        (
            input(json!({"type": "function_call", "name": "f", "arguments": "{}"})),
            "missing_required_parameter",
            "input[0].call_id",
        ),
        (
            input(json!({"type": "function_call", "call_id": "c", "name": "f"})),
            "missing_required_parameter",
            "input[0].arguments",
        ),
        (
            input(json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"})),
            "invalid_value",
            "input[0].arguments",
        ),
        (
            input(json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"})),
            "invalid_value",
            "input[0]",
        ),
        (
            input(json!({"type": "function_call_output", "call_id": "c", "output": "x"})),
            "invalid_value",
            "input[0].call_id",
        ),
        (
            input(json!({"type": "function_call_output", "output": "x"})),
            "missing_required_parameter",
            "input[0].call_id",
        ),
        (user(json!({"type": "input_text"})), "missing_required_parameter", "input[1].content[0].text"),
        (user(json!({"type": "input_text", "text": 5})), "invalid_type", "input[1].content[0].text"),
        (user(json!({"type": "input_image"})), "missing_required_parameter", "input[1].content[0].image_url"),
        (
            user(json!({"type": "input_image", "image_url": "ftp://x"})),
            "invalid_value",
            "input[1].content[0].image_url",
        ),
        (
            user(json!({"type": "input_file", "file_url": "https://x"})),
            "unsupported_parameter",
            "input[1].content[0].file_url",
        ),
        (
            user(json!({"type": "input_file", "file_data": "x"})),
            "invalid_value",
            "input[1].content[0].file_data",
        ),
        (
            user(json!({"type": "input_audio", "input_audio": {}})),
            "unsupported_parameter",
            "input[1].content[0].type",
        ),
        (user(json!({"type": "odd"})), "invalid_value", "input[1].content[0].type"),
    ]
}

/// The same for what else a body holds.
fn wrong_options() -> Vec<(Value, &'static str, &'static str)> {
    let tool = |tool: Value| json!({"input": "Hi", "tools": [tool]});
    vec![
        (tool(json!({"type": "function"})), "missing_required_parameter", "tools[0].name"),
        (tool(json!({"type": "function", "name": "a b"})), "invalid_value", "tools[0].name"),
        (
            tool(json!({"type": "function", "name": "a", "parameters": []})),
            "invalid_type",
            "tools[0].parameters",
        ),
        (tool(json!({"type": "web_search"})), "unsupported_parameter", "tools[0].type"),
        (json!({"input": "Hi", "tools": 5}), "invalid_type", "tools"),
        (
            json!({"input": "Hi", "tool_choice": {"type": "function", "name": "f"}}),
            "invalid_value",
            "tool_choice.name",
        ),
        (json!({"input": "Hi", "max_output_tokens": 0}), "invalid_value", "max_output_tokens"),
        (
            json!({"input": "Hi", "max_output_tokens": 1, "max_completion_tokens": 1}),
            "invalid_value",
            "max_output_tokens",
        ),
        (
            json!({"input": "Hi", "text": {"format": {"type": "json_schema", "name": "n"}}}),
            "missing_required_parameter",
            "text.format.schema",
        ),
        (json!({"input": "Hi", "text": {"format": {"type": "xml"}}}), "invalid_value", "text.format.type"),
        (json!({"input": "Hi", "text": {"verbosity": "low"}}), "unsupported_parameter", "text.verbosity"),
        (json!({"input": "Hi", "reasoning": {"effort": "much"}}), "invalid_value", "reasoning.effort"),
        (
            json!({"input": "Hi", "previous_response_id": "resp_1"}),
            "unsupported_parameter",
            "previous_response_id",
        ),
        (json!({"input": "Hi", "background": true, "stream": true}), "invalid_value", "background"),
        (json!({"input": "Hi", "max_tool_calls": 3}), "unsupported_parameter", "max_tool_calls"),
        (json!({"input": "Hi", "temperature": 7}), "invalid_value", "temperature"),
        (json!({"input": "Hi", "api_key": "x"}), "unsupported_parameter", "api_key"),
    ]
}

#[test]
fn what_is_wrong_is_named_as_it_was_written() {
    for (fields, code, param) in wrong_items().into_iter().chain(wrong_options()) {
        let mut body = json!({"model": "m"});
        body.as_object_mut().expect("a body").extend(fields.as_object().expect("fields").clone());
        refused(&body.to_string(), code, Some(param));
        let message = super::parse(&body.to_string()).expect_err("an error").message;
        assert!(message.contains(&format!("'{param}'")) && !message.contains("messages["), "{message}");
    }
    let both = json!({"model": "m", "input": 5, "messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(accepted(&both.to_string()).ignored, ["input"], "with messages it is a chat");
    refused(r#"{"model":"m","input":null}"#, "missing_required_parameter", Some("messages"));
}

#[test]
fn what_is_ignored_is_named_as_it_was_written() {
    let body = json!({"model": "m", "include": ["reasoning.encrypted_content"], "truncation": "auto", "made_up": 1,
        "metadata": {}, "prompt_cache_key": "k", "input": [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"role": "user", "id": "msg_1", "content": [
            {"type": "input_text", "text": "Look."}, {"type": "input_image", "image_url": PIXEL, "detail": "low", "odd": 1},
        ]},
    ]});
    let mut ignored = accepted(&body.to_string()).ignored;
    ignored.sort_unstable();
    assert_eq!(
        ignored,
        [
            "include",
            "input[].content[].detail",
            "input[].content[].odd",
            "input[].id",
            "input[].reasoning",
            "made_up",
            "metadata",
            "prompt_cache_key",
            "truncation",
        ]
    );
}
