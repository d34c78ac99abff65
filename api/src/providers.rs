//! `GET /v1/providers`: who serves the models, and how they do.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use drover_shared::schema::offer::{KeyHealth, Provider, ProviderHealth, ProviderState};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::fleet::View;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ProviderReport")]
pub(crate) struct Body<'a> {
    id: &'a str,
    object: &'static str,
    name: &'a str,
    /// `ready`, `resting`, `no_key`, or `unknown` while no worker that has a key for it lives.
    state: &'static str,
    /// Keys that a worker has for it.
    keys: u32,
    /// How each worker's keys do.
    key_states: Vec<&'a KeyHealth>,
    /// From call to first byte, in milliseconds, as the worker sees it that has asked most.
    first_byte_ms: Option<u32>,
    /// Calls since the workers started.
    calls: u64,
    failures: u64,
    /// The models that it serves, by the names that clients know.
    models: Vec<&'a str>,
}

/// `GET /v1/providers`
pub(crate) async fn list(State(app): State<Arc<App>>, _caller: Caller) -> Result<Json<Value>, Problem> {
    let view = app.fleet.get().await?;
    let data: Vec<Body> = view.offer.providers.iter().map(|provider| body(&view, provider)).collect();
    Ok(Json(json!({ "object": "list", "data": data })))
}

fn body<'a>(view: &'a View, provider: &'a Provider) -> Body<'a> {
    let health: Vec<&ProviderHealth> = view
        .fleet
        .alive
        .iter()
        .flat_map(|worker| &worker.providers)
        .filter(|it| it.id == provider.id)
        .collect();
    let models =
        view.offer.models.iter().filter(|model| model.routes.iter().any(|it| it.provider == provider.id));
    Body {
        id: &provider.id,
        object: "provider",
        name: &provider.name,
        state: state(provider, &health),
        keys: provider.keys,
        key_states: health.iter().flat_map(|it| &it.keys).collect(),
        first_byte_ms: health.iter().max_by_key(|it| it.calls).and_then(|it| it.first_byte_ms),
        calls: health.iter().map(|it| it.calls).sum(),
        failures: health.iter().map(|it| it.failures).sum(),
        models: models.map(|model| model.id.as_str()).collect(),
    }
}

/// The best that any worker says: a job that one refuses another takes.
fn state(provider: &Provider, health: &[&ProviderHealth]) -> &'static str {
    let any = |state| health.iter().any(|it| it.state == state);
    if any(ProviderState::Ready) {
        "ready"
    } else if any(ProviderState::Resting) {
        "resting"
    } else if provider.keys == 0 || any(ProviderState::NoKey) {
        "no_key"
    } else {
        "unknown"
    }
}
