//! Whether an answer has the shape that its client asked for. Reads no file and asks nobody: a schema stands for itself.

use std::collections::HashMap;

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};

use super::Rejection;
use crate::schema::{OutputFormat, StopReason, Tool, limits};

/// What an answer is held against.
pub struct Shape {
    /// Without a schema any object will do.
    schema: Option<Validator>,
}

/// Why answers cannot be held against a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It refers to something else than a part of itself.
    #[error("references must be to parts of the schema itself, such as '#/$defs/name'")]
    Reference,
    /// It refers to a part that refers back to it. Checking such a schema may take for ever.
    #[error("schemas that refer to themselves are not supported")]
    Recursive,
    /// It says too much.
    #[error("it is too large, or nests too deep")]
    TooLarge,
    /// It is none.
    #[error("it is no JSON schema that answers can be held against")]
    Invalid,
}

impl Shape {
    /// What an answer of this format has to be; `None` if it may be anything.
    pub fn of(format: Option<&OutputFormat>) -> Result<Option<Self>, Unusable> {
        match format {
            None | Some(OutputFormat::Schema { strict: false, .. }) => Ok(None),
            Some(OutputFormat::Object) => Ok(Some(Self { schema: None })),
            Some(OutputFormat::Schema { schema, strict: true }) => Self::of_schema(schema).map(Some),
        }
    }

    /// What the arguments of a call of this tool have to be; `None` if they may be anything.
    pub fn of_arguments(tool: &Tool) -> Result<Option<Self>, Unusable> {
        if tool.strict { Self::of_schema(&tool.input_schema).map(Some) } else { Ok(None) }
    }

    fn of_schema(schema: &Map<String, Value>) -> Result<Self, Unusable> {
        let schema = Value::Object(schema.clone());
        References::new(&schema).measure(&schema, 0)?;
        Ok(Self { schema: Some(compile(&schema)?) })
    }

    /// Holds an answer against it. One that was cut off, or that calls tools, need not match.
    pub fn check(&self, text: &str, stop: StopReason) -> Result<(), Rejection> {
        match stop {
            StopReason::EndTurn => self.matches(text).map_err(|why| {
                Rejection::invalid_output(format!("The model's answer has not the shape asked for: {why}."))
            }),
            StopReason::MaxTokens
            | StopReason::StopSequence
            | StopReason::ToolUse
            | StopReason::PauseTurn
            | StopReason::Refusal
            | StopReason::ContextWindowExceeded => Ok(()),
        }
    }

    /// Whether a text is JSON of this shape; why not, as the end of a sentence.
    pub(super) fn matches(&self, text: &str) -> Result<(), String> {
        if text.len() > limits::CHECKED_ANSWER_BYTES {
            return Err("it is too long to be checked".to_owned());
        }
        let answer: Value = serde_json::from_str(text).map_err(|_| "it is no JSON".to_owned())?;
        match &self.schema {
            None if answer.is_object() => Ok(()),
            None => Err("it is no JSON object".to_owned()),
            Some(schema) => schema.validate(&answer).map_err(|error| match error.instance_path().as_str() {
                "" => "it does not match the schema".to_owned(),
                path => format!("it does not match the schema at '{path}'"),
            }),
        }
    }
}

/// Patterns are matched in linear time.
fn compile(schema: &Value) -> Result<Validator, Unusable> {
    let patterns = PatternOptions::regex().size_limit(limits::SCHEMA_PATTERN_BYTES);
    let options = jsonschema::options().offline().with_pattern_options(patterns);
    options.build(schema).map_err(|_| Unusable::Invalid)
}

/// How large a part of a schema is once every reference in it is written out.
#[derive(Clone, Copy)]
struct Measure {
    values: usize,
    depth: usize,
}

/// Finds out how large a schema is. Written out it may be exponentially larger than it looks, and every answer is
/// held against all of it.
struct References<'a> {
    root: &'a Value,
    /// What each reference came to; `None` while it is being measured.
    measured: HashMap<&'a str, Option<Measure>>,
}

impl<'a> References<'a> {
    fn new(root: &'a Value) -> Self {
        Self { root, measured: HashMap::new() }
    }

    /// `depth` is how deep the part stands.
    fn measure(&mut self, part: &'a Value, depth: usize) -> Result<Measure, Unusable> {
        if depth > limits::SCHEMA_DEPTH {
            return Err(Unusable::TooLarge);
        }
        let mut whole = Measure { values: 1, depth: 1 };
        match part {
            Value::Array(items) => {
                for item in items {
                    whole.take(self.measure(item, depth + 1)?);
                }
            }
            Value::Object(fields) => {
                if let Some(reference) = reference(fields, depth)? {
                    whole.take(self.follow(reference, depth + 1)?);
                }
                for field in fields.values() {
                    whole.take(self.measure(field, depth + 1)?);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        if whole.values > limits::SCHEMA_VALUES || depth + whole.depth > limits::SCHEMA_DEPTH {
            return Err(Unusable::TooLarge);
        }
        Ok(whole)
    }

    fn follow(&mut self, reference: &'a str, depth: usize) -> Result<Measure, Unusable> {
        match self.measured.get(reference) {
            Some(Some(measure)) => return Ok(*measure),
            Some(None) => return Err(Unusable::Recursive),
            None => {}
        }
        let pointer = reference.strip_prefix('#').ok_or(Unusable::Reference)?;
        let part = self.root.pointer(pointer).ok_or(Unusable::Reference)?;
        self.measured.insert(reference, None);
        let measure = self.measure(part, depth)?;
        self.measured.insert(reference, Some(measure));
        Ok(measure)
    }
}

impl Measure {
    fn take(&mut self, part: Self) {
        self.values = self.values.saturating_add(part.values);
        self.depth = self.depth.max(part.depth + 1);
    }
}

/// What an object refers to. Names by which other parts may be found are no part of this.
fn reference(fields: &Map<String, Value>, depth: usize) -> Result<Option<&str>, Unusable> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    if text("$dynamicRef").is_some()
        || text("$recursiveRef").is_some()
        || (depth > 0 && text("$id").is_some())
    {
        return Err(Unusable::Reference);
    }
    Ok(text("$ref"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn strict(schema: &Value) -> OutputFormat {
        let schema = schema.as_object().cloned().expect("an object");
        OutputFormat::Schema { schema, strict: true }
    }

    fn check(format: &OutputFormat, text: &str) -> Result<(), String> {
        let shape = Shape::of(Some(format)).expect("a usable schema").expect("a shape");
        shape.check(text, StopReason::EndTurn).map_err(|rejection| {
            assert_eq!((rejection.status, rejection.code), (502, "invalid_output"));
            assert_eq!(rejection.should_retry, Some(false));
            rejection.message
        })
    }

    #[test]
    fn an_answer_is_held_against_its_shape() {
        let person = strict(&json!({
            "type": "object", "required": ["name", "home"], "additionalProperties": false,
            "properties": { "name": { "type": "string", "pattern": "^[A-Z]" }, "home": { "$ref": "#/$defs/place" } },
            "$defs": { "place": { "type": "object", "properties": { "zip": { "type": "integer" } } } },
        }));
        for (format, text, why) in [
            (&OutputFormat::Object, "{}", None),
            (&OutputFormat::Object, " {\"a\":1}\n", None),
            (&OutputFormat::Object, "[]", Some("it is no JSON object.")),
            (&OutputFormat::Object, "```json\n{}\n```", Some("it is no JSON.")),
            (&OutputFormat::Object, "", Some("it is no JSON.")),
            (&person, r#"{"name":"Ann","home":{"zip":1}}"#, None),
            (&person, r#"{"name":"Ann"}"#, Some("it does not match the schema.")),
            (&person, r#"{"name":"ann","home":{}}"#, Some("it does not match the schema at '/name'.")),
            (
                &person,
                r#"{"name":"Ann","home":{"zip":""}}"#,
                Some("it does not match the schema at '/home/zip'."),
            ),
        ] {
            let told = check(format, text);
            match why {
                None => assert_eq!(told, Ok(()), "{text}"),
                Some(why) => assert!(told.clone().is_err_and(|told| told.ends_with(why)), "{text}: {told:?}"),
            }
        }
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(limits::CHECKED_ANSWER_BYTES));
        assert!(check(&OutputFormat::Object, &long).is_err());
    }

    #[test]
    fn what_is_not_meant_to_match_is_not_checked() {
        let shape = Shape::of(Some(&OutputFormat::Object)).expect("usable").expect("a shape");
        for stop in
            [StopReason::MaxTokens, StopReason::StopSequence, StopReason::ToolUse, StopReason::Refusal]
        {
            assert!(shape.check("{\"a", stop).is_ok(), "{stop:?}");
        }
        let OutputFormat::Schema { schema, .. } = strict(&json!({ "type": 5 })) else { panic!("a schema") };
        let loose = OutputFormat::Schema { schema, strict: false };
        assert!(Shape::of(Some(&loose)).is_ok_and(|shape| shape.is_none()));
        assert!(Shape::of(None).is_ok_and(|shape| shape.is_none()));
    }

    #[test]
    fn the_deepest_schema_and_answer_fit_on_a_stack() {
        let nested =
            |levels: usize, inner: Value| (0..levels).fold(inner, |schema, _| json!({ "items": schema }));
        let schema = json!({
            "items": nested(60, json!({ "$ref": "#/$defs/a" })),
            "$defs": { "a": nested(60, json!({ "$ref": "#/$defs/b" })), "b": nested(60, json!({ "type": "null" })) },
        });
        let answer = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(check(&strict(&schema), &answer(120)), Ok(()));
        assert!(check(&strict(&schema), &answer(200)).is_err(), "what nests too deep is no JSON to us");
    }

    #[test]
    fn schemas_that_cannot_be_held_against_anything_are_refused() {
        let doubling = |levels: usize| {
            let level = |n: usize| {
                let next = json!({ "$ref": format!("#/$defs/l{}", n + 1) });
                (format!("l{n}"), json!({ "anyOf": [next, next] }))
            };
            let mut defs: Map<String, Value> = (0..levels).map(level).collect();
            defs.insert(format!("l{levels}"), json!({ "type": "null" }));
            json!({ "$ref": "#/$defs/l0", "$defs": defs })
        };
        let chain = |links: usize| {
            let link = |n: usize| (format!("l{n}"), json!({ "$ref": format!("#/$defs/l{}", n + 1) }));
            let mut defs: Map<String, Value> = (0..links).map(link).collect();
            defs.insert(format!("l{links}"), json!({}));
            json!({ "$ref": "#/$defs/l0", "$defs": defs })
        };
        let many: Vec<Value> = (0..limits::SCHEMA_VALUES).map(Value::from).collect();
        for (schema, why) in [
            (json!({ "$ref": "#" }), Unusable::Recursive),
            (json!({ "properties": { "a": { "$ref": "#" } } }), Unusable::Recursive),
            (
                json!({ "$defs": { "a": { "items": { "$ref": "#/$defs/b" } }, "b": { "$ref": "#/$defs/a" } } }),
                Unusable::Recursive,
            ),
            (json!({ "$ref": "https://a.example/schema" }), Unusable::Reference),
            (json!({ "$ref": "file:///etc/passwd" }), Unusable::Reference),
            (json!({ "$ref": "#/$defs/none" }), Unusable::Reference),
            (json!({ "$ref": "#name" }), Unusable::Reference),
            (json!({ "$dynamicRef": "#a" }), Unusable::Reference),
            (json!({ "$defs": { "a": { "$id": "https://a.example" } } }), Unusable::Reference),
            (json!({ "enum": many }), Unusable::TooLarge),
            (doubling(40), Unusable::TooLarge),
            (chain(20_000), Unusable::TooLarge),
            (json!({ "type": 5 }), Unusable::Invalid),
            (json!({ "pattern": "(" }), Unusable::Invalid),
            (json!({ "pattern": "(a{1000}){1000}" }), Unusable::Invalid),
            (json!({ "$schema": "https://a.example/unheard-of" }), Unusable::Invalid),
        ] {
            let text = schema.to_string();
            let text = &text[..text.len().min(200)];
            assert_eq!(Shape::of(Some(&strict(&schema))).err(), Some(why), "{text}");
        }
        for schema in
            [doubling(8), chain(50), json!({ "$id": "https://a.example", "properties": { "$ref": {} } })]
        {
            assert!(Shape::of(Some(&strict(&schema))).is_ok());
        }
    }
}
