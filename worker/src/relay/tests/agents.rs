//! An agent's many calls.

use drover_shared::cli::Build;
use drover_shared::provider::registry::Registry;
use drover_shared::schema::{Failure, FailureKind, limits};
use serde_json::{Value, json};

use super::super::{Allowance, Bound, Credential, Relay, Secret, Upstream};
use super::cli::{Cli, body};
use super::provider::{
    Exchange, KEY, Provider, catalog, closed, delta, ended, opened, started, started_with, stop, tool,
};
use super::session::{BUILDS, Session, agent_arguments};
use super::{ALLOWANCE, agent, job, relay, soon};

const MESSAGES: &str = "POST /v1/messages?beta=true";
/// What one call costs that is answered with the usage of these tests: 250,000 tokens of the prompt at 4
/// millionths of a dollar, 7 from the cache at 0.2 and 5 to it at 5, and 40 of the answer at 20.
const CALL_MICROUSD: u64 = 1_000_827;
/// The prompt of a real agent's round, in tokens: it is told of them, and must not believe its window full.
const ROUND_TOKENS: u64 = 50_000;
/// What such a round costs.
const ROUND_MICROUSD: u64 = 200_827;

/// The CLI's body for a round: it carries no placeholder.
fn round() -> Value {
    json!({
        "model": "claude-sonnet-4-5",
        "messages": [{ "role": "user", "content": "do it" }],
        "tools": [{ "name": "Bash", "input_schema": {} }],
        "thinking": { "type": "enabled", "budget_tokens": 31_999 },
        "max_tokens": 32_000,
        "metadata": { "user_id": "a device" },
        "stream": true,
    })
}

async fn ask(relay: &Relay) -> Cli {
    Cli::call(relay, MESSAGES, relay.token().expose(), &round()).await
}

/// One round that the provider answers.
async fn answered(relay: &Relay, provider: &mut Provider) {
    let cli = ask(relay).await;
    provider.asked().await.answer("done").await;
    let (status, body) = cli.rest().await;
    assert!(status == 200 && body.contains("done"), "{status} {body}");
}

fn error(message: &str) -> String {
    json!({ "type": "error", "error": { "type": "x", "message": message } }).to_string()
}

#[tokio::test]
async fn an_agents_rounds_are_forwarded_for_its_model() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let _binding = relay.bind(agent(None, None));
    let _cli = ask(&relay).await;
    let asked = provider.asked().await;
    assert!(asked.head.contains("anthropic-beta: interleaved-thinking-2025-05-14\r\n"), "{}", asked.head);
    assert_eq!((&asked.body["model"], &asked.body["tools"]), (&json!("claude-opus-5-5"), &round()["tools"]));
    assert!(asked.body.get("metadata").is_none(), "{}", asked.body);
}

#[tokio::test]
async fn an_agents_cli_learns_how_much_its_conversation_holds() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let binding = relay.bind(agent(None, None));
    let cli = ask(&relay).await;
    provider.asked().await.answer("done").await;
    let told = cli.rest().await.1;
    assert!(told.contains(r#""input_tokens":250000"#) && told.contains(r#""output_tokens":40"#), "{told}");
    assert_eq!(binding.report().usage.input_tokens, 250_000);
}

#[tokio::test]
async fn an_agent_calls_as_often_as_it_may() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let binding = relay.bind(agent(Some(2), None));
    for _ in 0..2 {
        answered(&relay, &mut provider).await;
        assert_eq!(binding.report().failure, None);
    }
    for _ in 0..2 {
        let (status, told) = ask(&relay).await.rest().await;
        assert!(status == 403 && told.contains("called the model 2 times"), "{status} {told}");
    }
    let report = binding.report();
    assert_eq!((report.forwarded, report.answered, report.held), (2, false, 0));
    assert_eq!((report.usage.input_tokens, report.usage.output_tokens), (500_000, 80));
    assert_eq!(report.failure.expect("a failure").kind, FailureKind::TurnsExceeded);
    assert!(provider.is_idle());
    drop(binding);
    assert_eq!(ask(&relay).await.rest().await.0, 403, "the job is over");
}

#[tokio::test]
async fn a_job_that_has_cost_what_it_may_calls_no_more() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    for (budget, calls) in [(CALL_MICROUSD, 1), (CALL_MICROUSD + 1, 2)] {
        let binding = relay.bind(agent(None, Some(budget)));
        for _ in 0..calls {
            answered(&relay, &mut provider).await;
        }
        let (status, told) = ask(&relay).await.rest().await;
        assert!(status == 403 && told.contains("may cost no more than $1.0008"), "{status} {told}");
        let report = binding.report();
        assert_eq!(report.failure.expect("a failure").kind, FailureKind::BudgetExceeded);
        assert_eq!(report.forwarded, calls);
    }
    assert!(provider.is_idle());
}

#[tokio::test]
async fn a_budget_needs_to_know_what_the_model_costs() {
    let mut provider = Provider::start().await;
    let mut offered = catalog(&[("anthropic", &provider.base_url)], Credential::ApiKey(Secret::new(KEY)));
    offered.offer = Registry::shipped().offer(|id| u32::from(id == "anthropic"), Some("my-own"));
    let (_folder, relay) = relay(Upstream::new(offered, "1", 1).expect("a sound configuration"));
    let allowance = Allowance { budget_microusd: Some(1), ..ALLOWANCE };
    let binding = relay.bind(Bound { allowance, ..super::bound("my-own") });
    let (_, told) = Cli::ask(&relay).await.rest().await;
    assert!(told.contains("`my-own`"), "{told}");
    assert_eq!(binding.report().failure.expect("a failure").kind, FailureKind::InvalidRequest);
    assert!(provider.is_idle());

    let _binding = relay.bind(Bound { allowance, ..job() });
    let cli = Cli::ask(&relay).await;
    provider.asked().await.answer("yes").await;
    assert!(cli.rest().await.1.contains("yes"), "a chat job's one call comes before its cost");
}

#[tokio::test]
async fn an_agent_may_get_over_a_call_that_fails() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let binding = relay.bind(agent(None, None));
    let elsewhere = "location: http://127.0.0.1:9/\r\n";
    for (sent, headers, got, kind) in [
        (529, "", 529, FailureKind::ProviderOverloaded),
        (404, "", 404, FailureKind::ModelNotFound),
        (302, elsewhere, 502, FailureKind::ProviderError),
        (200, "content-type: text/html\r\n", 502, FailureKind::ProviderError),
    ] {
        let cli = ask(&relay).await;
        provider.asked().await.reply(sent, headers, &error("as it is")).await;
        assert_eq!(cli.rest().await.0, got);
        let report = binding.report();
        assert_eq!((report.failure, report.trouble.map(|trouble| trouble.kind)), (None, Some(kind)));
    }
    answered(&relay, &mut provider).await;
    assert_eq!(binding.report().trouble, None);

    let cli = ask(&relay).await;
    let mut asked = provider.asked().await;
    asked.begin().await;
    asked.send(&[started(), opened(), delta("half an ans")].concat()).await;
    drop(asked);
    assert!(cli.rest().await.1.contains("event: error"));
    let report = binding.report();
    let trouble = report.trouble.map(|Failure { kind, .. }| kind);
    assert_eq!((report.failure, trouble), (None, Some(FailureKind::StreamInterrupted)));
    assert_eq!(
        (report.forwarded, report.usage.input_tokens),
        (6, 500_000),
        "what broke off is billed as well"
    );
}

#[tokio::test]
async fn calls_beside_each_other_wait_for_room() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let binding = relay.bind(agent(None, None));
    let mut calls = Vec::new();
    let mut under_way = Vec::new();
    for _ in 0..limits::RELAY_CALLS {
        calls.push(ask(&relay).await);
        under_way.push(provider.asked().await);
    }
    calls.push(ask(&relay).await);
    assert_eq!(binding.report().forwarded as usize, limits::RELAY_CALLS);
    drop(under_way.remove(0).answer("first").await);
    under_way.push(provider.asked().await);
    assert_eq!(binding.report().forwarded as usize, limits::RELAY_CALLS + 1);
    drop(binding);
    for asked in under_way {
        asked.closed().await;
    }
}

#[tokio::test]
async fn what_is_no_round_is_refused_and_not_counted() {
    let mut provider = Provider::start().await;
    let (_folder, relay) = relay(provider.upstream());
    let binding = relay.bind(agent(Some(1), None));
    let token = relay.token().expose();
    let mut whole = round();
    whole["stream"] = false.into();
    for body in [&body(), &whole] {
        assert_eq!(Cli::call(&relay, MESSAGES, token, body).await.rest().await.0, 403, "{body}");
    }
    assert_eq!(
        Cli::call(&relay, "POST /v1/messages/count_tokens", token, &round()).await.rest().await.0,
        404
    );
    assert_eq!(Cli::call(&relay, MESSAGES, "wrong", &round()).await.rest().await.0, 401);
    answered(&relay, &mut provider).await;
    let report = binding.report();
    assert_eq!((report.forwarded, report.failure, report.trouble), (1, None, None));
}

/// Lets the model use the CLI's Bash.
async fn use_bash(mut asked: Exchange, command: &str) {
    asked.begin().await;
    let said = [
        started_with(ROUND_TOKENS),
        opened(),
        delta("Let me see."),
        closed(),
        tool("Bash", &json!({ "command": command })),
    ];
    asked.send(&said.concat()).await;
    asked.send(&[ended("tool_use"), stop()].concat()).await;
    drop(asked.finish().await);
}

#[tokio::test]
async fn a_real_agent_works_in_rounds_and_ends_with_its_limits() {
    for build in BUILDS {
        work(build).await;
    }
}

async fn work(build: Build) {
    let mut provider = Provider::start().await;
    let mut session = Session::start_with(&provider, build, &agent_arguments());
    // Two rounds, and an answer.
    let binding = session.relay.bind(agent(Some(3), None));
    binding.let_tools_run();
    session.say("Look around").await;
    for round in ["one", "two"] {
        use_bash(provider.asked().await, &format!("echo round-$((1))-{round}")).await;
    }
    let asked = provider.asked().await;
    let result = asked.body["messages"].as_array().and_then(|messages| messages.last()).expect("a message");
    assert!(result.to_string().contains("round-1-two"), "{result}");
    asked.answer_from(started_with(ROUND_TOKENS), "Done.").await;
    let (said, end) = session.turn().await;
    assert!(said.ends_with("Done.") && !end.is_error, "{said} {end:?}");
    let report = binding.report();
    assert_eq!((report.forwarded, report.failure, report.trouble), (3, None, None));
    assert_eq!(report.usage.output_tokens, 120);

    // On the same process, jobs that use up what they may: the turn ends by itself, and at once.
    for (bound, kind) in [
        (agent(Some(1), None), FailureKind::TurnsExceeded),
        (agent(None, Some(ROUND_MICROUSD)), FailureKind::BudgetExceeded),
    ] {
        let binding = session.relay.bind(bound);
        binding.let_tools_run();
        session.say("Go on").await;
        use_bash(provider.asked().await, "echo again").await;
        assert!(session.turn().await.1.is_error);
        let report = binding.report();
        assert_eq!((report.forwarded, report.failure.map(|failure| failure.kind)), (1, Some(kind)));
        assert!(provider.is_idle());
    }

    // A provider that fails in the middle ends the turn; nothing asks again.
    let binding = session.relay.bind(agent(None, None));
    binding.let_tools_run();
    session.say("Go on").await;
    use_bash(provider.asked().await, "echo again").await;
    provider.asked().await.reply(529, "", &error("busy")).await;
    assert!(soon(session.turn()).await.1.is_error);
    let report = binding.report();
    assert_eq!(report.trouble.map(|trouble| trouble.kind), Some(FailureKind::ProviderOverloaded));
    assert!(report.failure.is_none() && provider.is_idle());
}
