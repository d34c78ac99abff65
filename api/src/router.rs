//! Every route there is.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Router, middleware};
use drover_shared::dialect::{Dialect, Rejection};
use drover_shared::schema::Scope;

use crate::app::App;
use crate::auth::Caller;
use crate::envelope::{self, Ticket};
use crate::error::Problem;
use crate::projects::files;
use crate::socket;
use crate::{
    completions, cors, events, generate, head, health, jobs, keys, models, openapi, projects, providers,
    reference, results, sessions, uploads, usage,
};

/// Who may use which routes: the first line with whose beginning a route begins counts, and a key needs one of its
/// scopes. What stands in no line is for `admin` alone. Routes that nobody needs a key for do not ask for a caller.
const SCOPES: &[(&str, &[Scope])] = &[
    ("/v1/chat/", &[Scope::Chat]),
    ("/v1/files", &[Scope::Chat]),
    ("/v1/projects", &[Scope::Chat]),
    ("/v1/sessions", &[Scope::Chat]),
    // Whoever may ask for an answer may fetch it and call it off.
    ("/v1/jobs/{id}/result", &[Scope::Chat, Scope::Jobs]),
    ("/v1/jobs/{id}/cancel", &[Scope::Chat, Scope::Jobs]),
    ("/v1/jobs", &[Scope::Jobs]),
    // What is asked for over it needs the scope of the route that does the same.
    ("/v1/ws", &[Scope::Chat, Scope::Jobs]),
    ("/v1/models", &Scope::ALL),
    ("/v1/usage", &Scope::ALL),
    ("/v1/keys", &[Scope::Admin]),
    ("/v1/providers", &[Scope::Admin]),
];

/// The scopes one of which a route asks for.
pub(crate) fn scopes(route: &str) -> &'static [Scope] {
    let line = SCOPES.iter().find(|(beginning, _)| route.starts_with(beginning));
    line.map_or(&[Scope::Admin], |(_, scopes)| scopes)
}

pub(crate) fn router(app: &Arc<App>) -> Router {
    let Routes { router, .. } = routes(app.dialect);
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(head::check))
        .layer(middleware::from_fn_with_state(Arc::clone(app), envelope::around))
        .layer(middleware::from_fn_with_state(Arc::clone(app), cors::around))
        .with_state(Arc::clone(app))
}

/// The paths of all routes.
#[cfg(test)]
pub(crate) fn paths() -> Vec<&'static str> {
    routes(&drover_shared::dialect::openai_chat::OpenAiChat).paths
}

/// Routes, and their paths beside them, since a router does not tell.
#[derive(Default)]
struct Routes {
    router: Router<Arc<App>>,
    #[cfg_attr(not(test), allow(dead_code, reason = "the description is held against them"))]
    paths: Vec<&'static str>,
}

impl Routes {
    fn route(mut self, path: &'static str, methods: MethodRouter<Arc<App>>) -> Self {
        self.paths.push(path);
        Self { router: self.router.route(path, methods), ..self }
    }
}

fn routes(dialect: &'static dyn Dialect) -> Routes {
    Routes::default()
        .route("/", get(health::root))
        .route("/health", get(health::health))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/openapi.json", get(openapi::show))
        .route("/docs", get(reference::page))
        .route("/docs/{asset}", get(reference::asset))
        .route("/v1/chat/completions", generate_in(dialect).get(completions::list))
        .route(
            "/v1/chat/completions/{id}",
            get(completions::show).post(completions::label).delete(completions::delete),
        )
        .route("/v1/chat/completions/{id}/messages", get(completions::messages))
        .route("/v1/files", post(uploads::upload).get(uploads::list))
        .route("/v1/files/{id}", get(uploads::show).delete(uploads::delete))
        .route("/v1/files/{id}/content", get(uploads::content))
        .route("/v1/models", get(models::list))
        .route("/v1/models/capabilities", get(models::capabilities))
        .route("/v1/models/{*id}", get(models::one))
        .route("/v1/keys", get(keys::list).post(keys::create))
        .route("/v1/keys/{id}", get(keys::show).patch(keys::change).post(keys::change).delete(keys::revoke))
        .route("/v1/providers", get(providers::list))
        .route("/v1/usage", get(usage::usage))
        .route("/v1/usage/comparison", get(usage::compare))
        .route("/v1/projects", get(projects::list).post(projects::create))
        .route(
            "/v1/projects/{id}",
            get(projects::show).patch(projects::change).post(projects::change).delete(projects::delete),
        )
        .route("/v1/sessions", get(sessions::list).post(sessions::create))
        .route("/v1/sessions/stats", get(sessions::stats))
        .route(
            "/v1/sessions/{id}",
            get(sessions::show).patch(sessions::change).post(sessions::change).delete(sessions::delete),
        )
        .route("/v1/sessions/{id}/history", get(sessions::history))
        .route("/v1/sessions/{id}/export", get(sessions::export))
        .route("/v1/sessions/{id}/fork", post(sessions::fork))
        .route("/v1/jobs", get(jobs::list))
        .route("/v1/jobs/{id}", get(jobs::show).delete(jobs::delete))
        .route("/v1/jobs/{id}/events", get(events::stream))
        .route("/v1/jobs/{id}/result", get(results::show))
        .route("/v1/jobs/{id}/cancel", post(jobs::cancel))
        .route("/v1/ws", get(socket::open))
        .route("/v1/ws/tickets", post(socket::ticket))
        .route("/v1/jobs/{id}/retry", post(jobs::retry))
        .route("/v1/projects/{id}/archive", get(files::archive))
        .route("/v1/projects/{id}/files", get(files::list).post(files::upload_several))
        .route(
            "/v1/projects/{id}/files/{*path}",
            get(files::download).put(files::upload).delete(files::remove),
        )
}

/// The generating route in one dialect.
fn generate_in(dialect: &'static dyn Dialect) -> MethodRouter<Arc<App>> {
    post(
        move |State(app): State<Arc<App>>,
              Extension(ticket): Extension<Arc<Ticket>>,
              caller: Caller,
              request: Request| async move {
            generate::answer(dialect, &app, &ticket, caller, request).await
        },
    )
}

async fn unknown_route(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem(Rejection::new(404, "unknown_url", format!("Invalid URL ({method} {path})")))
}

/// axum adds `Allow` to whatever this answers.
async fn wrong_method(method: Method, uri: Uri) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let path: String = uri.path().chars().take(200).collect();
    let message = format!("{method} is not allowed on {path}.");
    Problem(Rejection::new(405, "method_not_allowed", message)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_nowhere_is_for_admins() {
        for (route, expected) in [
            ("/v1/chat/completions", &[Scope::Chat][..]),
            ("/v1/jobs/{id}/result", &[Scope::Chat, Scope::Jobs]),
            ("/v1/jobs/{id}/events", &[Scope::Jobs]),
            ("/v1/models/{*id}", &Scope::ALL),
            ("/v1/providers", &[Scope::Admin]),
            ("/v1/something/new", &[Scope::Admin]),
            ("", &[Scope::Admin]),
        ] {
            assert_eq!(scopes(route), expected, "{route}");
        }
    }
}
