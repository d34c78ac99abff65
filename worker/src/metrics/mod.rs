//! What the worker measures, for Prometheus. The names are in `drover_shared::metrics`.
//!
//! Without an address to serve them at there is no recorder, and measuring costs nothing.

mod listener;

use std::sync::Arc;

use anyhow::Context;
use drover_shared::metrics::{
    ACTIVE_JOBS, ALL, CLAIMS, CLAUDE_PROCESSES, COST, FAILOVERS, FIRST_CONTENT, JOB, JOBS_ENDED, KEPT, Kind,
    PROCESSES_SWEPT, PROVIDER_CALLS, PROVIDER_FIRST_BYTE, RECYCLED, RESIDENTS, SLOTS, SPARES, TOKENS,
};
use drover_shared::schema::{Call, CallOutcome, Class, WorkerReport};
use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;

use crate::attempt::End;
use crate::publish::Pace;
use crate::workshop::Workshop;

/// Serves the metrics at an address until the guard is dropped. To be called once in a process.
pub async fn serve(address: &str, shop: Arc<Workshop>) -> anyhow::Result<DropGuard> {
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot serve metrics at {address}"))?;
    tracing::info!("metrics are at http://{}/metrics", listener.local_addr()?);
    let handle = install().context("cannot measure")?;
    Ok(listener::serve(listener, handle, move || tell(&shop.report())))
}

/// Notes that an attempt is over.
pub fn attempt_ended(class: Class, end: &End, pace: &Pace) {
    let class = class.as_str();
    counter!(JOBS_ENDED.name, "end" => end.name()).increment(1);
    histogram!(JOB.name, "class" => class).record(pace.elapsed());
    if let Some(first_content) = pace.first_content() {
        histogram!(FIRST_CONTENT.name, "class" => class).record(first_content);
    }
}

/// Notes that an answer has begun that took so many calls.
pub fn answer_began(attempts: u32) {
    counter!(FAILOVERS.name).increment(u64::from(attempts > 1));
}

/// Notes that a call to a provider is over.
pub fn called(call: &Call) {
    let outcome = if call.outcome == CallOutcome::Answered { "answered" } else { "failed" };
    counter!(PROVIDER_CALLS.name, "provider" => call.provider.clone(), "outcome" => outcome).increment(1);
    if let Some(ms) = call.first_byte_ms {
        let took = std::time::Duration::from_millis(ms.into());
        histogram!(PROVIDER_FIRST_BYTE.name, "provider" => call.provider.clone()).record(took);
    }
    let usage = &call.usage;
    for (kind, tokens) in [
        ("input", usage.input_tokens),
        ("output", usage.output_tokens),
        ("cache_read", usage.cache_read_tokens),
        ("cache_write", usage.cache_write_tokens),
    ] {
        counter!(TOKENS.name, "kind" => kind).increment(tokens);
    }
    counter!(COST.name).increment(usage.cost_microusd);
}

/// Makes the process's recorder, and describes to it what there is.
fn install() -> anyhow::Result<PrometheusHandle> {
    let recorder = ALL.iter().try_fold(PrometheusBuilder::new(), with_buckets)?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    for metric in ALL {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.meaning),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.meaning),
            Kind::Histogram { .. } => metrics::describe_histogram!(metric.name, metric.meaning),
        }
    }
    // A series that is not there until it counts 1 hides its first event from rates.
    for label in JOBS_ENDED.labels {
        for value in label.values {
            counter!(JOBS_ENDED.name, label.name => *value).increment(0);
        }
    }
    Ok(handle)
}

fn with_buckets(
    builder: PrometheusBuilder,
    metric: &drover_shared::metrics::Metric,
) -> Result<PrometheusBuilder, BuildError> {
    match metric.kind {
        Kind::Histogram { buckets } => {
            builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)
        }
        Kind::Counter | Kind::Gauge => Ok(builder),
    }
}

/// Tells what the worker's heartbeat tells.
fn tell(report: &WorkerReport) {
    let pool = &report.pool;
    gauge!(SLOTS.name).set(report.slots);
    gauge!(ACTIVE_JOBS.name).set(report.active_jobs);
    gauge!(CLAUDE_PROCESSES.name).set(report.claude_processes);
    gauge!(SPARES.name, "class" => Class::Chat.as_str()).set(pool.chat_spares);
    gauge!(SPARES.name, "class" => Class::Agent.as_str()).set(pool.agent_spares);
    gauge!(KEPT.name).set(pool.kept);
    gauge!(RESIDENTS.name).set(pool.residents);
    let claims = [
        ("spare", pool.spare_claims),
        ("kept", pool.kept_claims),
        ("resident", pool.resident_claims),
        ("cold", pool.cold_starts),
    ];
    for (from, jobs) in claims {
        counter!(CLAIMS.name, "from" => from).absolute(jobs);
    }
    counter!(RECYCLED.name).absolute(pool.recycled);
    counter!(PROCESSES_SWEPT.name).absolute(report.zombie_processes_cleaned);
}
