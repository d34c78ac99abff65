//! The schema of the answer as a tool, for providers that take no schema of the answer: the model is made to call it,
//! and its arguments are the answer. What goes up is decided here; [`TurnBack`] makes text of what comes back.

mod turn_back;

use serde_json::{Map, Value};

pub use self::turn_back::TurnBack;
use super::compose::Target;
use crate::schema::offer::{Abilities, Setting};
use crate::schema::{JobSpec, OutputFormat, Tool, ToolChoice, limits};

/// How the provider is told what shape the answer is to have.
pub(super) enum Told<'a> {
    /// Not at all: it may have any, or the model is to call a tool of the client's first.
    Not,
    /// By its schema.
    Schema(&'a Map<String, Value>),
    /// By a tool.
    Tool(AnswerTool),
}

/// The tool, and how the model is made to call it.
pub(super) struct AnswerTool {
    pub(super) tool: Tool,
    /// Whether the model knows the client's tools besides.
    pub(super) besides: bool,
    /// What it must call.
    pub(super) choice: Option<ToolChoice>,
    /// Whether it may call one tool only.
    pub(super) alone: bool,
}

impl AnswerTool {
    /// Whether the provider sees to it that a tool is called.
    pub(super) fn is_forced(&self) -> bool {
        matches!(self.choice, Some(ToolChoice::Any | ToolChoice::Tool { .. }))
    }

    /// What a model is told that cannot be made to call it.
    pub(super) fn request(&self) -> String {
        format!("Give your answer by calling the tool `{}`, once, and say nothing besides.", self.tool.name)
    }
}

/// How `target` is told of the shape that the job asks for. A model that thinks cannot be made to call a tool
/// (Anthropic API reference, "Extended thinking"), so it is asked to.
pub(super) fn told<'a>(spec: &'a JobSpec, target: &Target, thinks: bool) -> Told<'a> {
    let Some(OutputFormat::Schema { schema, .. }) = &spec.output else { return Told::Not };
    if !target.lacks.contains(&Setting::OutputFormat) {
        return Told::Schema(schema);
    }
    if matches!(spec.tool_choice, Some(ToolChoice::Any | ToolChoice::Tool { .. })) {
        return Told::Not;
    }
    // Nobody asks such a provider for anything but an object, unless the registry has changed since.
    let Some(input_schema) = object(schema) else { return Told::Schema(schema) };
    let name = name(&spec.tools);
    let besides = !spec.tools.is_empty() && spec.tool_choice != Some(ToolChoice::None);
    let forced = !thinks && !target.lacks.contains(&Setting::ToolChoice);
    let choice =
        forced.then(|| if besides { ToolChoice::Any } else { ToolChoice::Tool { name: name.clone() } });
    let alone = if besides {
        spec.parallel_tool_calls == Some(false)
    } else {
        forced && !target.lacks.contains(&Setting::ParallelTools)
    };
    let description = Some("Gives the answer: its arguments are the answer.".to_owned());
    Told::Tool(AnswerTool {
        tool: Tool { name, description, input_schema, strict: false },
        besides,
        choice,
        alone,
    })
}

/// Whether the tool can stand in for a schema that a provider does not take: it knows tools, and tools take objects.
pub(super) fn stands_in(spec: &JobSpec, abilities: &Abilities, lacks: &[Setting]) -> bool {
    abilities.tools && !lacks.contains(&Setting::Tools) && shape(spec).is_some()
}

/// The schema of the answer as that of a tool's arguments, if there is one that can be.
fn shape(spec: &JobSpec) -> Option<Map<String, Value>> {
    match &spec.output {
        Some(OutputFormat::Schema { schema, .. }) => object(schema),
        Some(OutputFormat::Object) | None => None,
    }
}

/// The name of the tool: one that none of the client's has.
fn name(tools: &[Tool]) -> String {
    let is_free = |name: &String| tools.iter().all(|tool| tool.name != *name);
    let mut others = (1..=limits::TOOLS).map(|n| format!("answer_{n}"));
    let usual = "answer".to_owned();
    if is_free(&usual) { usual } else { others.find(is_free).unwrap_or(usual) }
}

/// The same schema, which says that it is one of objects; `None` if it may be one of something else. Alternatives at
/// its root are none that providers take (Anthropic API reference, `input_schema`).
fn object(schema: &Map<String, Value>) -> Option<Map<String, Value>> {
    if ["anyOf", "oneOf", "allOf"].iter().any(|word| schema.contains_key(*word)) {
        return None;
    }
    let mut object = schema.clone();
    let is_object = match (schema.get("type"), schema.get("$ref")) {
        (Some(Value::String(name)), _) => name == "object",
        // Of several types an object is one that matches.
        (Some(Value::Array(names)), _) => names.iter().any(|name| name == "object"),
        (Some(_), _) => false,
        (None, Some(Value::String(reference))) => refers_to_object(schema, reference),
        (None, _) => schema.contains_key("properties"),
    };
    object.insert("type".to_owned(), "object".into());
    is_object.then_some(object)
}

fn refers_to_object(schema: &Map<String, Value>, reference: &str) -> bool {
    let Some(pointer) = reference.strip_prefix("#/") else { return false };
    let mut steps = pointer.split('/').map(|step| step.replace("~1", "/").replace("~0", "~"));
    let first = steps.next().and_then(|name| schema.get(&name));
    let part = steps.fold(first, |part, name| part.and_then(|part| part.get(name)));
    part.is_some_and(|part| part["type"] == "object")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::compose;
    use crate::schema::offer::Thinking;
    use crate::schema::{Sampling, ThinkingWish};

    fn fields(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn schemas_of_objects_become_those_of_arguments() {
        for (schema, expected) in [
            (json!({ "type": "object", "b": 1, "a": 2 }), Some(r#"{"type":"object","b":1,"a":2}"#)),
            (json!({ "properties": {} }), Some(r#"{"properties":{},"type":"object"}"#)),
            (json!({ "type": ["null", "object"] }), Some(r#"{"type":"object"}"#)),
            (
                json!({ "$ref": "#/$defs/a~1b", "$defs": { "a/b": { "type": "object" } } }),
                Some(r##"{"$ref":"#/$defs/a~1b","$defs":{"a/b":{"type":"object"}},"type":"object"}"##),
            ),
            (json!({ "$ref": "#/$defs/a", "$defs": { "a": { "type": "array" } } }), None),
            (json!({ "$ref": "#/$defs/b" }), None),
            (json!({ "$ref": "https://a.example" }), None),
            (json!({ "type": "array" }), None),
            (json!({ "type": ["string", "null"] }), None),
            (json!({ "type": 5 }), None),
            (json!({ "anyOf": [{ "type": "object" }], "type": "object" }), None),
            (json!({}), None),
        ] {
            let object = object(&fields(&schema)).map(|object| Value::from(object).to_string());
            assert_eq!(object.as_deref(), expected, "{schema}");
        }
    }

    #[test]
    fn its_name_is_no_other_tools() {
        let tool = |name: &str| Tool {
            name: name.to_owned(),
            description: None,
            input_schema: Map::new(),
            strict: false,
        };
        for (names, expected) in [
            (&[][..], "answer"),
            (&["answers"], "answer"),
            (&["answer"], "answer_1"),
            (&["answer_1", "answer", "answer_3"], "answer_2"),
        ] {
            assert_eq!(name(&names.iter().map(|name| tool(name)).collect::<Vec<_>>()), expected);
        }
        let all = (1..limits::TOOLS).map(|n| tool(&format!("answer_{n}"))).chain([tool("answer")]);
        assert_eq!(name(&all.collect::<Vec<_>>()), format!("answer_{}", limits::TOOLS));
    }

    /// What goes up, in short: the tools' names, the choice, how much to think, the format, and what is asked besides.
    fn sent(spec: &JobSpec, lacks: &[Setting]) -> Value {
        let abilities = Abilities { thinking: Thinking::Budget, tools: true, ..Abilities::default() };
        let target = Target { model: "up", abilities: &abilities, lacks, login: false };
        let cli_body = json!({ "messages": [{ "role": "user", "content": "placeholder" }] });
        let body = compose(&cli_body, "placeholder", spec, &target).expect("the job's body");
        let names = body["tools"].as_array().into_iter().flatten().map(|tool| &tool["name"]);
        json!([
            names.collect::<Vec<_>>(),
            body["tool_choice"],
            body["thinking"]["type"],
            body["output_config"]["format"]["type"],
            body["system"][0]["text"],
        ])
    }

    #[test]
    fn the_model_is_made_to_answer_by_the_tool_where_it_can_be() {
        let asked = "Give your answer by calling the tool `answer`, once, and say nothing besides.";
        let named = json!({ "type": "tool", "name": "answer", "disable_parallel_tool_use": true });
        let several = json!({ "type": "tool", "name": "answer" });
        let any = json!({ "type": "any" });
        let one = json!({ "type": "any", "disable_parallel_tool_use": true });
        let clients = || ToolChoice::Tool { name: "f".to_owned() };
        let think = Some(ThinkingWish::Budget(2_000));
        let format = [Setting::OutputFormat];
        let with = |more: &[Setting]| [&format, more].concat();
        let none = Value::Null;
        for (has_tools, choice, parallel, thinking, lacks, expected) in [
            (false, None, None, None, vec![], json!([[], none, none, "json_schema", none])),
            (
                true,
                Some(clients()),
                None,
                think,
                vec![],
                json!([["f"], { "type": "tool", "name": "f" }, "enabled", "json_schema", none]),
            ),
            (false, None, None, None, with(&[]), json!([["answer"], named, "disabled", none, none])),
            (
                false,
                None,
                None,
                None,
                with(&[Setting::Thinking]),
                json!([["answer"], named, none, none, none]),
            ),
            (
                false,
                None,
                None,
                None,
                with(&[Setting::ParallelTools]),
                json!([["answer"], several, "disabled", none, none]),
            ),
            // The model is free to call the client's tools instead.
            (true, None, None, None, with(&[]), json!([["f", "answer"], any, "disabled", none, none])),
            (
                true,
                Some(ToolChoice::Auto),
                Some(false),
                None,
                with(&[]),
                json!([["f", "answer"], one, "disabled", none, none]),
            ),
            (
                true,
                Some(ToolChoice::None),
                None,
                None,
                with(&[]),
                json!([["answer"], named, "disabled", none, none]),
            ),
            // Who must call one does not answer yet.
            (
                true,
                Some(clients()),
                None,
                None,
                with(&[]),
                json!([["f"], { "type": "tool", "name": "f" }, none, none, none]),
            ),
            (true, Some(ToolChoice::Any), None, None, with(&[]), json!([["f"], any, none, none, none])),
            // Who thinks, or cannot be made to, is asked.
            (false, None, None, think, with(&[]), json!([["answer"], none, "enabled", none, asked])),
            (
                true,
                Some(ToolChoice::None),
                None,
                think,
                with(&[]),
                json!([["answer"], none, "enabled", none, asked]),
            ),
            (
                true,
                None,
                None,
                None,
                with(&[Setting::ToolChoice]),
                json!([["f", "answer"], none, none, none, asked]),
            ),
        ] {
            let f = Tool { name: "f".to_owned(), description: None, input_schema: Map::new(), strict: false };
            let spec = JobSpec {
                tools: if has_tools { vec![f] } else { vec![] },
                tool_choice: choice,
                parallel_tool_calls: parallel,
                sampling: Sampling { thinking, ..Sampling::default() },
                output: Some(OutputFormat::Schema {
                    schema: fields(&json!({ "type": "object" })),
                    strict: true,
                }),
                ..JobSpec::default()
            };
            assert_eq!(sent(&spec, &lacks), expected, "{spec:?} {lacks:?}");
        }
    }
}
