//! What this dialect's bodies look like, for documents: schemas of the very types that are written, and of requests as
//! the table of parameters has them.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::parameters::{Kind, Neutral, PARAMETERS, Parameter, RESPONSES_PARAMETERS, Scope, Treatment};
use super::{error, files, whole, wire};
use crate::schema::Changes;

/// A request, in either of the two forms that are understood.
pub fn request() -> Value {
    json!({ "anyOf": [
        object(PARAMETERS, Scope::Body, "messages"),
        object(RESPONSES_PARAMETERS, Scope::ResponsesBody, "input"),
    ]})
}

/// The body of a form, one of whose fields has to be there.
fn object(table: &[Parameter], scope: Scope, required: &str) -> Value {
    let mut schema = fields(table, scope);
    schema["required"] = json!([required]);
    // `null` stands for absence, and this one may not be absent.
    schema["properties"][required]["type"] = match required {
        "messages" => json!(["array"]),
        _ => json!(["string", "array"]),
    };
    schema
}

/// The object that `scope` stands for. What the table does not list is ignored, and named in a header of the answer.
fn fields(table: &[Parameter], scope: Scope) -> Value {
    let rows = table.iter().filter(|row| row.scope == scope);
    let properties: Map<String, Value> = rows.map(|row| (row.name.to_owned(), field(table, row))).collect();
    json!({ "type": "object", "properties": properties })
}

fn field(table: &[Parameter], row: &Parameter) -> Value {
    let mut schema = match row.treatment {
        Treatment::Refused => json!({ "type": "null" }),
        Treatment::Neutral(values) | Treatment::IgnoredIf(values) => {
            let values = values.iter().map(|value| value.json()).chain([Value::Null]);
            json!({ "enum": values.collect::<Vec<_>>() })
        }
        Treatment::Honoured | Treatment::Ignored => kind(table, row),
    };
    schema["description"] = match row.treatment {
        Treatment::Honoured => row.note.into(),
        Treatment::Refused => format!("Refused. {}", row.note).into(),
        Treatment::Ignored | Treatment::IgnoredIf(_) => format!("Ignored. {}", row.note).into(),
        Treatment::Neutral(_) => format!("Only what happens anyway. {}", row.note).into(),
    };
    schema
}

/// What JSON a field may be, and, where the table knows what stands in it, what that may be.
fn kind(table: &[Parameter], row: &Parameter) -> Value {
    let mut types = row.kind.types().to_vec();
    if types.is_empty() {
        return json!({});
    }
    types.push("null");
    let mut schema = json!({ "type": types });
    let path = format!("{}{}", row.scope.prefix(), row.name);
    let of = |prefix: String| table.iter().map(|row| row.scope).find(|scope| scope.prefix() == prefix);
    if let Some(scope) = of(format!("{path}.")) {
        schema["properties"] = fields(table, scope)["properties"].take();
    }
    if let Some(scope) = of(format!("{path}[].")) {
        schema["items"] = fields(table, scope);
    }
    schema
}

impl Kind {
    /// The names of JSON Schema's types that it admits; none: any.
    fn types(self) -> &'static [&'static str] {
        match self {
            Self::Any => &[],
            Self::Array => &["array"],
            Self::Boolean => &["boolean"],
            Self::BooleanOrObject => &["boolean", "object"],
            Self::Integer => &["integer"],
            Self::Number => &["number"],
            Self::NumberOrString => &["number", "string"],
            Self::Object => &["object"],
            Self::String => &["string"],
            Self::StringOrArray => &["string", "array"],
            Self::StringOrObject => &["string", "object"],
        }
    }
}

impl Neutral {
    fn json(self) -> Value {
        match self {
            Self::Boolean(is) => is.into(),
            Self::Number(is) => is.into(),
            Self::Text(is) => is.into(),
            Self::EmptyObject => json!({}),
            Self::ListOf(is) => json!([is]),
        }
    }
}

/// A completion in one piece.
pub fn completion(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<whole::Completion>()
}

/// A chunk of a streamed one, which is written piece by piece and so has no type of its own.
pub fn chunk(generator: &mut SchemaGenerator) -> Schema {
    let usage = generator.subschema_for::<wire::Usage>();
    let changes = generator.subschema_for::<Changes>();
    json_schema!({
        "type": "object",
        "properties": {
            "id": { "type": "string" },
            "object": { "const": "chat.completion.chunk" },
            "created": { "type": "integer" },
            "model": { "type": "string" },
            "system_fingerprint": { "type": ["string", "null"] },
            "session_id": { "type": "string" },
            "project_id": { "type": "string" },
            "choices": { "type": "array", "items": {
                "type": "object",
                "properties": {
                    "index": { "type": "integer" },
                    "delta": { "type": "object", "properties": {
                        "role": { "const": "assistant" },
                        "content": { "type": ["string", "null"] },
                        "refusal": { "type": ["string", "null"] },
                        "reasoning_content": { "type": "string" },
                        "tool_calls": { "type": "array", "items": { "type": "object" } },
                        "function_call": { "type": "object" },
                    }},
                    "logprobs": { "type": "null" },
                    "finish_reason": { "type": ["string", "null"] },
                },
                "required": ["index", "delta", "logprobs", "finish_reason"],
            }},
            "usage": { "anyOf": [usage, { "type": "null" }] },
            "files_changed": changes,
        },
        "required": ["id", "object", "created", "model", "choices"],
    })
}

/// An error.
pub fn error(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<error::Body>()
}

/// An uploaded file.
pub fn file(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<files::File>()
}

/// What an uploaded file may be for.
pub fn purposes() -> &'static [&'static str] {
    &files::PURPOSES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_described_as_the_table_has_it() {
        let schema = request();
        let body = &schema["anyOf"][0]["properties"];
        for row in PARAMETERS.iter().filter(|row| row.scope == Scope::Body) {
            assert!(body[row.name]["description"].as_str().is_some_and(|text| text.contains(row.note)));
        }
        assert_eq!(body["seed"]["type"], "null", "what is refused can only be left out");
        assert_eq!(body["logprobs"]["enum"], json!([false, null]));
        assert_eq!(body["temperature"]["type"], json!(["number", "null"]));
        let url = &body["messages"]["items"]["properties"]["content"]["items"]["properties"]["image_url"];
        assert!(url["properties"]["url"].is_object(), "scopes lie within each other: {url}");
        assert!(body["response_format"]["properties"]["json_schema"]["properties"]["strict"].is_object());
    }

    #[test]
    fn every_scope_of_the_tables_is_described_somewhere() {
        let text = request().to_string();
        for row in PARAMETERS.iter().chain(RESPONSES_PARAMETERS) {
            let note = serde_json::to_string(row.note).expect("text");
            assert!(text.contains(note.trim_matches('"')), "{}{}", row.scope.prefix(), row.name);
        }
    }

    #[test]
    fn requests_match_as_they_are_taken() {
        let schema = jsonschema::validator_for(&request()).expect("a schema");
        for (body, fits) in [
            (json!({ "messages": [{ "role": "user", "content": "Hi" }], "new_field": 1 }), true),
            (
                json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "Hi" }] }] }),
                true,
            ),
            (json!({ "input": "Hi", "instructions": null }), true),
            (json!({ "messages": [], "n": "two" }), false),
            (json!({ "messages": [], "seed": 1 }), false),
            (json!({ "messages": null }), false),
            (json!({ "model": "demo" }), false),
        ] {
            assert_eq!(schema.is_valid(&body), fits, "{body}");
        }
    }
}
