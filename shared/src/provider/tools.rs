//! The client's tools, in the words of the Messages API.

use serde_json::{Map, Value, json};

use super::answer_tool::AnswerTool;
use super::conversation::cached;
use crate::schema::{JobSpec, Tool, ToolChoice};

/// Puts the tools into a body, in the client's order and in full, the answer's after them, and what the model may or
/// must call. They come before the system prompt in what the provider caches, so they need a mark of their own only
/// where there is none.
pub(super) fn offer(body: &mut Map<String, Value>, spec: &JobSpec, answer: Option<&AnswerTool>) {
    let clients = if answer.is_none_or(|answer| answer.besides) { &spec.tools[..] } else { &[] };
    let all = clients.iter().chain(answer.map(|answer| &answer.tool));
    let mut tools: Vec<Value> = all.map(definition).collect();
    let Some(last) = tools.pop() else { return };
    tools.push(if spec.system.is_empty() { cached(last) } else { last });
    body.insert("tools".to_owned(), tools.into());
    let choice = match answer {
        Some(answer) => choice(answer.choice.as_ref(), answer.alone),
        None => choice(spec.tool_choice.as_ref(), spec.parallel_tool_calls == Some(false)),
    };
    if let Some(choice) = choice {
        body.insert("tool_choice".to_owned(), choice);
    }
}

fn definition(tool: &Tool) -> Value {
    let mut definition = json!({ "name": tool.name });
    if let Some(description) = &tool.description {
        definition["description"] = description.as_str().into();
    }
    definition["input_schema"] = tool.input_schema.clone().into();
    if tool.strict {
        definition["strict"] = true.into();
    }
    definition
}

fn choice(choice: Option<&ToolChoice>, alone: bool) -> Option<Value> {
    let mut choice = match choice {
        None if !alone => return None,
        None | Some(ToolChoice::Auto) => json!({ "type": "auto" }),
        Some(ToolChoice::Any) => json!({ "type": "any" }),
        Some(ToolChoice::Tool { name }) => json!({ "type": "tool", "name": name }),
        Some(ToolChoice::None) => return Some(json!({ "type": "none" })),
    };
    if alone {
        choice["disable_parallel_tool_use"] = true.into();
    }
    Some(choice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str) -> Tool {
        let schema = json!({ "type": "object", "$defs": { "b": {}, "a": {} }, "properties": {} });
        let input_schema = schema.as_object().cloned().expect("an object");
        Tool { name: name.to_owned(), description: None, input_schema, strict: false }
    }

    fn offered(spec: &JobSpec) -> String {
        let mut body = Map::new();
        offer(&mut body, spec, None);
        Value::from(body).to_string()
    }

    #[test]
    fn definitions_go_up_as_they_were_given() {
        let long = "x".repeat(20_000);
        let tools = vec![
            Tool { description: Some(long.clone()), strict: true, ..tool("zeta") },
            Tool { description: Some(String::new()), ..tool("alpha") },
        ];
        let spec = JobSpec { tools, system: "s".to_owned(), ..JobSpec::default() };
        let schema = r#"{"type":"object","$defs":{"b":{},"a":{}},"properties":{}}"#;
        let zeta =
            format!(r#"{{"name":"zeta","description":"{long}","input_schema":{schema},"strict":true}}"#);
        let alpha = format!(r#"{{"name":"alpha","description":"","input_schema":{schema}"#);
        assert_eq!(offered(&spec), format!(r#"{{"tools":[{zeta},{alpha}}}]}}"#));
        let bare = JobSpec { system: String::new(), ..spec };
        let mark = r#","cache_control":{"type":"ephemeral"}"#;
        assert_eq!(offered(&bare), format!(r#"{{"tools":[{zeta},{alpha}{mark}}}]}}"#));
        assert_eq!(offered(&JobSpec::default()), "{}");
    }

    #[test]
    fn a_choice_is_told_in_the_providers_words() {
        let named = || ToolChoice::Tool { name: "f".to_owned() };
        for (tool_choice, parallel_tool_calls, expected) in [
            (None, None, json!(null)),
            (None, Some(true), json!(null)),
            (None, Some(false), json!({ "type": "auto", "disable_parallel_tool_use": true })),
            (Some(ToolChoice::Auto), None, json!({ "type": "auto" })),
            (Some(ToolChoice::Any), Some(true), json!({ "type": "any" })),
            (Some(ToolChoice::None), Some(false), json!({ "type": "none" })),
            (Some(named()), None, json!({ "type": "tool", "name": "f" })),
            (
                Some(named()),
                Some(false),
                json!({ "type": "tool", "name": "f", "disable_parallel_tool_use": true }),
            ),
        ] {
            let told = choice(tool_choice.as_ref(), parallel_tool_calls == Some(false));
            assert_eq!(told.unwrap_or_default(), expected);
        }
    }
}
