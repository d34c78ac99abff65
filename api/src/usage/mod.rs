//! `/v1/usage`: what calls to providers were billed and have cost, and what they would have cost elsewhere. Every
//! key sees its own; one of the scope `admin` also another's, whose `key_id` it names.

mod compare;
mod query;
mod table;

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, body::Body};
use drover_shared::schema::{Dimension, Scope, Usage, UsageQuery, UsageRow};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::auth::Caller;
use crate::error::Problem;

pub(crate) use self::compare::compare;

const TRUNCATED: HeaderName = HeaderName::from_static("x-drover-truncated");

/// `GET /v1/usage`
pub(crate) async fn usage(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = query::read(query.as_deref(), caller.owner.clone(), app.clock.now_ms())?;
    if asked.of_another {
        caller.require(&[Scope::Admin])?;
    }
    let mut rows = app.store.usage(&asked.query).await?;
    let limit = asked.query.limit as usize;
    let truncated = rows.len() > limit;
    rows.truncate(limit);
    if asked.csv.unwrap_or_else(|| prefers_csv(&headers)) {
        return Ok(as_csv(&asked.query, &rows, truncated));
    }
    let total = UsageQuery { group_by: Vec::new(), limit: 1, ..asked.query.clone() };
    let total = app.store.usage(&total).await?.into_iter().next().unwrap_or_default();
    let UsageQuery { since_ms, until_ms, group_by, .. } = &asked.query;
    Ok(Json(json!({
        "object": "list",
        "data": rows.iter().map(row).collect::<Vec<_>>(),
        "total": row(&total),
        "start": since_ms.div_euclid(1_000),
        "end": until_ms.div_euclid(1_000),
        "group_by": group_by.iter().map(|dimension| dimension.name()).collect::<Vec<_>>(),
        "truncated": truncated,
    }))
    .into_response())
}

/// Whether a table is asked for: of the two kinds of answer, the one that the client names first is taken.
fn prefers_csv(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = ranges.flat_map(|ranges| ranges.split(',')).map(|range| {
        let kind = range.split(';').next().unwrap_or_default();
        kind.trim().to_ascii_lowercase()
    });
    kinds.find(|kind| kind == "text/csv" || kind == "application/json").is_some_and(|kind| kind == "text/csv")
}

/// A row as clients see it.
fn row(row: &UsageRow) -> Value {
    let group =
        row.group.iter().map(|(dimension, value)| (dimension.name().to_owned(), value.clone().into()));
    let mut object: Map<String, Value> = group.collect();
    object.insert("calls".to_owned(), row.calls.into());
    object.insert("failed_calls".to_owned(), row.failed_calls.into());
    if let Ok(Value::Object(figures)) = serde_json::to_value(Figures::from(row.usage)) {
        object.extend(figures);
    }
    object.into()
}

/// What was billed, with the cost also in dollars.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Figures {
    #[serde(flatten)]
    usage: Usage,
    /// US dollars, exactly.
    cost_usd: String,
}

impl From<Usage> for Figures {
    fn from(usage: Usage) -> Self {
        Self { usage, cost_usd: dollars(usage.cost_microusd) }
    }
}

/// Millionths of a US dollar as dollars, with six decimals.
pub(crate) fn dollars(microusd: u64) -> String {
    format!("{}.{:06}", microusd / 1_000_000, microusd % 1_000_000)
}

/// A table has no place to say that it was cut, so a header does.
fn as_csv(query: &UsageQuery, rows: &[UsageRow], truncated: bool) -> Response {
    let mut response = Response::new(Body::from(table::csv(&query.group_by, rows)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"usage.csv\""));
    if truncated {
        headers.insert(TRUNCATED, HeaderValue::from_static("true"));
    }
    response
}

/// The columns after the groups.
const COLUMNS: [&str; 11] = [
    "calls",
    "failed_calls",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "thinking_tokens",
    "web_searches",
    "cost_microusd",
    "unpriced_calls",
    "cost_usd",
];

/// The names of a table's columns.
fn columns(group_by: &[Dimension]) -> impl Iterator<Item = &'static str> {
    group_by.iter().map(|dimension| dimension.name()).chain(COLUMNS)
}
