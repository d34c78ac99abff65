//! Several providers of one model: who is asked, in which order, and what is told and billed.

use std::sync::Arc;

use drover_shared::schema::{CallOutcome, FailureKind};
use serde_json::json;

use super::super::{Catalog, Credential, Relay, Secret, Upstream};
use super::cli::Cli;
use super::provider::{Exchange, KEY, Provider, catalog, delta, opened, started};
use super::{bound, relay};

/// A model of the registry that three providers serve, in this order.
const MODEL: &str = "deepseek-v4-pro";
const IDS: [&str; 3] = ["deepseek", "siliconflow", "siliconflow-cn"];

/// Three providers of one model, and a relay to them.
struct Three {
    providers: [Provider; 3],
    upstream: Arc<Upstream>,
    relay: Relay,
    _folder: tempfile::TempDir,
}

impl Three {
    async fn start() -> Self {
        let providers = [Provider::start().await, Provider::start().await, Provider::start().await];
        let upstream = Upstream::new(offered(&providers, KEY), "1", 5).expect("a sound configuration");
        let (folder, relay) = relay(Arc::clone(&upstream));
        Self { providers, upstream, relay, _folder: folder }
    }

    /// The next request to one of them; the others have none.
    async fn asked(&mut self, who: usize) -> Exchange {
        let asked = self.providers[who].asked().await;
        assert!(self.providers.iter_mut().all(Provider::is_idle));
        asked
    }
}

/// One key for each.
fn offered(providers: &[Provider; 3], key: &str) -> Catalog {
    let places: Vec<(&str, &str)> =
        IDS.iter().zip(providers).map(|(id, provider)| (*id, provider.base_url.as_str())).collect();
    let mut catalog = catalog(&places, Credential::Bearer(Secret::new(key)));
    catalog.endpoints.iter_mut().for_each(|endpoint| endpoint.keys.truncate(1));
    catalog
}

fn overloaded() -> String {
    json!({ "type": "error", "error": { "type": "overloaded_error", "message": "busy" } }).to_string()
}

#[tokio::test]
async fn whoever_fails_before_speaking_is_followed_by_the_next() {
    let mut three = Three::start().await;
    let binding = three.relay.bind(bound(MODEL));
    let mut cli = Cli::ask(&three.relay).await;
    let first = three.asked(0).await;
    assert_eq!(first.body["model"], MODEL);
    first.reply(529, "", &overloaded()).await;
    // The second begins, and breaks off before its model has said anything.
    let mut second = three.asked(1).await;
    assert_eq!(second.body["model"], "deepseek-ai/DeepSeek-V4-Pro-0813");
    second.begin().await;
    second.send(&started()).await;
    second.reset();
    let mut third = three.asked(2).await;
    third.begin().await;
    third.send(&[started(), opened(), delta("at last")].concat()).await;
    cli.until(b"at last").await;
    let routed = binding.report().routed.expect("a route");
    assert_eq!((routed.provider.as_str(), routed.attempts), (IDS[2], 3));
    let passed_over = [(IDS[0].to_owned(), "provider_overloaded"), (IDS[1].to_owned(), "stream_interrupted")];
    assert_eq!(routed.passed_over, passed_over);
    // From then on a failure is the answer.
    third.reset();
    let (status, body) = cli.rest().await;
    assert_eq!((status, body.matches("message_start").count()), (200, 2), "one event, in two lines: {body}");
    assert_eq!(binding.report().failure.expect("a failure").kind, FailureKind::StreamInterrupted);
    assert!(three.providers.iter_mut().all(Provider::is_idle));
    let calls = binding.settle();
    let outcomes: Vec<_> =
        calls.iter().map(|call| (call.provider.as_str(), call.number, call.outcome)).collect();
    let failed = CallOutcome::Failed;
    assert_eq!(
        outcomes,
        [
            (IDS[0], 1, failed(FailureKind::ProviderOverloaded)),
            (IDS[1], 2, failed(FailureKind::StreamInterrupted)),
            (IDS[2], 3, failed(FailureKind::StreamInterrupted)),
        ]
    );
    // What each has billed is known, also of those that failed. Only one of them has a price.
    assert_eq!(calls.iter().map(|call| call.usage.input_tokens).collect::<Vec<_>>(), [0, 250_000, 250_000]);
    assert_eq!(calls.iter().map(|call| call.usage.unpriced_calls).sum::<u64>(), 2);
    assert_eq!(binding.report().usage.input_tokens, 500_000);
}

#[tokio::test]
async fn the_requests_own_fault_is_told_at_once() {
    let mut three = Three::start().await;
    let binding = three.relay.bind(bound(MODEL));
    let cli = Cli::ask(&three.relay).await;
    let error = json!({ "type": "error", "error": { "type": "invalid_request_error", "message": "odd" } });
    three.asked(0).await.reply(400, "", &error.to_string()).await;
    assert_eq!(cli.rest().await.0, 400);
    assert_eq!(binding.report().failure.expect("a failure").kind, FailureKind::InvalidRequest);
    assert!(three.providers.iter_mut().all(Provider::is_idle));
}

#[tokio::test]
async fn a_conversation_stays_where_it_was_served() {
    let mut three = Three::start().await;
    for (status, who) in [(Some(503), 1), (None, 1), (None, 1)] {
        let binding = three.relay.bind(bound(MODEL));
        let cli = Cli::ask(&three.relay).await;
        if let Some(status) = status {
            three.asked(0).await.reply(status, "", &overloaded()).await;
        }
        three.asked(who).await.answer("yes").await;
        assert!(cli.rest().await.1.contains("yes"));
        assert_eq!(binding.report().routed.expect("a route").provider, IDS[who]);
    }
}

#[tokio::test]
async fn a_key_that_is_refused_is_left_out_and_told() {
    let mut three = Three::start().await;
    for asked in [&[0, 1][..], &[1]] {
        let mut other = bound(MODEL);
        Arc::make_mut(&mut other.spec).system = format!("{asked:?}");
        let _binding = three.relay.bind(other);
        let cli = Cli::ask(&three.relay).await;
        for who in asked {
            let exchange = three.asked(*who).await;
            if *who == 0 {
                exchange.reply(401, "", "{}").await;
            } else {
                exchange.answer("yes").await;
            }
        }
        assert_eq!(cli.rest().await.0, 200);
    }
    let told = serde_json::to_string(&three.upstream.report()).expect("JSON");
    assert!(told.contains("\"state\":\"refused\"") && !told.contains(KEY), "{told}");
}

#[tokio::test]
async fn when_all_fail_the_last_failure_is_told_and_no_more_are_asked_than_allowed() {
    let mut three = Three::start().await;
    let binding = three.relay.bind(bound(MODEL));
    let cli = Cli::ask(&three.relay).await;
    for who in [0, 1, 2, 0, 1] {
        three.asked(who).await.reply(500, "", "{}").await;
    }
    assert_eq!(cli.rest().await.0, 500);
    assert!(three.providers.iter_mut().all(Provider::is_idle));
    assert_eq!(binding.report().failure.expect("a failure").kind, FailureKind::ProviderError);
    assert_eq!(binding.settle().len(), 5);
}

#[tokio::test]
async fn a_reload_takes_effect_with_the_next_call() {
    let mut three = Three::start().await;
    let _binding = three.relay.bind(bound(MODEL));
    let cli = Cli::ask(&three.relay).await;
    let asked = three.asked(0).await;
    let mut changed = offered(&three.providers, "another-key");
    changed.endpoints.remove(0);
    changed.offer.providers.iter_mut().filter(|provider| provider.id == IDS[0]).for_each(|it| it.keys = 0);
    three.upstream.replace(changed).expect("a sound configuration");
    asked.answer("as it began").await;
    assert!(cli.rest().await.1.contains("as it began"));
    let _binding = three.relay.bind(bound(MODEL));
    let cli = Cli::ask(&three.relay).await;
    let asked = three.asked(1).await;
    assert!(asked.head.contains("authorization: bearer another-key\r\n"), "{}", asked.head);
    asked.answer("yes").await;
    assert_eq!(cli.rest().await.0, 200);
}

#[tokio::test]
async fn what_may_pass_is_told_rather_than_what_is_wrong_with_a_key() {
    let mut three = Three::start().await;
    let binding = three.relay.bind(bound(MODEL));
    let cli = Cli::ask(&three.relay).await;
    three.asked(0).await.reply(429, "retry-after: 600\r\n", "{}").await;
    three.asked(1).await.reply(401, "", "{}").await;
    three.asked(2).await.reply(402, "", "{}").await;
    assert_eq!(cli.rest().await.0, 429);
    let failure = binding.report().failure.expect("a failure");
    assert_eq!((failure.kind, failure.retry_after_ms), (FailureKind::ProviderRateLimited, Some(600_000)));
}
