//! The provider's failures, and how they reach the CLI and the job.

use drover_shared::schema::{Failure, FailureKind, limits};
use serde_json::json;
use tokio::net::TcpListener;

use super::super::{Credential, Secret};
use super::cli::Cli;
use super::provider::{Exchange, KEY, Provider, delta, opened, started, upstream};
use super::{job, relay};

/// Runs the job against a provider that does `script`. What the CLI got, and the failure reported.
async fn run<F: Future<Output = ()>>(script: impl FnOnce(Exchange) -> F) -> (u16, String, Failure) {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let binding = relay.bind(job());
    let cli = Cli::ask(&relay).await;
    script(provider.asked().await).await;
    let (status, body) = cli.rest().await;
    let report = binding.report();
    assert!(!report.answered && provider.is_idle());
    assert!(!body.contains(KEY), "{body}");
    (status, body, report.failure.expect("a failure"))
}

fn error(kind: &str, message: &str) -> String {
    json!({ "type": "error", "error": { "type": kind, "message": message } }).to_string()
}

#[tokio::test]
async fn an_error_keeps_its_status_and_tells_its_kind() {
    for (sent, headers, kind, retry_after_ms) in [
        (400, "", FailureKind::InvalidRequest, None),
        (401, "", FailureKind::ProviderAuthFailed, None),
        (404, "", FailureKind::ModelNotFound, None),
        (429, "retry-after: 7\r\n", FailureKind::ProviderRateLimited, Some(7_000)),
        (500, "", FailureKind::ProviderError, None),
        (529, "", FailureKind::ProviderOverloaded, None),
    ] {
        let script = async |asked: Exchange| asked.reply(sent, headers, &error("x", "as it is")).await;
        let (status, body, failure) = run(script).await;
        assert_eq!((status, failure.kind, failure.retry_after_ms), (sent, kind, retry_after_ms));
        assert!(body.contains(&failure.message), "{body}");
    }
}

#[tokio::test]
async fn a_message_that_repeats_the_key_is_not_told() {
    for shown in [KEY, &KEY[KEY.len() - 8..]] {
        let script = async |asked: Exchange| {
            let message = format!("bad request with key {shown}");
            asked.reply(400, "", &error("invalid_request_error", &message)).await;
        };
        let (status, body, failure) = run(script).await;
        assert_eq!((status, failure.kind), (400, FailureKind::InvalidRequest));
        assert!(!failure.message.contains(shown) && !body.contains(shown), "{failure:?} {body}");
    }
    let script = async |mut asked: Exchange| {
        asked.begin().await;
        let event = error("invalid_request_error", &format!("bad request with key {KEY}"));
        asked.send(format!("event: error\ndata: {event}\n\n").as_bytes()).await;
        asked.finish().await;
    };
    let (_, body, failure) = run(script).await;
    assert!(!failure.message.contains(KEY), "{failure:?} {body}");
}

#[tokio::test]
async fn an_endless_error_is_read_as_far_as_the_limit() {
    let script = async |mut asked: Exchange| {
        asked.write(b"HTTP/1.1 500 X\r\ntransfer-encoding: chunked\r\n\r\n").await;
        asked.send(&vec![b'x'; limits::PROVIDER_ERROR_BYTES]).await;
        asked.closed().await;
    };
    assert_eq!(run(script).await.2.kind, FailureKind::ProviderError);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let mut elsewhere = Provider::start().await;
    let header = format!("location: {}/v1/messages\r\n", elsewhere.base_url);
    for sent in [301, 302, 307, 308] {
        let (status, _, failure) = run(async |asked: Exchange| asked.reply(sent, &header, "").await).await;
        assert_eq!((status, failure.kind), (502, FailureKind::ProviderError));
    }
    assert!(elsewhere.is_idle());
}

#[tokio::test]
async fn a_200_that_is_no_event_stream_is_no_answer() {
    for headers in ["content-type: application/json\r\n", "content-type: text/html\r\n", ""] {
        let script = async |asked: Exchange| asked.reply(200, headers, "{}").await;
        let (status, _, failure) = run(script).await;
        assert_eq!((status, failure.kind), (502, FailureKind::ProviderError), "{headers}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_told_to_the_cli() {
    for how in ["reset", "end", "cut"] {
        let script = async |mut asked: Exchange| {
            asked.begin().await;
            asked.send(&[started(), delta("half an ans")].concat()).await;
            asked.send(&delta("x")[..9]).await;
            match how {
                "reset" => asked.reset(),
                "end" => drop(asked.finish().await),
                _ => drop(asked),
            }
        };
        let (status, body, failure) = run(script).await;
        assert_eq!((status, failure.kind), (200, FailureKind::StreamInterrupted), "{how}");
        // A reset may overtake what was sent before it; the error comes last in any case.
        assert!(how == "reset" || body.contains("half an ans"), "{how}: {body}");
        assert!(body.contains("event: error") && body.contains(&failure.message), "{how}: {body}");
    }
}

#[tokio::test]
async fn an_error_within_the_stream_has_its_kind() {
    // Nobody has heard anything before the model's first block: until then it is an answer with a status.
    for (said, status, events) in [(started(), 502, 0), ([started(), opened()].concat(), 200, 1)] {
        let script = async |mut asked: Exchange| {
            asked.begin().await;
            asked.send(&said).await;
            let event = error("overloaded_error", "Overloaded");
            asked.send(format!("event: error\ndata: {event}\n\n").as_bytes()).await;
            asked.closed().await;
        };
        let (told, body, failure) = run(script).await;
        assert_eq!((told, failure.kind), (status, FailureKind::ProviderOverloaded));
        assert_eq!(body.matches("event: error").count(), events, "{body}");
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    // Hangs up on everyone.
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    for base_url in [format!("http://{at}"), format!("https://{at}"), "http://127.0.0.2:9".to_owned()] {
        let (_folder, relay) = relay(upstream(&base_url, Credential::ApiKey(Secret::new(KEY))));
        let binding = relay.bind(job());
        assert_eq!(Cli::ask(&relay).await.rest().await.0, 502);
        assert_eq!(binding.report().failure.expect("a failure").kind, FailureKind::ProviderUnreachable);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_unreachable() {
    let (status, _, failure) = run(async |asked: Exchange| asked.reset()).await;
    assert_eq!((status, failure.kind), (502, FailureKind::ProviderUnreachable));
}
