//! The answer that comes as it should.

use drover_shared::provider::registry::DEMO;
use drover_shared::schema::{JobSpec, Usage};
use serde_json::json;

use super::super::{Credential, Relay, Report, Routed, Secret};
use super::cli::Cli;
use super::provider::{KEY, Provider, delta, demo, ended, opened, reread, started, stop, upstream};
use super::{bound, job, relay, soon};

const BILLED: Usage = Usage {
    input_tokens: 250_000,
    output_tokens: 40,
    cache_read_tokens: 7,
    cache_write_tokens: 5,
    thinking_tokens: 0,
    web_searches: 0,
    // 250,000 × 4 + 40 × 20 + 7 × 0.2 + 5 × 5 millionths of a dollar, rounded up.
    cost_microusd: 1_000_827,
    unpriced_calls: 0,
};

#[tokio::test]
async fn each_piece_arrives_before_the_next_is_sent() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let binding = relay.bind(job());
    let mut cli = Cli::ask(&relay).await;
    let mut asked = provider.asked().await;
    assert_eq!(binding.report(), Report { forwarded: 1, ..Report::default() });

    asked.begin().await;
    asked.send(&started()).await;
    asked.send(&opened()).await;
    cli.until(b"content_block_start").await;
    assert!(binding.report().routed.is_some() && binding.report().first_byte);
    for text in ["one", " two ", "3\u{e4}"] {
        let frame = delta(text);
        let (front, back) = frame.split_at(frame.len() / 2);
        asked.send(front).await;
        asked.send(back).await;
        cli.until(text.as_bytes()).await;
    }
    assert!(!binding.report().answered);
    asked.send(&ended("end_turn")).await;
    asked.send(&stop()).await;
    cli.until(b"message_stop").await;
    let report = Report {
        forwarded: 1,
        routed: Some(Routed {
            provider: "anthropic".to_owned(),
            model: "claude-opus-5-5".to_owned(),
            attempts: 1,
            passed_over: vec![],
        }),
        first_byte: true,
        answered: true,
        held: 0,
        failure: None,
        trouble: None,
        usage: BILLED,
        tool: None,
    };
    assert_eq!(binding.report(), report);

    let (status, body) = cli.rest().await;
    assert_eq!(status, 200);
    let passed = [delta("one"), delta(" two "), delta("3\u{e4}")].concat();
    assert!(body.contains(&*String::from_utf8_lossy(&passed)), "{body}");
    assert!(!body.contains("250000") && !body.contains(":40"), "{body}");
}

#[tokio::test]
async fn the_provider_gets_the_job_and_nothing_of_the_cli() {
    for (credential, header) in [
        (Credential::ApiKey(Secret::new(KEY)), format!("x-api-key: {KEY}\r\n")),
        (Credential::Bearer(Secret::new(KEY)), format!("authorization: bearer {KEY}\r\n")),
    ] {
        let mut provider = Provider::start().await;
        let (_folder, relay) = relay(upstream(&format!("{}/", provider.base_url), credential));
        let _binding = relay.bind(bound("claude-opus-4-20250514"));
        let _cli = Cli::ask(&relay).await;
        let asked = provider.asked().await;
        assert!(asked.head.starts_with("post /base/v1/messages http/1.1\r\n"), "{}", asked.head);
        for line in [
            header.as_str(),
            "anthropic-version: 2023-06-01\r\n",
            "content-type: application/json\r\n",
            "accept: text/event-stream\r\n",
            "user-agent: drover/1.2.3\r\n",
        ] {
            assert!(asked.head.contains(line), "{line} in {}", asked.head);
        }
        for word in [relay.token().expose(), "x-cli", "accept-encoding", "cookie"] {
            assert!(!asked.head.contains(word), "{word} in {}", asked.head);
        }
        let expected = json!({
            "model": "claude-opus-5-5",
            "system": [{ "type": "text", "text": "Be brief.", "cache_control": { "type": "ephemeral" } }],
            "messages": [{ "role": "user", "content": [{ "type": "text", "text": "What is a ferry?" }] }],
            "max_tokens": 32_000,
            "temperature": 0.5,
            "stream": true,
        });
        assert_eq!(asked.body, expected);
    }
}

#[tokio::test]
async fn the_report_can_be_waited_for() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let binding = relay.bind(job());
    let mut watch = binding.watch();
    let cli = Cli::ask(&relay).await;
    provider.asked().await.answer("hi").await;
    assert_eq!(soon(watch.wait_for(|report| report.answered)).await.expect("a report").usage, BILLED);
    assert_eq!(cli.rest().await.0, 200);
}

#[tokio::test]
async fn a_connection_serves_one_job_after_another() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let mut connection = None;
    for text in ["first", "second", "third"] {
        let binding = relay.bind(job());
        let cli = Cli::ask(&relay).await;
        let asked = match connection.take() {
            None => provider.asked().await,
            Some(connection) => reread(connection).await.expect("a request on the same connection"),
        };
        connection = Some(asked.answer(text).await);
        assert!(cli.rest().await.1.contains(text));
        drop(binding);
    }
}

#[tokio::test]
async fn the_javascript_cli_has_a_port() {
    let mut provider = Provider::start().await;
    let relay = Relay::loopback(provider.upstream()).expect("a relay");
    let _binding = relay.bind(job());
    let cli = Cli::ask(&relay).await;
    provider.asked().await.answer("hi").await;
    let (status, body) = cli.rest().await;
    assert!(status == 200 && body.contains("hi"), "{status} {body}");
}

#[tokio::test]
async fn without_a_key_the_demo_answers() {
    let (_folder, relay) = relay(demo());
    let binding = relay.bind(bound(DEMO));
    let mut cli = Cli::ask(&relay).await;
    cli.until(b"content_block_delta").await;
    assert!(!binding.report().answered, "it comes word by word");
    let (status, body) = cli.rest().await;
    assert_eq!(status, 200);
    assert!(body.contains("ferry?") && body.ends_with("\n\n") && body.contains("end_turn"), "{body}");
    let report = binding.report();
    assert!(report.answered && report.failure.is_none());
    let JobSpec { system, .. } = &*bound(DEMO).spec;
    assert_eq!(report.usage.input_tokens, system.split(' ').count() as u64 + 4);
}
