//! The turn before the first job.

use serde_json::{Value, json};

use super::super::Relay;
use super::cli::{Cli, body};
use super::provider::Provider;
use super::session::{BUILDS, Session};
use super::{PLACEHOLDER, job, relay};

async fn ask(relay: &Relay, line: &str, body: &Value) -> (u16, String) {
    Cli::call(relay, line, relay.token().expose(), body).await.rest().await
}

#[tokio::test]
async fn priming_is_answered_here_and_nothing_else_is() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let priming = relay.prime(PLACEHOLDER);
    let messages = "POST /v1/messages?beta=true";
    let (status, answer) = ask(&relay, messages, &body()).await;
    assert_eq!(status, 200);
    assert!(answer.contains("\"text\":\".\"") && answer.contains("message_stop"), "{answer}");
    let other = json!({ "messages": [{ "role": "user", "content": "quota" }] });
    for (line, body) in [(messages, &other), ("POST /v1/complete", &body()), ("GET /v1/messages", &body())] {
        assert_eq!(ask(&relay, line, body).await.0, 403, "{line} {body}");
    }
    assert_eq!(Cli::call(&relay, messages, "wrong", &body()).await.rest().await.0, 401);
    drop(priming);
    assert_eq!(ask(&relay, messages, &body()).await.0, 403, "the priming is over");
    assert!(provider.is_idle());
}

#[tokio::test]
async fn a_job_ends_the_priming_and_a_priming_the_job() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let priming = relay.prime("warm-1");
    let binding = relay.bind(job());
    drop(priming);
    let cli = Cli::ask(&relay).await;
    provider.asked().await.answer("yes").await;
    assert!(cli.rest().await.1.contains("yes"), "an old priming takes nothing from the job");
    assert!(binding.report().answered);

    let binding = relay.bind(job());
    let cli = Cli::ask(&relay).await;
    let asked = provider.asked().await;
    let _priming = relay.prime(PLACEHOLDER);
    asked.closed().await;
    assert_eq!(cli.rest().await.0, 0);
    assert_eq!(Cli::ask(&relay).await.rest().await.0, 200);
    assert_eq!(binding.report().forwarded, 1);
    assert!(provider.is_idle());
}

#[tokio::test]
async fn a_primed_real_cli_serves_a_job() {
    for build in BUILDS {
        let mut provider = Provider::start().await;
        let mut session = Session::start(&provider, build);
        let priming = session.relay.prime("warm-1");
        session.say("warm-1").await;
        let (said, end) = session.turn().await;
        assert!(said == "." && !end.is_error, "{build:?} {end:?}");
        drop(priming);
        assert!(provider.is_idle(), "{build:?}");

        let binding = session.relay.bind(job());
        session.say(PLACEHOLDER).await;
        let asked = provider.asked().await;
        let question =
            json!([{ "role": "user", "content": [{ "type": "text", "text": "What is a ferry?" }] }]);
        assert_eq!(asked.body["messages"], question, "{build:?}");
        assert!(!asked.body.to_string().contains("warm-1"), "{build:?} {}", asked.body);
        asked.answer(" A boat.  ").await;
        let (said, end) = session.turn().await;
        assert!(said == " A boat.  " && !end.is_error, "{build:?} {said:?} {end:?}");
        let report = binding.report();
        assert!(report.answered && report.forwarded == 1 && provider.is_idle(), "{build:?} {report:?}");
    }
}
