//! What the api measures, for Prometheus. The names are in `drover_shared::metrics::api`.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use drover_shared::dialect::{Delivery, Rejection};
use drover_shared::metrics::Port;
use drover_shared::metrics::api::{
    CALLED_OFF, ENQUEUED, EVENTS, FIRST_CONTENT, METHODS, OLDEST_QUEUED, QUEUED, READERS, REFUSALS, REQUEST,
    REQUESTS, RUNNING, SCHEDULED, STREAMS, WORKERS,
};
use drover_shared::schema::{Fleet, limits};
use metrics::{counter, gauge, histogram};
use tokio_util::sync::DropGuard;

use crate::app::App;

/// Serves the metrics until the guard is dropped.
pub(crate) fn serve(port: Port, app: Arc<App>) -> DropGuard {
    port.serve(move || {
        let app = Arc::clone(&app);
        async move { tell(&app).await }
    })
}

/// Notes what is not counted as it happens. What the store cannot tell now is no number.
async fn tell(app: &App) {
    gauge!(READERS.name).set(as_f64(app.tail.readers()));
    let view = tokio::time::timeout(limits::METRICS_STORE, app.fleet.get()).await;
    let view = view.ok().and_then(Result::ok);
    let told = |figure: fn(&Fleet) -> f64| view.as_ref().map_or(f64::NAN, |view| figure(&view.fleet));
    gauge!(QUEUED.name).set(told(|fleet| as_f64(fleet.queued)));
    gauge!(SCHEDULED.name).set(told(|fleet| as_f64(fleet.scheduled)));
    gauge!(OLDEST_QUEUED.name)
        .set(told(|fleet| Duration::from_millis(fleet.oldest_queued_ms.unwrap_or(0)).as_secs_f64()));
    gauge!(RUNNING.name).set(told(|fleet| as_f64(fleet.running)));
    gauge!(WORKERS.name).set(told(|fleet| as_f64(fleet.alive.len())));
}

/// Counts are told as floating-point numbers; none comes near what those cannot hold.
fn as_f64(count: impl TryInto<u32>) -> f64 {
    f64::from(count.try_into().unwrap_or(u32::MAX))
}

/// The name of a method among those that are told apart.
pub(crate) fn method(method: &Method) -> &'static str {
    METHODS.into_iter().find(|name| *name == method.as_str()).unwrap_or("other")
}

/// Notes a request that is over. `route` is the pattern that it matched.
pub(crate) fn requested(
    route: Option<&str>,
    method: &'static str,
    status: Option<u16>,
    took: Option<Duration>,
) {
    let route = route.unwrap_or("other").to_owned();
    let class = match status {
        None => "left",
        Some(100..200) => "1xx",
        Some(200..300) => "2xx",
        Some(300..400) => "3xx",
        Some(400..500) => "4xx",
        Some(_) => "5xx",
    };
    counter!(REQUESTS.name, "route" => route.clone(), "method" => method, "status" => class).increment(1);
    if let Some(took) = took {
        histogram!(REQUEST.name, "route" => route).record(took);
    }
}

/// Notes a request that is answered with an error.
pub(crate) fn refused(rejection: &Rejection) {
    counter!(REFUSALS.name, "why" => why(rejection)).increment(1);
}

/// Which of the reasons it is. By the status, since many codes say the same in detail; where one status stands for
/// several reasons, by the code.
fn why(rejection: &Rejection) -> &'static str {
    match (rejection.status, rejection.code) {
        (_, "queue_full") => "queue_full",
        (_, "project_full") => "project_full",
        (_, "session_full") => "session_full",
        (_, "no_workers") => "no_workers",
        (_, "shutting_down") => "shutting_down",
        (_, "store_unavailable") => "store_unavailable",
        (_, "internal_error") => "internal",
        (_, "invalid_output") => "output",
        (_, "insufficient_quota") => "budget",
        (_, code) if code.starts_with("provider_") => "job",
        (400 | 422, _) => "invalid",
        (401, _) => "key",
        (403, _) => "scope",
        (404 | 410, _) => "not_found",
        (405, _) => "method",
        (408, _) => "slow",
        (409, _) => "conflict",
        (413, _) => "too_large",
        (429, _) => "rate_limit",
        (402 | 500.., _) => "job",
        _ => "other",
    }
}

/// Notes a job that was added.
pub(crate) fn enqueued(delivery: Delivery) {
    counter!(ENQUEUED.name, "delivery" => name(delivery)).increment(1);
}

/// Notes that the first piece of an answer has come, so long after it was asked for.
pub(crate) fn first_content(delivery: Delivery, after: Duration) {
    histogram!(FIRST_CONTENT.name, "delivery" => name(delivery)).record(after);
}

fn name(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Background => "background",
        Delivery::Stream => "stream",
        Delivery::Whole => "whole",
    }
}

/// Notes events that go to somebody who reads them.
pub(crate) fn handed_out(events: usize) {
    counter!(EVENTS.name).increment(events as u64);
}

/// Notes a job that was called off because its last reader had left.
pub(crate) fn called_off() {
    counter!(CALLED_OFF.name).increment(1);
}

/// What carries a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Server-sent events.
    Sse,
    /// A WebSocket's subscription.
    WebSocket,
}

/// A stream, counted as open until it is dropped.
pub(crate) struct Open(Over);

impl Open {
    pub(crate) fn over(carrier: Over) -> Self {
        gauge!(STREAMS.name, "over" => carrier.name()).increment(1.0);
        Self(carrier)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        gauge!(STREAMS.name, "over" => self.0.name()).decrement(1.0);
    }
}

impl Over {
    fn name(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
        }
    }
}

#[cfg(test)]
mod tests {
    use drover_shared::metrics::api::REASONS;
    use drover_shared::schema::{Failure, FailureKind};

    use super::*;

    #[test]
    fn every_reason_is_one_of_the_list() {
        for status in 400..600 {
            let reason = why(&Rejection::new(status, "whatever", ""));
            assert!(REASONS.contains(&reason), "{status}: {reason}");
        }
    }

    #[test]
    fn a_full_queue_a_limit_and_a_failed_job_are_told_apart() {
        let reason = |status, code| why(&Rejection::new(status, code, ""));
        assert_eq!(reason(429, "queue_full"), "queue_full");
        assert_eq!(reason(429, "rate_limit_exceeded"), "rate_limit");
        assert_eq!(reason(429, "insufficient_quota"), "budget");
        assert_eq!(reason(503, "no_workers"), "no_workers");
        let failed = |kind| why(&Rejection::from(&Failure::new(kind, "")));
        assert_eq!(failed(FailureKind::ProviderRateLimited), "job");
        assert_eq!(failed(FailureKind::CliFailed), "job");
    }

    #[test]
    fn a_method_that_is_made_up_is_no_name_of_its_own() {
        assert_eq!(method(&Method::PATCH), "PATCH");
        assert_eq!(method(&Method::from_bytes(b"get").expect("a token")), "other");
    }
}
