//! What the worker measures, for Prometheus. The names are in `drover_shared::metrics`.

use std::sync::Arc;
use std::time::Duration;

use drover_shared::clock::now_ms;
use drover_shared::metrics::Port;
use drover_shared::metrics::worker::{
    ACTIVE_JOBS, ATTEMPTS, CHUNKS, CLAIMS, CLAUDE_PROCESSES, COST, EVENTS, FAILOVERS, FIRST_CONTENT, JOB,
    JOBS_ENDED, KEPT, PROCESSES_SWEPT, PROVIDER_CALLS, PROVIDER_FIRST_BYTE, RECYCLED, RESIDENTS, SLOTS,
    SPARES, TOKENS, WAIT,
};
use drover_shared::schema::{Call, CallOutcome, Class, WorkerReport};
use drover_shared::store::{Append, Appended, Claim};
use metrics::{counter, gauge, histogram};
use tokio_util::sync::DropGuard;

use crate::attempt::End;
use crate::publish::Pace;
use crate::workshop::Workshop;

/// Serves the metrics until the guard is dropped.
pub fn serve(port: Port, shop: Arc<Workshop>) -> DropGuard {
    port.serve(move || {
        tell(&shop.report());
        std::future::ready(())
    })
}

/// Notes that an attempt begins.
pub fn attempt_began(claim: &Claim) {
    let is_first = claim.lease.attempt == 1;
    counter!(ATTEMPTS.name, "attempt" => if is_first { "first" } else { "another" }).increment(1);
    if is_first {
        let waited = u64::try_from(now_ms() - claim.due_at_ms).unwrap_or(0);
        histogram!(WAIT.name, "class" => claim.spec.class().as_str()).record(Duration::from_millis(waited));
    }
}

/// Notes what became of events that were to be stored as a chunk.
pub fn appended(append: &Append, outcome: Appended) {
    if outcome == Appended::Stored && !append.events.is_empty() {
        counter!(EVENTS.name).increment(append.events.len() as u64);
        counter!(CHUNKS.name).increment(1);
    }
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
