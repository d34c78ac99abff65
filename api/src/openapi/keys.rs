//! API keys, as far as the store knows them.

use drover_shared::schema::{Scope, limits};
use serde_json::{Value, json};

use super::bodies::{integer, paged, text};
use super::operation::{Operation, Tag};
use super::schemas::{Schemas, object, page};

pub(super) fn operations(_: &mut Schemas) -> Vec<Operation> {
    let key = key();
    let id = json!({ "type": "string", "pattern": "^key_[0-9a-f]{16}$" });
    let plain = |method, route, name, summary| Operation::new(Tag::Keys, method, route, name, summary);
    let one = |method, name, summary| {
        plain(method, "/v1/keys/{id}", name, summary).path_is("id", &id).refuses(&[404])
    };
    let change = |method, name| {
        one(method, name, "Changes a key: what is absent stays, and `null` lifts a limit.")
            .takes(&wish(false), false, &json!({ "requests_per_minute": 60 }))
            .answers(200, "The key.", &key)
    };
    let mut made = key.clone();
    made["properties"]["key"] =
        json!({ "type": "string", "description": "The secret, which is told this once." });
    vec![
        paged(plain("get", "/v1/keys", "list_keys", "Keys."), &text()).answers(200, "The keys.", &page(&key)),
        plain("post", "/v1/keys", "create_key", "Makes a key.")
            .takes(&wish(true), true, &json!({ "name": "laptop", "scopes": ["chat"] }))
            .answers(201, "The key, and its secret.", &made),
        one("get", "show_key", "A key.").answers(200, "The key.", &key),
        change("patch", "change_key"),
        change("post", "change_key_by_post"),
        one("delete", "revoke_key", "Revokes a key.").answers(
            200,
            "The key, which opens nothing more.",
            &key,
        ),
    ]
}

fn key() -> Value {
    let maybe = |kind: &str| json!({ "type": [kind, "null"] });
    object(&json!({
        "id": text(),
        "object": { "const": "api_key" },
        "name": text(),
        "status": { "enum": ["active", "expired", "revoked"] },
        "scopes": { "type": "array", "items": scope() },
        "requests_per_minute": maybe("integer"),
        "tokens_per_minute": maybe("integer"),
        "concurrent_jobs": maybe("integer"),
        "queued_jobs": maybe("integer"),
        "daily_budget_usd": maybe("number"),
        "monthly_budget_usd": maybe("number"),
        "priority": integer(),
        "created_at": integer(),
        "expires_at": maybe("integer"),
        "last_used_at": maybe("integer"),
        "revoked_at": maybe("integer"),
    }))
}

fn scope() -> Value {
    json!({ "enum": Scope::ALL.map(Scope::as_str) })
}

/// What a key is made or changed with. What is not listed is refused.
fn wish(required: bool) -> Value {
    let limit = json!({ "type": ["integer", "null"], "minimum": 1, "maximum": limits::KEY_LIMIT });
    let budget = json!({ "type": ["number", "string", "null"], "description": "US dollars." });
    let mut schema = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": limits::NAME_CHARS },
            "scopes": { "type": ["array", "null"], "items": scope(), "minItems": 1 },
            "requests_per_minute": limit,
            "tokens_per_minute": limit,
            "concurrent_jobs": limit,
            "queued_jobs": limit,
            "daily_budget_usd": budget,
            "monthly_budget_usd": budget,
            "priority": {
                "type": ["integer", "null"],
                "minimum": -limits::KEY_PRIORITY,
                "maximum": limits::KEY_PRIORITY,
            },
            "expires_at": { "type": ["integer", "null"], "description": "Seconds since 1970." },
        },
        "additionalProperties": false,
    });
    if required {
        schema["required"] = json!(["name"]);
    }
    schema
}
