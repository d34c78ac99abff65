//! `GET /v1/models`, `/v1/models/{id}` and `/v1/models/capabilities`: what the fleet offers.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use drover_shared::provider::resolve;
use drover_shared::provider::resolve::Resolved;
use drover_shared::schema::agent::AGENT_SUFFIX;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::admission;
use crate::app::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::fleet::View;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ModelList")]
pub(crate) struct List {
    object: &'static str,
    data: Vec<Model>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    id: String,
    object: &'static str,
    /// Since when it is offered, in seconds since the Unix epoch.
    created: i64,
    owned_by: &'static str,
}

impl Model {
    fn new(app: &App, view: &View, id: &str) -> Self {
        let since_ms = view.fleet.alive.iter().map(|worker| worker.started_at_ms).min();
        let since_ms = since_ms.unwrap_or(app.started_at_ms);
        Self { id: id.to_owned(), object: "model", created: since_ms.div_euclid(1_000), owned_by: "drover" }
    }
}

pub(crate) async fn list(State(app): State<Arc<App>>, _caller: Caller) -> Result<Json<List>, Problem> {
    let view = app.fleet.get().await?;
    let data = names(&view).iter().map(|id| Model::new(&app, &view, id)).collect();
    Ok(Json(List { object: "list", data }))
}

/// Every name that may be asked for. Where agents can run, a model that calls tools has two: programs that let their
/// user choose a model, and nothing else, offer the agent with it.
fn names(view: &View) -> Vec<String> {
    let mut names = Vec::new();
    for name in &view.models {
        names.push(name.clone());
        let agents = format!("{name}{AGENT_SUFFIX}");
        let calls_tools = resolve(&view.offer, name).is_some_and(|model| model.abilities.tools);
        if view.offer.agents.is_some() && calls_tools && !view.models.contains(&agents) {
            names.push(agents);
        }
    }
    names
}

pub(crate) async fn one(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _caller: Caller,
) -> Result<Json<Model>, Problem> {
    let view = app.fleet.get().await?;
    if resolve(&view.offer, &id).is_none() && !names(&view).contains(&id) {
        return Err(admission::unknown_model(&view, &id).into());
    }
    Ok(Json(Model::new(&app, &view, &id)))
}

/// `GET /v1/models/capabilities`: what each model that is offered can do, who serves it, and what that costs.
pub(crate) async fn capabilities(
    State(app): State<Arc<App>>,
    _caller: Caller,
) -> Result<Json<Value>, Problem> {
    let view = app.fleet.get().await?;
    let offered =
        view.models.iter().filter_map(|name| resolve(&view.offer, name).filter(|it| it.id == *name));
    let data: Vec<Value> = offered.map(|model| capability(&view, &model)).collect();
    Ok(Json(json!({
        "object": "list",
        "data": data,
        "default_model": view.offer.default_model,
        "prices": view.offer.prices,
    })))
}

fn capability(view: &View, model: &Resolved) -> Value {
    let aliases = view.offer.aliases.iter().filter(|(_, id)| **id == model.id).map(|(alias, _)| alias);
    let routes = model.routes.iter().map(|route| {
        json!({
            "provider": route.provider,
            "model": route.model,
            "weight": route.weight,
            "price_microusd_per_million": route.tariff,
        })
    });
    json!({
        "id": model.id,
        "object": "model.capabilities",
        "aliases": aliases.collect::<Vec<_>>(),
        "context_tokens": model.abilities.context_tokens,
        "output_tokens": model.abilities.output_tokens,
        "vision": model.abilities.vision,
        "tools": model.abilities.tools,
        "thinking": model.abilities.thinking,
        "policy": model.policy,
        "routes": routes.collect::<Vec<_>>(),
    })
}
