//! `GET /v1/models` and `GET /v1/models/{id}`: what the fleet offers.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use drover_shared::schema::Fleet;
use serde::Serialize;

use crate::admission;
use crate::app::App;
use crate::error::Problem;

#[derive(Debug, Serialize)]
pub(crate) struct List {
    object: &'static str,
    data: Vec<Model>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Model {
    id: String,
    object: &'static str,
    /// Since when it is offered, in seconds since the Unix epoch.
    created: i64,
    owned_by: &'static str,
}

impl Model {
    fn new(app: &App, fleet: &Fleet, id: &str) -> Self {
        let offering = fleet.alive.iter().filter(|worker| worker.models.iter().any(|model| model == id));
        let since_ms = offering.map(|worker| worker.started_at_ms).min().unwrap_or(app.started_at_ms);
        Self { id: id.to_owned(), object: "model", created: since_ms.div_euclid(1_000), owned_by: "drover" }
    }
}

pub(crate) async fn list(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Json<List>, Problem> {
    app.keys.owner(&headers)?;
    let fleet = app.fleet.get().await?;
    let data = fleet.models.iter().map(|id| Model::new(&app, &fleet, id)).collect();
    Ok(Json(List { object: "list", data }))
}

pub(crate) async fn one(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Model>, Problem> {
    app.keys.owner(&headers)?;
    let fleet = app.fleet.get().await?;
    if !fleet.models.contains(&id) {
        return Err(admission::unknown_model(&fleet, &id).into());
    }
    Ok(Json(Model::new(&app, &fleet, &id)))
}
