//! What a worker tells.

use super::{Label, Metric, Values, counter, gauge, histogram};

/// A worker's own metrics.
pub const ALL: [Metric; 21] = [
    SLOTS,
    ACTIVE_JOBS,
    CLAUDE_PROCESSES,
    SPARES,
    KEPT,
    RESIDENTS,
    CLAIMS,
    RECYCLED,
    PROCESSES_SWEPT,
    WAIT,
    ATTEMPTS,
    JOBS_ENDED,
    FIRST_CONTENT,
    JOB,
    EVENTS,
    CHUNKS,
    PROVIDER_CALLS,
    PROVIDER_FIRST_BYTE,
    FAILOVERS,
    TOKENS,
    COST,
];

/// Most jobs at once.
pub const SLOTS: Metric =
    gauge("drover_worker_slots", "jobs", "How many jobs the worker runs at once at most.", &[]);
/// Jobs that run.
pub const ACTIVE_JOBS: Metric = gauge("drover_worker_active_jobs", "jobs", "Jobs that run.", &[]);
/// CLI processes.
pub const CLAUDE_PROCESSES: Metric =
    gauge("drover_worker_claude_processes", "processes", "Claude CLI processes that the worker owns.", &[]);
/// Processes that wait for their first job.
pub const SPARES: Metric =
    gauge("drover_worker_spares", "processes", "Processes that wait for their first job.", &[CLASS]);
/// Processes that wait for their key's next job.
pub const KEPT: Metric =
    gauge("drover_worker_kept", "processes", "Chat processes that wait for their key's next job.", &[]);
/// Processes that wait for their session's next job.
pub const RESIDENTS: Metric = gauge(
    "drover_worker_residents",
    "processes",
    "Agent processes that wait for their session's next job.",
    &[],
);
/// Jobs by where their process came from.
pub const CLAIMS: Metric = counter(
    "drover_worker_claims_total",
    "jobs",
    "Jobs, by where they got their process: a spare, one that had served their key, their session's own, or a \
     new one.",
    &[Label { name: "from", values: Values::Listed(&["spare", "kept", "resident", "cold"]) }],
);
/// Processes put away.
pub const RECYCLED: Metric = counter(
    "drover_worker_recycled_total",
    "processes",
    "Processes put away for their age, what they had served, or a doubt.",
    &[],
);
/// Processes that had to be cleaned up.
pub const PROCESSES_SWEPT: Metric = counter(
    "drover_worker_processes_swept_total",
    "processes",
    "Processes killed or reaped after their CLI had ended.",
    &[],
);
/// How long jobs waited.
pub const WAIT: Metric = histogram(
    "drover_worker_wait_seconds",
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0],
    "From the moment from which a job could be run to its first attempt.",
    &[CLASS],
);
/// Attempts begun.
pub const ATTEMPTS: Metric = counter(
    "drover_worker_attempts_total",
    "attempts",
    "Attempts of jobs that were begun: a job's first one, or another.",
    &[Label { name: "attempt", values: Values::Listed(&["first", "another"]) }],
);
/// Attempts by how they ended.
pub const JOBS_ENDED: Metric = counter(
    "drover_worker_jobs_ended_total",
    "jobs",
    "Attempts of jobs that are over, by how they ended; failed ones by the failure's code.",
    &[Label { name: "end", values: Values::Listed(&ENDS) }],
);
/// How long the answer's first piece took.
pub const FIRST_CONTENT: Metric = histogram(
    "drover_worker_first_content_seconds",
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0],
    "From the start of an attempt to the first piece of its answer, thinking included.",
    &[CLASS],
);
/// How long attempts took.
pub const JOB: Metric = histogram(
    "drover_worker_job_seconds",
    &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0],
    "From the start of an attempt to its end, however it ended.",
    &[CLASS],
);

/// Events of jobs that were stored.
pub const EVENTS: Metric =
    counter("drover_worker_events_total", "events", "Events of jobs that were stored.", &[]);
/// Chunks of events that were stored.
pub const CHUNKS: Metric =
    counter("drover_worker_chunks_total", "chunks", "Chunks that these events were stored as.", &[]);

/// Calls to providers.
pub const PROVIDER_CALLS: Metric = counter(
    "drover_worker_provider_calls_total",
    "calls",
    "Calls to providers, by whether an answer began.",
    &[PROVIDER, Label { name: "outcome", values: Values::Listed(&["answered", "failed"]) }],
);
/// How long answers of providers take to begin.
pub const PROVIDER_FIRST_BYTE: Metric = histogram(
    "drover_worker_provider_first_byte_seconds",
    &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0],
    "From a call to a provider to the first byte of its answer.",
    &[PROVIDER],
);
/// Answers that took more than one call.
pub const FAILOVERS: Metric = counter(
    "drover_worker_failovers_total",
    "answers",
    "Answers that began only after another call for them had failed.",
    &[],
);
/// What was billed.
pub const TOKENS: Metric = counter(
    "drover_worker_tokens_total",
    "tokens",
    "Tokens that providers have billed.",
    &[Label { name: "kind", values: Values::Listed(&["input", "output", "cache_read", "cache_write"]) }],
);
/// What that cost.
pub const COST: Metric = counter(
    "drover_worker_cost_microusd_total",
    "millionths of a US dollar",
    "What calls with a known price have cost.",
    &[],
);

const PROVIDER: Label = Label { name: "provider", values: Values::Providers };
const CLASS: Label = Label { name: "class", values: Values::Listed(&["chat", "agent"]) };

/// How an attempt may end; what follows the first five are the codes of failures.
const ENDS: [&str; 31] = [
    "completed",
    "cancelled",
    "requeued",
    "returned",
    "abandoned",
    "invalid_request",
    "context_length_exceeded",
    "request_too_large",
    "model_not_found",
    "provider_auth_failed",
    "provider_billing_failed",
    "provider_rate_limited",
    "provider_overloaded",
    "provider_error",
    "provider_unreachable",
    "stream_interrupted",
    "job_timeout",
    "job_stalled",
    "turns_exceeded",
    "budget_exceeded",
    "insufficient_quota",
    "resource_limit",
    "sandbox_unavailable",
    "cli_failed",
    "cli_unavailable",
    "output_too_large",
    "empty_answer",
    "worker_lost",
    "attempts_exhausted",
    "bad_payload",
    "internal",
];

#[cfg(test)]
mod tests {
    use crate::schema::FailureKind;

    use super::*;

    #[test]
    fn every_failure_is_an_end() {
        // What serde says to a name that it does not know is the list of those that it does.
        let error = serde_json::from_str::<FailureKind>("\"\"").expect_err("no such kind").to_string();
        let kinds: Vec<&str> = error.split('`').skip(1).step_by(2).filter(|name| !name.is_empty()).collect();
        assert_eq!(ENDS[5..], kinds);
    }
}
