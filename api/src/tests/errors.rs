//! Every error from every layer has the dialect's shape.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use drover_shared::schema::Fleet;
use drover_shared::store::Enqueued;

use super::client::Call;
use super::{Api, WHOLE};

/// What must come back: status, code, a piece of the message, and headers (`name: value`, or `name` alone
/// for one that must be there).
struct Expected(u16, &'static str, &'static str, &'static [&'static str]);

async fn check(address: SocketAddr, call: Call, Expected(status, code, message, headers): Expected) {
    let what = format!("{call:?}");
    let answer = call.send(address).await;
    assert_eq!(answer.status, status, "{what}");
    assert_eq!(answer.header("content-type"), "application/json", "{what}");
    assert!(answer.header("x-request-id").starts_with("req_"), "{what}");
    for header in headers {
        let (name, value) = header.split_once(": ").unwrap_or((header, ""));
        let found = answer.header(name);
        assert!(!found.is_empty() && (value.is_empty() || found == value), "{what}: {header}, not {found:?}");
    }
    let body = answer.json().await;
    let error = body["error"].as_object().unwrap_or_else(|| panic!("{what}: {body}"));
    assert_eq!(error["code"], code, "{what}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains(message)), "{what}: {body}");
    assert!(error.contains_key("type") && error.contains_key("param"), "{what}: {body}");
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let api = Api::with(|settings| settings.body_limit_bytes = 1_000).await;
    let job = "/v1/jobs/job_0192aaaabbbb7ccc8dddeeeeffff0001";
    for (call, expected) in [
        (
            Call::new("POST", "/v1/x").body("{}"),
            Expected(404, "unknown_url", "Invalid URL (POST /v1/x)", &[]),
        ),
        (Call::get("/nowhere"), Expected(404, "unknown_url", "Invalid URL (GET /nowhere)", &[])),
        (Call::get("/v1/models/"), Expected(404, "unknown_url", "Invalid URL", &[])),
        (Call::new("OPTIONS", "/nowhere"), Expected(404, "unknown_url", "Invalid URL", &[])),
        (
            Call::new("PUT", "/v1/chat/completions"),
            Expected(405, "method_not_allowed", "PUT is not allowed", &["allow: POST,GET,HEAD"]),
        ),
        (
            Call::new("DELETE", "/v1/models").body("x"),
            Expected(405, "method_not_allowed", "DELETE is not allowed", &["allow: GET,HEAD"]),
        ),
        (Call::chat("{"), Expected(400, "invalid_json", "no JSON", &[])),
        (Call::chat(""), Expected(400, "invalid_json", "no JSON", &[])),
        (Call::chat(&" ".repeat(1_001)), Expected(413, "request_too_large", "1000 bytes", &[])),
        (
            Call::chat(r#"{"model":"gpt"}"#),
            Expected(404, "model_not_found", "Offered are: opus, org/opus", &[]),
        ),
        (Call::get("/v1/models/gpt/4"), Expected(404, "model_not_found", "'gpt/4'", &[])),
        (Call::get(job), Expected(404, "job_not_found", "job_0192", &[])),
        (Call::get("/v1/jobs/x"), Expected(404, "job_not_found", "'x'", &[])),
        (Call::get("/v1/jobs/%ff"), Expected(400, "invalid_request", "Bad Request", &[])),
        (Call::get(&format!("{job}/events")), Expected(404, "job_not_found", "job_0192", &[])),
        (Call::new("POST", &format!("{job}/cancel")), Expected(404, "job_not_found", "job_0192", &[])),
        (Call::chat(r#"{"panic":true}"#), Expected(500, "internal_error", "logged", &[])),
    ] {
        check(api.address, call, expected).await;
    }
    assert!(api.store.lock().jobs.is_empty(), "no job may come of a bad request");
}

#[tokio::test]
async fn a_panic_in_the_thread_for_large_bodies_is_caught_too() {
    let api = Api::start().await;
    let body = format!(r#"{{"panic":"{}"}}"#, "x".repeat(100_000));
    check(api.address, Call::chat(&body), Expected(500, "internal_error", "logged", &[])).await;
}

#[tokio::test]
async fn a_key_is_asked_for() {
    let api = Api::with(|settings| settings.api_keys = vec!["sesame".to_owned()]).await;
    let job = "/v1/jobs/job_0192aaaabbbb7ccc8dddeeeeffff0001";
    let headers = &["www-authenticate: Bearer"];
    for call in [
        Call::chat(WHOLE),
        Call::chat(&"x".repeat(3_000_000)),
        Call::get("/v1/models"),
        Call::get("/v1/models/opus"),
        Call::get("/v1/models/capabilities"),
        Call::get("/v1/providers"),
        Call::get("/v1/usage"),
        Call::get("/v1/usage/comparison"),
        Call::get(job),
        Call::get(&format!("{job}/events")),
        Call::new("POST", &format!("{job}/cancel")),
    ] {
        check(api.address, call.clone(), Expected(401, "invalid_api_key", "No API key", headers)).await;
        let call = call.header("authorization", "Bearer wrong");
        check(api.address, call, Expected(401, "invalid_api_key", "not valid", headers)).await;
    }
    let answer = Call::get("/v1/models").header("authorization", "Bearer sesame").send(api.address).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let api = Api::with(|settings| settings.max_queued = 0).await;
    let headers = &["retry-after: 2", "retry-after-ms: 2000", "x-should-retry: true"];
    check(api.address, Call::chat(WHOLE), Expected(429, "queue_full", "0 jobs wait", headers)).await;
    api.app.tail.settle().await;
    assert_eq!(api.store.lock().cancel_calls, 0, "there is nothing to call off");
}

#[tokio::test]
async fn a_job_that_its_session_cannot_take_is_refused() {
    let api = Api::start().await;
    for (refusal, expected) in [
        (Enqueued::NoSuchSession, Expected(404, "session_not_found", "No such session", &[])),
        (Enqueued::ProjectFull, Expected(429, "project_full", "16 jobs wait", &["retry-after: 2"])),
    ] {
        api.store.lock().refusal = Some(refusal);
        check(api.address, Call::chat(WHOLE), expected).await;
    }
    api.app.tail.settle().await;
    assert_eq!(api.store.lock().cancel_calls, 0, "there is nothing to call off");
}

#[tokio::test]
async fn a_broken_store_says_when_to_come_back() {
    let api = Api::start().await;
    api.store.break_down(true);
    let headers = &["retry-after", "retry-after-ms", "x-should-retry: true"];
    let expected = || Expected(503, "store_unavailable", "store", headers);
    for path in [
        "/v1/models",
        "/v1/models/capabilities",
        "/v1/providers",
        "/v1/usage",
        "/v1/usage/comparison",
        "/v1/jobs/job_0192aaaabbbb7ccc8dddeeeeffff0001",
        "/readyz",
    ] {
        check(api.address, Call::get(path), expected()).await;
    }
    check(api.address, Call::chat(WHOLE), expected()).await;
    api.store.broken.store(false, Ordering::Relaxed);
    assert_eq!(api.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn without_workers_nothing_can_be_asked() {
    let api = Api::start().await;
    api.store.lock().fleet = Fleet::default();
    for body in [WHOLE, "{}"] {
        let expected = Expected(503, "no_workers", "Start drover-worker", &["retry-after"]);
        check(api.address, Call::chat(body), expected).await;
    }
    check(api.address, Call::chat("{"), Expected(400, "invalid_json", "no JSON", &[])).await;
    let expected = Expected(404, "model_not_found", "no model is offered yet", &[]);
    check(api.address, Call::get("/v1/models/opus"), expected).await;
}

#[tokio::test]
async fn a_leaving_api_takes_nothing_new() {
    let api = Api::start().await;
    let router = crate::router::router(&api.app);
    api.shutdown.cancel();
    for call in [("POST", "/v1/chat/completions"), ("GET", "/readyz")] {
        use tower::ServiceExt as _;
        let request = axum::http::Request::builder().method(call.0).uri(call.1).header("host", "test");
        let request = request.body(axum::body::Body::from(WHOLE)).expect("a request");
        let response = router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), 503, "{call:?}");
        assert_eq!(response.headers()["x-should-retry"], "true", "{call:?}");
        assert!(response.headers().contains_key("retry-after-ms"), "{call:?}");
    }
}
