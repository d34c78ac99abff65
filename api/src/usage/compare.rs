//! `GET /v1/usage/comparison`: what the last days would have cost elsewhere.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use drover_shared::provider::comparison::{Alternative, Comparison};
use drover_shared::schema::{Dimension, Owner, ProjectId, UsageQuery, limits};
use serde_json::{Value, json};

use super::{dollars, query};
use crate::app::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::resource::parameters::{count, parameters, unknown};

/// Days that are compared unless it is told.
const USUAL_DAYS: u32 = 30;
/// Alternatives that are told for each model.
const ALTERNATIVES: usize = 10;

/// `GET /v1/usage/comparison?days=N&project_id=…`
pub(crate) async fn compare(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    Caller { owner, .. }: Caller,
) -> Result<Json<Value>, Problem> {
    let (days, query) = read(query.as_deref(), owner, app.clock.now_ms())?;
    let view = app.fleet.get().await?;
    let rows = app.store.usage(&query).await?;
    let used = rows.into_iter().filter_map(|row| Some((row.group.into_iter().next()?.1?, row.usage)));
    let compared: Vec<Comparison> =
        used.filter_map(|(model, usage)| Comparison::of(&view.offer, &model, usage)).collect();
    Ok(Json(json!({
        "object": "usage.comparison",
        "days": days,
        "data": compared.iter().map(one).collect::<Vec<_>>(),
        "prices": view.offer.prices,
        "note": "The same tokens at list prices, the price for long prompts left out. Quality is not compared: another \
                 model may need more tokens, or do the task worse.",
    })))
}

fn read(query: Option<&str>, owner: Owner, now: i64) -> Result<(u32, UsageQuery), Problem> {
    let (mut days, mut only) = (USUAL_DAYS, Vec::new());
    for (name, value) in parameters(query)? {
        match name.as_str() {
            "days" => days = count(&name, &value, limits::COMPARISON_DAYS)?,
            "project_id" => only.push((Dimension::Project, query::id::<ProjectId>(&name, &value)?)),
            _ => return Err(unknown(&name).into()),
        }
    }
    let query = UsageQuery {
        owner: Some(owner),
        since_ms: now - i64::from(days) * 86_400_000,
        until_ms: now + 1,
        only,
        group_by: vec![Dimension::Model],
        limit: limits::USAGE_ROWS_USUAL,
    };
    Ok((days, query))
}

fn one(compared: &Comparison) -> Value {
    let list = |all: &[Alternative]| all.iter().take(ALTERNATIVES).map(alternative).collect::<Vec<_>>();
    json!({
        "model": compared.model,
        "usage": super::Figures::from(compared.usage),
        "same_model": list(&compared.same_model),
        "other_models": list(&compared.other_models),
        "recommendation": compared.recommendation().map(alternative),
        "cheapest_other_model": compared.cheapest_other().map(alternative),
    })
}

fn alternative(it: &Alternative) -> Value {
    json!({
        "model": it.model,
        "provider": it.provider,
        "has_key": it.has_key,
        "cost_microusd": it.cost_microusd,
        "cost_usd": dollars(it.cost_microusd),
    })
}
