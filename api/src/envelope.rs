//! What surrounds every request: its id, the headers all answers have, the shape of errors, panics, and
//! the one line in the log.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use drover_shared::schema::{JobId, Origin, TraceParent};
use futures_util::FutureExt as _;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use crate::app::App;
use crate::error::{self, Problem};
use crate::{identity, metrics, unwanted};

pub(crate) const JOB_ID: HeaderName = HeaderName::from_static("x-drover-job-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const OPENAI_VERSION: HeaderName = HeaderName::from_static("openai-version");
const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");
/// What the log says of a request whose client left before there was an answer (nginx's number).
const CLIENT_GONE: u16 = 499;

const TRACE_RESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// One request. Writes its line into the log when it is dropped, so that a request whose client leaves
/// early has one too.
pub(crate) struct Ticket {
    id: String,
    trace: TraceParent,
    /// All that is logged for the request belongs to it.
    span: Span,
    method: Method,
    route: Option<MatchedPath>,
    started: Instant,
    /// How long its answer took to begin.
    took: OnceLock<Duration>,
    job: OnceLock<JobId>,
    status: OnceLock<u16>,
}

impl Ticket {
    fn new(request: &Request) -> Self {
        let id = format!("req_{}", Uuid::new_v4().simple());
        let trace = identity::trace(request.headers());
        // Of the highest level, so that its identifiers are there wherever a line of it is.
        let span = tracing::error_span!("request", request = %id, trace = %trace.trace(), client_request = Empty, job = Empty);
        Self {
            id,
            trace,
            span,
            method: request.method().clone(),
            route: request.extensions().get().cloned(),
            started: Instant::now(),
            took: OnceLock::new(),
            job: OnceLock::new(),
            status: OnceLock::new(),
        }
    }

    /// The request is about this job; from now on log and answer name it.
    pub(crate) fn concerns(&self, job: JobId) {
        // A request concerns one job; the first to say so is right.
        if self.job.set(job).is_ok() {
            self.span.record("job", tracing::field::display(job));
        }
    }

    /// What the job is to remember of the request that it is made of.
    pub(crate) fn origin(&self) -> Origin {
        Origin { request: self.id.clone(), trace: self.trace }
    }

    /// When its head had come.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The pattern that it matches; nothing that its client has chosen.
    fn route(&self) -> Option<&str> {
        self.route.as_ref().map(MatchedPath::as_str)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let (method, status) = (metrics::method(&self.method), self.status.get().copied());
        metrics::requested(self.route(), method, status, self.took.get().copied());
        tracing::info!(
            parent: &self.span,
            method = %method,
            route = %self.route().unwrap_or("-"),
            status = status.unwrap_or(CLIENT_GONE),
            ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "request"
        );
    }
}

/// The outermost layer.
pub(crate) async fn around(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let ticket = Arc::new(Ticket::new(&request));
    request.extensions_mut().insert(Arc::clone(&ticket));
    let (request, leftover) = unwanted::watch(request);
    let response = answer(&ticket, request, next).instrument(ticket.span.clone()).await;
    // Who was too slow to send it will not be waited for again.
    if !response.status().is_success() && response.status() != StatusCode::REQUEST_TIMEOUT {
        leftover.discard().await;
    }
    let mut response = error::write(response, app.dialect);
    common_headers(&mut response, &ticket);
    // Set once: nothing else knows the status.
    let _ = ticket.status.set(response.status().as_u16());
    let _ = ticket.took.set(ticket.started.elapsed());
    response
}

async fn answer(ticket: &Ticket, request: Request, next: Next) -> Response {
    match identity::of_client(request.headers()) {
        Ok(None) => {}
        Ok(Some(id)) => {
            ticket.span.record("client_request", id);
        }
        Err(rejection) => return Problem(rejection).into_response(),
    }
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_panic) => {
            tracing::error!(route = ticket.route(), "a handler has panicked");
            Problem::internal().into_response()
        }
    }
}

fn common_headers(response: &mut Response, ticket: &Ticket) {
    let headers = response.headers_mut();
    let ms = u64::try_from(ticket.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    headers.insert(PROCESSING_MS, HeaderValue::from(ms));
    headers.insert(OPENAI_VERSION, HeaderValue::from_static("2020-10-01"));
    if let Ok(id) = HeaderValue::try_from(&ticket.id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Ok(trace) = HeaderValue::try_from(ticket.trace.to_string()) {
        headers.insert(TRACE_RESPONSE, trace);
    }
    if let Some(Ok(job)) = ticket.job.get().map(|job| HeaderValue::try_from(job.to_string())) {
        headers.insert(JOB_ID, job);
    }
}
