//! Schemas of the types that are written, each once, by name.

use schemars::generate::{Contract, SchemaSettings};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Collects what is referred to.
pub(super) struct Schemas(SchemaGenerator);

impl Schemas {
    pub(super) fn new() -> Self {
        Self::below("/components/schemas")
    }

    /// For a document that has them somewhere else.
    pub(super) fn below(path: &str) -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = path.to_owned().into();
            settings.meta_schema = None;
            settings.contract = Contract::Serialize;
        });
        Self(settings.into_generator())
    }

    /// A reference to the schema of a type.
    pub(super) fn of<T: JsonSchema>(&mut self) -> Value {
        self.0.subschema_for::<T>().to_value()
    }

    /// One that somebody else makes.
    pub(super) fn by(&mut self, make: impl FnOnce(&mut SchemaGenerator) -> Schema) -> Value {
        make(&mut self.0).to_value()
    }

    /// All that was referred to, in the order of their names.
    pub(super) fn components(mut self) -> Value {
        let mut all: Vec<(String, Value)> = self.0.take_definitions(true).into_iter().collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        Value::Object(all.into_iter().collect::<Map<_, _>>())
    }
}

/// A list as OpenAI's API has it.
pub(super) fn list(item: &Value) -> Value {
    json!({
        "type": "object",
        "properties": {
            "object": { "const": "list" },
            "data": { "type": "array", "items": item },
            "first_id": { "type": ["string", "null"] },
            "last_id": { "type": ["string", "null"] },
            "has_more": { "type": "boolean" },
        },
        "required": ["object", "data", "first_id", "last_id", "has_more"],
    })
}

/// A list that also says which of its pages it is.
pub(super) fn page(item: &Value) -> Value {
    let mut list = list(item);
    let number = || json!({ "type": "integer", "minimum": 0 });
    list["properties"]["pagination"] = json!({
        "type": "object",
        "properties": {
            "page": number(),
            "per_page": number(),
            "total_items": number(),
            "total_pages": number(),
            "has_next": { "type": "boolean" },
            "has_prev": { "type": "boolean" },
        },
        "required": ["page", "per_page", "total_items", "total_pages", "has_next", "has_prev"],
    });
    list["required"] = json!(["object", "data", "first_id", "last_id", "has_more", "pagination"]);
    list
}

/// An object all of whose fields are always there.
pub(super) fn object(properties: &Value) -> Value {
    let names: Vec<String> =
        properties.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default();
    json!({ "type": "object", "properties": properties, "required": names })
}

/// A list in which nothing else is said.
pub(super) fn plain_list(item: &Value) -> Value {
    object(&json!({ "object": { "const": "list" }, "data": { "type": "array", "items": item } }))
}

/// What is answered once something has been deleted.
pub(super) fn deleted(object_name: &str, id: &Value) -> Value {
    object(&json!({ "id": id, "object": { "const": object_name }, "deleted": { "const": true } }))
}
