//! Is it alive, is it ready, how is it doing. None of these needs a key; without one, only sums are told.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use drover_shared::schema::{PoolReport, Scope, Scopes, WorkerReport};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::error::Problem;
use crate::fleet::View;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `GET /`: where to go.
pub(crate) async fn root() -> Json<Value> {
    Json(json!({
        "name": "drover",
        "version": VERSION,
        "health": "/health",
        "openapi": "/openapi.json",
        "docs": "/docs",
        "models": "/v1/models",
        "chat_completions": "/v1/chat/completions",
        "jobs": "/v1/jobs/{id}",
    }))
}

/// `GET /livez`: the process answers.
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: requests can be taken.
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    if app.shutdown.is_cancelled() {
        return Err(Problem::leaving());
    }
    app.store.ready().await?;
    Ok("ok\n")
}

/// The figures of `GET /health`; all of the fleet's come from the workers' heartbeats.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Health {
    /// `healthy`, `degraded` (no worker lives), `draining` or `unhealthy` (no store).
    status: &'static str,
    version: &'static str,
    claude_version: Option<String>,
    active_sessions: u64,
    claude_processes: u64,
    zombie_processes_cleaned: u64,
    /// Sums over the workers.
    pool: PoolReport,
    queue: Queue,
    workers_alive: usize,
    /// One entry per living worker; for callers with a key. How the providers do, and with which of their keys, is told to
    /// the scope admin alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<Vec<WorkerReport>>,
    /// What the fleet offers; for callers with a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<Vec<String>>,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Queue {
    queued: u64,
    /// Jobs whose time (`run_at`) has not come.
    scheduled: u64,
    running: u64,
    oldest_queued_ms: Option<u64>,
}

/// `GET /health`: 503 when the store cannot be read, else 200.
pub(crate) async fn health(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let scopes = app.keys.caller(&headers).await.ok().map(|caller| caller.scopes);
    match app.fleet.get().await {
        Ok(view) => Json(Health::new(&view, scopes, app.shutdown.is_cancelled())).into_response(),
        Err(error) => {
            tracing::warn!(%error, "health cannot be told");
            let unhealthy = Health { status: "unhealthy", ..Health::new(&View::default(), scopes, false) };
            (StatusCode::SERVICE_UNAVAILABLE, Json(unhealthy)).into_response()
        }
    }
}

impl Health {
    /// As it is told to somebody with these scopes, or to a stranger.
    fn new(view: &View, scopes: Option<Scopes>, draining: bool) -> Self {
        let View { fleet, models, .. } = view;
        let sum = |count: fn(&WorkerReport) -> u64| fleet.alive.iter().map(count).sum();
        let status = match fleet.alive.len() {
            _ if draining => "draining",
            0 => "degraded",
            _ => "healthy",
        };
        Self {
            status,
            version: VERSION,
            claude_version: fleet.alive.iter().find_map(|worker| worker.claude_version.clone()),
            active_sessions: sum(|worker| worker.active_jobs.into()),
            claude_processes: sum(|worker| worker.claude_processes.into()),
            zombie_processes_cleaned: sum(|worker| worker.zombie_processes_cleaned),
            pool: fleet.alive.iter().map(|worker| worker.pool).sum(),
            queue: Queue {
                queued: fleet.queued,
                scheduled: fleet.scheduled,
                running: fleet.running,
                oldest_queued_ms: fleet.oldest_queued_ms,
            },
            workers_alive: fleet.alive.len(),
            workers: scopes.map(|scopes| fleet.alive.iter().map(|report| shown(report, scopes)).collect()),
            models: scopes.map(|_| models.clone()),
        }
    }
}

/// A worker's report without what is the house's own.
fn shown(report: &WorkerReport, scopes: Scopes) -> WorkerReport {
    let mut report = report.clone();
    if !scopes.contains(Scope::Admin) {
        report.providers.clear();
    }
    report
}
