//! Every error answer on its way out. A handler returns a [`Problem`]; the envelope around all routes
//! writes it in the dialect's shape, so there is one place where errors become bytes.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, Response, StatusCode};
use axum::response::IntoResponse;
use drover_shared::dialect::{Dialect, Rejection};
use drover_shared::schema::limits;
use drover_shared::store::StoreError;

use crate::metrics;

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Why a request is answered with an error.
#[derive(Clone, Debug)]
pub(crate) struct Problem(pub(crate) Rejection);

impl Problem {
    /// 500: our own fault. The reason is in the log, not in the answer.
    pub(crate) fn internal() -> Self {
        Self(Rejection::new(500, "internal_error", "Drover has failed to answer. The fault is logged."))
    }

    /// 503: this api is about to leave.
    pub(crate) fn leaving() -> Self {
        Self(
            Rejection::new(503, "shutting_down", "This server is shutting down.")
                .retry_after_ms(try_again_ms()),
        )
    }

    /// 408: a body that comes too slowly.
    pub(crate) fn slow_body() -> Self {
        Self(Rejection::new(408, "request_timeout", "The request body took too long to arrive."))
    }

    /// 404: no such job, or not this owner's.
    pub(crate) fn no_such_job(id: &str) -> Self {
        let id: String = id.chars().take(64).collect();
        Self(Rejection::new(404, "job_not_found", format!("No job with id '{id}' was found.")))
    }

    /// 404: no such session, not in that project, or not this owner's.
    pub(crate) fn no_such_session() -> Self {
        Self(Rejection::new(404, "session_not_found", "No such session was found in this project."))
    }

    /// 404: it does not exist, or is another key's.
    pub(crate) fn no_such_project() -> Self {
        Self(Rejection::new(404, "project_not_found", "No such project was found."))
    }

    /// Any error status that some layer below gave without saying more.
    pub(crate) fn bare(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or("Error");
        let code = if status.is_server_error() { "internal_error" } else { "invalid_request" };
        Self(Rejection::new(status.as_u16(), code, format!("{reason}.")))
    }
}

/// What a client is told to wait, in milliseconds.
pub(crate) fn try_again_ms() -> u64 {
    limits::TRY_AGAIN.as_millis().try_into().unwrap_or(u64::MAX)
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        Self(rejection)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store has failed a request");
        match error {
            StoreError::Unavailable(_) => Self(
                Rejection::new(503, "store_unavailable", "The job store cannot be used right now.")
                    .retry_after_ms(try_again_ms()),
            ),
            StoreError::Corrupt(_) => Self::internal(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives an error response its body and headers; others pass as they are, and so does JSON that a handler
/// of ours has written to go with an error status.
pub(crate) fn write(mut response: Response<Body>, dialect: &dyn Dialect) -> Response<Body> {
    let status = response.status();
    let bare = (status.is_client_error() || status.is_server_error())
        && response.headers().get(CONTENT_TYPE).is_none_or(|kind| kind != "application/json");
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None if bare => Problem::bare(status),
        None => return response,
    };
    metrics::refused(&problem.0);
    let headers = response.headers_mut();
    headers.remove(axum::http::header::CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    retry_headers(headers, &problem.0);
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    *response.body_mut() = Body::from(dialect.error(&problem.0));
    response
}

fn retry_headers(headers: &mut HeaderMap, rejection: &Rejection) {
    if let Some(ms) = rejection.retry_after_ms {
        // SDKs wait only for what is above zero, and whole seconds are what the header may hold.
        headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000).max(1)));
        headers.insert(RETRY_AFTER_MS, HeaderValue::from(ms.max(1)));
    }
    if let Some(retry) = rejection.should_retry {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static(if retry { "true" } else { "false" }));
    }
}
