//! Models, providers, what they cost; and the server itself.

use drover_shared::schema::offer::PriceSource;
use drover_shared::schema::{Dimension, JobId, ProjectId, SessionId, limits};
use serde_json::json;

use super::bodies::{capability, comparison, count, integer, text, usage_row};
use super::operation::{Operation, Tag};
use super::schemas::{Schemas, object, plain_list};
use crate::{health, models, providers};

pub(super) fn operations(schemas: &mut Schemas) -> Vec<Operation> {
    let mut all = offered(schemas);
    all.extend(billed(schemas));
    all.extend(server(schemas));
    all
}

fn offered(schemas: &mut Schemas) -> Vec<Operation> {
    let plain = |route, name, summary| Operation::new(Tag::Models, "get", route, name, summary);
    let capabilities = object(&json!({
        "object": { "const": "list" },
        "data": { "type": "array", "items": capability(schemas) },
        "default_model": { "type": ["string", "null"] },
        "prices": schemas.of::<PriceSource>(),
    }));
    vec![
        plain("/v1/models", "list_models", "Every model that may be asked for.").answers(
            200,
            "The models.",
            &schemas.of::<models::List>(),
        ),
        plain("/v1/models/capabilities", "list_capabilities", "What each model can do, and what it costs.")
            .answers(200, "The capabilities.", &capabilities),
        plain("/v1/models/{*id}", "show_model", "A model.")
            .path_is("id", &json!({ "type": "string", "minLength": 1, "description": "May hold slashes." }))
            .refuses(&[404])
            .answers(200, "The model.", &schemas.of::<models::Model>()),
        plain("/v1/providers", "list_providers", "Who serves the models, and how they do.").answers(
            200,
            "The providers.",
            &plain_list(&schemas.of::<providers::Body>()),
        ),
    ]
}

fn billed(schemas: &mut Schemas) -> Vec<Operation> {
    let plain = |route, name, summary| Operation::new(Tag::Usage, "get", route, name, summary);
    let row = usage_row(schemas);
    let moment = json!({ "type": "string", "pattern": "^([0-9]{1,10}|[0-9]{4}-[0-9]{2}-[0-9]{2})$" });
    let dimensions = Dimension::ALL.map(Dimension::name);
    let sums = object(&json!({
        "object": { "const": "list" },
        "data": { "type": "array", "items": row },
        "total": row,
        "start": integer(),
        "end": integer(),
        "group_by": { "type": "array", "items": { "enum": dimensions } },
        "truncated": { "type": "boolean" },
    }));
    let groups = dimensions.join("|");
    let groups = json!({ "type": "string", "pattern": format!("^(({groups})?(,({groups})?)*)$") });
    vec![
        plain("/v1/usage", "sum_usage", "What calls to providers were billed and have cost.")
            .query("start", &moment, "Seconds since 1970, or a day; 30 days ago, if it is absent.")
            .query("end", &moment, "Likewise; a day is part of it.")
            .query("group_by", &groups, "A list of what rows are told apart by.")
            .query("limit", &count(limits::USAGE_ROWS, limits::USAGE_ROWS_USUAL), "So many rows at most.")
            .query("format", &json!({ "enum": ["json", "csv"] }), "Wins over `Accept`.")
            .query("key_id", &text(), "Calls of this key; needs the scope admin.")
            .query("model", &text(), "Only calls of this model.")
            .query("provider", &text(), "Only calls to this provider.")
            .query("job_id", &schemas.of::<JobId>(), "Only calls of this job.")
            .query("session_id", &schemas.of::<SessionId>(), "Only calls of this session.")
            .query("project_id", &schemas.of::<ProjectId>(), "Only calls of this project.")
            .answers_content(
                200,
                "The rows, and their sum.",
                &json!({ "application/json": { "schema": sums }, "text/csv": { "schema": text() } }),
            ),
        plain("/v1/usage/comparison", "compare_usage", "What the last days would have cost elsewhere.")
            .query("days", &count(limits::COMPARISON_DAYS, 30), "How many.")
            .query("project_id", &schemas.of::<ProjectId>(), "Only calls of this project.")
            .answers(200, "The comparison.", &comparison(schemas)),
    ]
}

fn server(schemas: &mut Schemas) -> Vec<Operation> {
    let plain = |route, name, summary| Operation::new(Tag::Server, "get", route, name, summary).open();
    let health = schemas.of::<health::Health>();
    let plain_text = json!({ "text/plain": { "schema": text() } });
    let page = json!({ "text/html": { "schema": text() } });
    vec![
        plain("/", "show_root", "Where to go.").answers(
            200,
            "Paths of other routes, by name.",
            &json!({ "type": "object", "additionalProperties": text() }),
        ),
        plain("/health", "show_health", "How the fleet does; in detail for callers with a key.")
            .answers(200, "It serves.", &health)
            .answers(503, "The store cannot be read.", &health),
        plain("/livez", "is_alive", "Whether the process answers.").answers_content(
            200,
            "It does.",
            &plain_text,
        ),
        plain("/readyz", "is_ready", "Whether requests can be taken.").refuses(&[503]).answers_content(
            200,
            "They can.",
            &plain_text,
        ),
        plain("/openapi.json", "show_description", "This document.").answers(
            200,
            "The document.",
            &json!({ "type": "object", "required": ["openapi", "paths"] }),
        ),
        plain("/docs", "show_reference", "This document for people, to try things out.").answers_content(
            200,
            "The page.",
            &page,
        ),
        plain("/docs/{asset}", "show_reference_asset", "What that page is made of.")
            .path_is("asset", &text())
            .refuses(&[404])
            .answers_content(
                200,
                "A script or a style sheet.",
                &json!({
                    "text/javascript": { "schema": text() },
                    "text/css": { "schema": text() },
                }),
            ),
    ]
}
