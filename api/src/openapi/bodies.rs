//! What recurs: kinds of parameters, and bodies that handlers put together field by field.

use drover_shared::schema::limits;
use drover_shared::schema::offer::{Policy, PriceSource, Tariff, Thinking};
use drover_shared::schema::{ProjectId, SessionId};
use serde_json::{Value, json};

use super::operation::Operation;
use super::schemas::{Schemas, object};
use crate::usage::Figures;

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

pub(super) fn integer() -> Value {
    json!({ "type": "integer" })
}

pub(super) fn yes_or_no() -> Value {
    json!({ "enum": ["true", "false", "1", "0"] })
}

/// A number of items, from 1 on.
pub(super) fn count(most: u32, usual: u32) -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": most, "default": usual })
}

pub(super) fn maybe(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// The parameters of a list from an item on.
pub(super) fn listed(operation: Operation, id: &Value, most: u32, usual: u32) -> Operation {
    operation
        .query("after", id, "Only what stands behind this item.")
        .query("limit", &count(most, usual), "So many items at most.")
        .query("order", &json!({ "enum": ["asc", "desc"] }), "The oldest or the latest first.")
}

/// The same of a list that has pages with numbers, too.
pub(super) fn paged(operation: Operation, id: &Value) -> Operation {
    listed(operation, id, limits::PAGE, limits::PAGE_USUAL)
        .query("page", &json!({ "type": "integer", "minimum": 1 }), "Which page; not with `after`.")
        .query("per_page", &count(limits::PAGE, limits::PAGE_USUAL), "`limit` by another name.")
}

pub(super) fn project(schemas: &mut Schemas) -> Value {
    object(&json!({
        "id": schemas.of::<ProjectId>(),
        "object": { "const": "project" },
        "name": text(),
        "description": text(),
        "path": { "type": "null" },
        "network": { "type": "array", "items": text() },
        "created_at": moment(),
        "updated_at": moment(),
        "is_active": { "const": true },
    }))
}

/// What a project is made or changed with. What is not listed is refused.
pub(super) fn project_change(required: bool) -> Value {
    let mut schema = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": limits::NAME_CHARS },
            "description": { "type": ["string", "null"], "maxLength": limits::DESCRIPTION_CHARS },
            "network": {
                "type": ["array", "null"],
                "items": { "type": "string" },
                "maxItems": limits::NETWORK_RULES,
                "description": "Hosts that its agents may reach: `example.org`, `*.example.org`, with or without a port.",
            },
            "path": { "type": "null", "description": "Refused: where a project lies is the server's affair." },
        },
        "additionalProperties": false,
    });
    if required {
        schema["required"] = json!(["name"]);
    }
    schema
}

pub(super) fn session(schemas: &mut Schemas) -> Value {
    object(&json!({
        "id": schemas.of::<SessionId>(),
        "object": { "const": "session" },
        "project_id": maybe(&schemas.of::<ProjectId>()),
        "title": text(),
        "model": { "type": ["string", "null"] },
        "system_prompt": { "type": ["string", "null"] },
        "created_at": moment(),
        "updated_at": moment(),
        "is_active": { "const": true },
        "total_tokens": integer(),
        "total_cost": { "type": "number", "description": "US dollars." },
        "message_count": integer(),
    }))
}

/// What a session is made or changed with; `project_id` only when it is made.
pub(super) fn session_change(project: Option<Value>) -> Value {
    let mut schema = json!({
        "type": "object",
        "properties": {
            "title": { "type": ["string", "null"], "maxLength": limits::NAME_CHARS },
            "model": { "type": ["string", "null"], "minLength": 1, "maxLength": limits::MODEL_NAME_BYTES },
            "system_prompt": { "type": ["string", "null"] },
        },
        "additionalProperties": false,
    });
    if let Some(project) = project {
        schema["properties"]["project_id"] = maybe(&project);
    }
    schema
}

/// RFC 3339.
pub(super) fn moment() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

/// A message of the Chat Completions API, as a history tells it.
pub(super) fn message() -> Value {
    json!({
        "type": "object",
        "properties": {
            "role": { "enum": ["system", "user", "assistant", "tool"] },
            "content": { "type": ["string", "array", "null"] },
            "tool_calls": { "type": "array", "items": { "type": "object" } },
            "tool_call_id": { "type": "string" },
        },
        "required": ["role", "content"],
    })
}

pub(super) fn capability(schemas: &mut Schemas) -> Value {
    object(&json!({
        "id": text(),
        "object": { "const": "model.capabilities" },
        "aliases": { "type": "array", "items": text() },
        "context_tokens": { "type": ["integer", "null"] },
        "output_tokens": { "type": ["integer", "null"] },
        "vision": { "type": "boolean" },
        "tools": { "type": "boolean" },
        "thinking": schemas.of::<Thinking>(),
        "policy": schemas.of::<Policy>(),
        "routes": { "type": "array", "items": object(&json!({
            "provider": text(),
            "model": text(),
            "weight": integer(),
            "price_microusd_per_million": maybe(&schemas.of::<Tariff>()),
        })) },
    }))
}

/// A row of the ledger's sums: a field for each of `group_by`, and the figures.
pub(super) fn usage_row(schemas: &mut Schemas) -> Value {
    json!({ "allOf": [
        object(&json!({ "calls": integer(), "failed_calls": integer() })),
        schemas.of::<Figures>(),
    ]})
}

pub(super) fn comparison(schemas: &mut Schemas) -> Value {
    let alternative = object(&json!({
        "model": text(),
        "provider": text(),
        "has_key": { "type": "boolean" },
        "cost_microusd": integer(),
        "cost_usd": text(),
    }));
    let alternatives = json!({ "type": "array", "items": alternative });
    let one = object(&json!({
        "model": text(),
        "usage": schemas.of::<Figures>(),
        "same_model": alternatives,
        "other_models": alternatives,
        "recommendation": maybe(&alternative),
        "cheapest_other_model": maybe(&alternative),
    }));
    object(&json!({
        "object": { "const": "usage.comparison" },
        "days": integer(),
        "data": { "type": "array", "items": one },
        "prices": schemas.of::<PriceSource>(),
        "note": text(),
    }))
}
