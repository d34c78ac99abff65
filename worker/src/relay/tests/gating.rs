//! What the gate lets through, and what it does not.

use drover_shared::schema::FailureKind;
use serde_json::{Value, json};

use super::super::Relay;
use super::cli::{Cli, body};
use super::provider::Provider;
use super::{bound, job, relay};

async fn status(relay: &Relay, line: &str, token: &str, body: &Value) -> u16 {
    let (status, answer) = Cli::call(relay, line, token, body).await.rest().await;
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["type"], "error", "{answer}");
    status
}

#[tokio::test]
async fn what_is_not_the_jobs_call_is_not_forwarded() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let messages = "POST /v1/messages?beta=true";
    let token = relay.token().expose().to_owned();
    assert_eq!(status(&relay, messages, &token, &body()).await, 403, "nothing is bound");

    let binding = relay.bind(job());
    let foreign = json!({ "messages": [{ "role": "user", "content": "quota" }], "stream": true });
    for (line, key, body, expected) in [
        (messages, "wrong", &body(), 401),
        (messages, "", &body(), 401),
        (messages, &token[1..], &body(), 401),
        ("POST /v1/messages/count_tokens?beta=true", &token, &body(), 404),
        ("GET /v1/messages", &token, &body(), 404),
        ("POST /v1/complete", &token, &body(), 404),
        (messages, &token, &foreign, 403),
        (messages, &token, &json!(7), 403),
    ] {
        assert_eq!(status(&relay, line, key, body).await, expected, "{line} {body}");
    }
    assert!(provider.is_idle());
    assert_eq!(binding.report().forwarded, 0);

    // None of it has spoilt the job.
    let cli = Cli::ask(&relay).await;
    provider.asked().await.answer("yes").await;
    assert!(cli.rest().await.1.contains("yes"));
    drop(binding);
    assert_eq!(status(&relay, messages, &token, &body()).await, 403, "the job is gone");
    assert!(provider.is_idle());
}

#[tokio::test]
async fn after_the_answer_calls_are_held_until_the_job_is_gone() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let binding = relay.bind(job());
    let cli = Cli::ask(&relay).await;
    provider.asked().await.answer("yes").await;
    assert_eq!(cli.rest().await.0, 200);

    let same = tokio::spawn(Cli::ask(&relay).await.rest());
    let token = relay.token().expose();
    let other = Cli::call(&relay, "POST /v1/messages", token, &json!({ "messages": [] })).await;
    let other = tokio::spawn(other.rest());
    let mut watch = binding.watch();
    super::soon(watch.wait_for(|report| report.held == 2)).await.expect("a report");
    assert!(!same.is_finished() && !other.is_finished());
    // What the JavaScript CLI asks when it exits, through its proxy, is no wish to go on.
    let status = status(&relay, "CONNECT api.anthropic.com:443", token, &json!(null)).await;
    assert_eq!((status, binding.report().held), (403, 2));
    drop(watch);
    assert_eq!(binding.report().forwarded, 1);
    drop(binding);
    for held in [same, other] {
        assert_eq!(super::soon(held).await.expect("no panic"), (0, String::new()));
    }
    assert!(provider.is_idle());
}

#[tokio::test]
async fn after_an_error_the_same_call_gets_the_same_error() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let binding = relay.bind(job());
    let first = Cli::ask(&relay).await;
    let error = json!({ "type": "error", "error": { "type": "not_found_error", "message": "model: x" } });
    provider.asked().await.reply(404, "", &error.to_string()).await;
    let first = first.rest().await;
    assert_eq!(first, (404, error.to_string()).clone());
    assert_eq!(Cli::ask(&relay).await.rest().await, first);
    assert!(provider.is_idle());
    let report = binding.report();
    assert_eq!(report.forwarded, 1);
    assert_eq!(report.failure.expect("a failure").kind, FailureKind::ModelNotFound);
}

#[tokio::test]
async fn what_is_not_offered_is_not_asked_for() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    for model in ["drover-demo", "gpt-9"] {
        let binding = relay.bind(bound(model));
        assert_eq!(Cli::ask(&relay).await.rest().await.0, 404);
        assert_eq!(binding.report().failure.expect("a failure").kind, FailureKind::ModelNotFound);
    }
    assert!(provider.is_idle());
}

#[tokio::test]
async fn a_new_job_takes_the_place_of_the_one_before() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let earlier = relay.bind(job());
    let cli = Cli::ask(&relay).await;
    let asked = provider.asked().await;
    let later = relay.bind(job());
    asked.closed().await;
    assert_eq!(cli.rest().await.0, 0);
    drop(earlier);
    let cli = Cli::ask(&relay).await;
    provider.asked().await.answer("yes").await;
    assert!(cli.rest().await.1.contains("yes"));
    assert!(later.report().answered);
}
