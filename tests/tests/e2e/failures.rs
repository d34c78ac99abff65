//! What becomes of the provider's failures: a status and an error of OpenAI's shape while there is no answer
//! yet, an error frame after that, and never a second call.

use drover_tests::chat::{self, ErrorBody, Spoken, ask, streaming};
use drover_tests::client::Answer;
use drover_tests::harness::{ClaudeKind, Cluster};
use drover_tests::upstream::{Upstream, words};
use futures_util::stream::{self, StreamExt as _};

/// Prompt, status, code, type, and headers that belong to it.
type Case = (&'static str, u16, &'static str, &'static str, &'static [(&'static str, &'static str)]);

const BAD: &str = "invalid_request_error";
const OURS: &str = "server_error";
const AWAY: &str = "service_unavailable_error";
const NO_RETRY: &[(&str, &str)] = &[("x-should-retry", "false")];
const LATER: &[(&str, &str)] = &[("retry-after", "7"), ("retry-after-ms", "7000")];

/// Before anything of an answer has come.
const EARLY: [Case; 14] = [
    ("status 400 \"what is this\"", 400, "invalid_request", BAD, &[]),
    ("status 400 \"prompt is too long: 9 > 8\"", 400, "context_length_exceeded", BAD, &[]),
    ("status 401 \"bad key\"", 502, "provider_auth_failed", OURS, NO_RETRY),
    ("status 402 \"no money\"", 502, "provider_billing_failed", OURS, NO_RETRY),
    ("status 403 \"bad key\"", 502, "provider_auth_failed", OURS, NO_RETRY),
    ("status 404 \"no such model\"", 404, "model_not_found", BAD, &[]),
    ("status 413 \"too large\"", 413, "request_too_large", BAD, &[]),
    ("status 429 retry-after 7", 429, "provider_rate_limited", "rate_limit_error", LATER),
    ("status 500 \"broken\"", 502, "provider_error", OURS, &[]),
    ("status 529 \"busy\"", 503, "provider_overloaded", AWAY, &[]),
    ("redirect", 502, "provider_error", OURS, &[]),
    ("content-type text/html", 502, "provider_error", OURS, &[]),
    ("reset before headers", 502, "provider_unreachable", OURS, &[]),
    ("stall before headers", 504, "job_stalled", OURS, &[]),
];

/// After the provider has begun to answer; the number is how many words come before the failure.
const LATE: [(Case, usize); 8] = [
    (("reset", 502, "stream_interrupted", OURS, &[]), 0),
    (("truncate", 502, "stream_interrupted", OURS, &[]), 0),
    (("error", 503, "provider_overloaded", AWAY, &[]), 0),
    (("empty", 502, "empty_answer", OURS, &[]), 0),
    (("reset after 3", 502, "stream_interrupted", OURS, &[]), 3),
    (("truncate after 3", 502, "stream_interrupted", OURS, &[]), 3),
    (("error after 3", 503, "provider_overloaded", AWAY, &[]), 3),
    (("stall after 3", 504, "job_stalled", OURS, &[]), 3),
];

#[tokio::test]
async fn the_native_cli_passes_failures_on() {
    failures_are_passed_on(ClaudeKind::Native).await;
}

#[tokio::test]
async fn the_javascript_cli_passes_failures_on() {
    failures_are_passed_on(ClaudeKind::JavaScript).await;
}

async fn failures_are_passed_on(kind: ClaudeKind) {
    let upstream = Upstream::start();
    // A key for each job, since one that is refused or limited is left out for a while.
    let keys: Vec<String> = (0..2 * (EARLY.len() + LATE.len())).map(|n| format!("sk-test-{n}")).collect();
    let builder =
        Cluster::builder().claude(kind).upstream(&upstream).env("ANTHROPIC_API_KEY", keys.join(","));
    let builder = builder.env("DROVER_JOB_STALL", "10").env("DROVER_PROVIDER_ATTEMPTS", "1");
    let cluster = builder.start().await;
    let jobs = if kind == ClaudeKind::Native { 2 } else { 1 };
    let early = EARLY.iter().map(|case| (case, 0, true));
    let late = LATE.iter().map(|(case, said)| (case, *said, false));
    // No more at once than there are slots: a stream whose job waits long enough commits its status early.
    let cases = stream::iter(early.chain(late)).map(async |(case, said, early)| {
        streamed(&cluster, case, said, early).await;
        if kind == ClaudeKind::Native {
            // What becomes of an answer in one piece depends on the events alone, not on who wrote them.
            whole(&cluster, case).await;
        }
        assert_eq!(upstream.calls_for(case.0).len(), jobs, "{}: one call for each job", case.0);
    });
    cases.buffer_unordered(4).collect::<()>().await;
    assert_eq!(upstream.calls().len(), jobs * (EARLY.len() + LATE.len()), "nothing else is ever asked");
}

/// A request that is not streamed has the failure's own status.
async fn whole(cluster: &Cluster, case: &Case) {
    let answer = cluster.client().post(chat::PATH, &ask(case.0)).await;
    assert_refusal(&answer, case);
    assert_job(cluster, answer.header("x-drover-job-id").expect("a job"), case).await;
}

async fn streamed(cluster: &Cluster, case: &Case, said: usize, early: bool) {
    let mut stream = cluster.client().stream(chat::PATH, &streaming(ask(case.0))).await;
    let job = stream.header("x-drover-job-id").expect("a job").to_owned();
    // What fails right after the answer has begun may go either way: it depends on whether the api sees the
    // beginning alone or together with the failure.
    if stream.status != 200 {
        assert_eq!(said, 0, "{}: the first words were held back", case.0);
        assert_refusal(&stream.into_answer().await, case);
        return assert_job(cluster, &job, case).await;
    }
    if early {
        // A failure that takes longer than a stream may stay silent comes after the status and a heartbeat.
        let first = stream.try_next().await.expect("the stream stays whole").expect("a frame");
        assert!(first.comment.is_some(), "{}: an early failure has a status: {first:?}", case.0);
    }
    let spoken = Spoken::of(stream).await;
    assert_eq!(spoken.text(), words(said), "{}", case.0);
    let error = spoken.error.as_ref().unwrap_or_else(|| panic!("no error frame: {spoken:?}"));
    assert_eq!((error.code.as_str(), error.kind.as_str()), (case.2, case.3), "{}: {error:?}", case.0);
    assert_eq!(spoken.finish_reason, None, "{}: a part must not look whole", case.0);
    assert_job(cluster, &job, case).await;
}

fn assert_refusal(answer: &Answer, (prompt, status, code, kind, headers): &Case) {
    assert_eq!(answer.status, *status, "{prompt}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"), "{prompt}");
    let error = ErrorBody::of(&answer.json());
    assert_eq!((error.code.as_str(), error.kind.as_str()), (*code, *kind), "{prompt}: {error:?}");
    assert!(!error.message.is_empty() && !error.message.contains("bad key"), "{prompt}: {error:?}");
    for (name, value) in *headers {
        assert_eq!(answer.header(name), Some(*value), "{prompt}: {name}");
    }
}

async fn assert_job(cluster: &Cluster, job: &str, (prompt, _, code, ..): &Case) {
    let job = cluster.client().get(&format!("/v1/jobs/{job}")).await.json();
    assert_eq!((&job["status"], &job["attempts"]), (&"failed".into(), &1.into()), "{prompt}: {job}");
    assert_eq!(job["error"]["code"], *code, "{prompt}: {job}");
}
