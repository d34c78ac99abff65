//! What an api tells.

use super::{Label, Metric, Values, counter, gauge, histogram};

/// An api's own metrics.
pub const ALL: [Metric; 14] = [
    REQUESTS,
    REQUEST,
    REFUSALS,
    STREAMS,
    READERS,
    FIRST_CONTENT,
    ENQUEUED,
    EVENTS,
    CALLED_OFF,
    QUEUED,
    SCHEDULED,
    OLDEST_QUEUED,
    RUNNING,
    WORKERS,
];

/// Requests.
pub const REQUESTS: Metric = counter(
    "drover_api_requests_total",
    "requests",
    "Requests, by their route's pattern and the class of the answer's status; `left` where the client left before there \
     was one.",
    &[
        Label { name: "route", values: Values::Routes },
        Label { name: "method", values: Values::Listed(&METHODS) },
        Label { name: "status", values: Values::Listed(&["1xx", "2xx", "3xx", "4xx", "5xx", "left"]) },
    ],
);
/// How long answers take to begin.
pub const REQUEST: Metric = histogram(
    "drover_api_request_seconds",
    &[0.0025, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0],
    "From a request's head to its answer's. An answer that comes in one piece is finished then, a stream has begun.",
    &[Label { name: "route", values: Values::Routes }],
);
/// Requests answered with an error.
pub const REFUSALS: Metric = counter(
    "drover_api_refusals_total",
    "requests",
    "Requests answered with an error, by why: `queue_full` and `rate_limit` among others, or `job` where it is a job's \
     failure.",
    &[Label { name: "why", values: Values::Listed(&REASONS) }],
);
/// Answers that flow.
pub const STREAMS: Metric = gauge(
    "drover_api_streams",
    "streams",
    "Streams that are open, by what carries them.",
    &[Label { name: "over", values: Values::Listed(&["sse", "websocket"]) }],
);
/// Readers of jobs.
pub const READERS: Metric =
    gauge("drover_api_readers", "readers", "Who reads a job's events as they come.", &[]);
/// How long clients wait for the first word.
pub const FIRST_CONTENT: Metric = histogram(
    "drover_api_first_content_seconds",
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0],
    "From a request to the first piece of its answer, thinking included, with all that it waited for.",
    &[Label { name: "delivery", values: Values::Listed(&["stream", "whole"]) }],
);
/// Jobs added.
pub const ENQUEUED: Metric = counter(
    "drover_api_jobs_enqueued_total",
    "jobs",
    "Jobs added to the queue, by how their answer is wanted.",
    &[Label { name: "delivery", values: Values::Listed(&["background", "stream", "whole"]) }],
);
/// Events handed out.
pub const EVENTS: Metric =
    counter("drover_api_events_total", "events", "Events of jobs handed to those who read them.", &[]);
/// Jobs whose readers have left.
pub const CALLED_OFF: Metric = counter(
    "drover_api_called_off_total",
    "jobs",
    "Jobs called off because their last reader had left.",
    &[],
);
/// Jobs that wait.
pub const QUEUED: Metric =
    gauge("drover_api_queued_jobs", "jobs", "Jobs that wait for a worker; every api tells the same.", &[]);
/// Jobs whose time has not come.
pub const SCHEDULED: Metric = gauge(
    "drover_api_scheduled_jobs",
    "jobs",
    "Jobs that wait for the time (`run_at`) that their client named; every api tells the same.",
    &[],
);
/// How long the oldest of them has waited.
pub const OLDEST_QUEUED: Metric = gauge(
    "drover_api_oldest_queued_seconds",
    "seconds",
    "How long the oldest of the queued jobs has waited; 0 where none does.",
    &[],
);
/// Jobs that run.
pub const RUNNING: Metric = gauge(
    "drover_api_running_jobs",
    "jobs",
    "Jobs that run, in the whole fleet; every api tells the same.",
    &[],
);
/// Workers.
pub const WORKERS: Metric =
    gauge("drover_api_workers", "workers", "Workers that live; every api tells the same.", &[]);

/// The methods that are told apart.
pub const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];

/// Why a request is answered with an error.
pub const REASONS: [&str; 20] = [
    "invalid",
    "key",
    "scope",
    "not_found",
    "method",
    "slow",
    "conflict",
    "too_large",
    "queue_full",
    "project_full",
    "session_full",
    "rate_limit",
    "budget",
    "no_workers",
    "shutting_down",
    "store_unavailable",
    "internal",
    "output",
    "job",
    "other",
];
