//! What surrounds every request: its id, the headers all answers have, the shape of errors, panics, and
//! the one line in the log.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use drover_shared::schema::JobId;
use futures_util::FutureExt as _;
use tokio::time::Instant;
use uuid::Uuid;

use crate::app::App;
use crate::error::{self, Problem};
use crate::unwanted;

pub(crate) const JOB_ID: HeaderName = HeaderName::from_static("x-drover-job-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const OPENAI_VERSION: HeaderName = HeaderName::from_static("openai-version");
const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");
/// What the log says of a request whose client left before there was an answer (nginx's number).
const CLIENT_GONE: u16 = 499;

/// One request. Writes its line into the log when it is dropped, so that a request whose client leaves
/// early has one too.
pub(crate) struct Ticket {
    id: String,
    method: String,
    route: String,
    started: Instant,
    job: OnceLock<JobId>,
    status: OnceLock<u16>,
}

impl Ticket {
    fn new(request: &Request) -> Self {
        let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        Self {
            id: format!("req_{}", Uuid::new_v4().simple()),
            method: request.method().to_string(),
            route: matched.unwrap_or("-").to_owned(),
            started: Instant::now(),
            job: OnceLock::new(),
            status: OnceLock::new(),
        }
    }

    /// The request is about this job; from now on log and answer name it.
    pub(crate) fn concerns(&self, job: JobId) {
        // A request concerns one job; the first to say so is right.
        let _ = self.job.set(job);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        tracing::info!(
            method = %self.method,
            route = %self.route,
            status = self.status.get().copied().unwrap_or(CLIENT_GONE),
            ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            request = %self.id,
            job = self.job.get().map(tracing::field::display),
            "request"
        );
    }
}

/// The outermost layer.
pub(crate) async fn around(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let ticket = Arc::new(Ticket::new(&request));
    request.extensions_mut().insert(Arc::clone(&ticket));
    let (request, leftover) = unwanted::watch(request);
    let response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_panic) => {
            tracing::error!(request = %ticket.id, route = %ticket.route, "a handler has panicked");
            Problem::internal().into_response()
        }
    };
    // Who was too slow to send it will not be waited for again.
    if !response.status().is_success() && response.status() != StatusCode::REQUEST_TIMEOUT {
        leftover.discard().await;
    }
    let mut response = error::write(response, app.dialect);
    common_headers(&mut response, &ticket);
    // Set once: nothing else knows the status.
    let _ = ticket.status.set(response.status().as_u16());
    response
}

fn common_headers(response: &mut Response, ticket: &Ticket) {
    let headers = response.headers_mut();
    let ms = u64::try_from(ticket.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    headers.insert(PROCESSING_MS, HeaderValue::from(ms));
    headers.insert(OPENAI_VERSION, HeaderValue::from_static("2020-10-01"));
    if let Ok(id) = HeaderValue::try_from(&ticket.id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(Ok(job)) = ticket.job.get().map(|job| HeaderValue::try_from(job.to_string())) {
        headers.insert(JOB_ID, job);
    }
}
