//! What the relay adds to a call, beside the same call made directly.

use super::report::{Figure, Section};
use super::road::ms;
use super::statistics::{median, quantile};
use crate::harness::PROVIDER_KEY;
use crate::upstream::Upstream as Scripted;
use drover_shared::provider::registry::Registry;
use drover_shared::schema::{JobId, JobSpec, Owner, Part, Role, Turn};
use drover_shared::secret::Secret;
use drover_worker::relay::{Allowance, Bound, Catalog, Credential, EndpointConfig, Relay, Upstream};
use reqwest::Client;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

const PROMPT: &str = "say 20 words";
const MODEL: &str = "claude-sonnet-4-5";
const PLACEHOLDER: &str = "drover-bench";
const ROUNDS: usize = 500;
/// Of which are not counted.
const WARM_UP: usize = 20;

pub(super) async fn measure() -> Section {
    let scripted = Scripted::start();
    let (relayed, direct) = compare(&scripted).await;
    let of = |times: &[(f64, f64)], first: bool| -> Vec<f64> {
        times.iter().map(|(head, whole)| if first { *head } else { *whole }).collect()
    };
    let pair = |name: &str, first: bool, share: f64| {
        let (relayed, direct) = (quantile(&of(&relayed, first), share), quantile(&of(&direct, first), share));
        Figure::new(name, relayed, "ms").beside("direct", direct)
    };
    let added = |share: f64| quantile(&of(&relayed, true), share) - quantile(&of(&direct, true), share);
    Section {
        title: format!("Relay: `{PROMPT}`, {ROUNDS} calls through it, in turn with as many direct ones"),
        figures: vec![
            pair("first content, median", true, 0.5),
            pair("first content, p99", true, 0.99),
            pair("whole answer, median", false, 0.5),
            Figure::new(
                "added to the first content, median",
                median(&of(&relayed, true)) - median(&of(&direct, true)),
                "ms",
            )
            .at_most(1.0),
            Figure::new("added to the first content, p99", added(0.99), "ms").at_most(5.0),
        ],
    }
}

/// Times to the first content and to the end, of calls through the relay and of direct ones.
async fn compare(scripted: &Scripted) -> (Vec<(f64, f64)>, Vec<(f64, f64)>) {
    let folder = TempDir::new().expect("a directory");
    let relay = Relay::unix(&folder.path().join("relay.sock"), None, upstream(scripted)).expect("a relay");
    relay.admit(std::process::id().cast_signed());
    let socket = Client::builder().unix_socket(folder.path().join("relay.sock")).build().expect("a client");
    let plain = Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/v1/messages", scripted.url());
    let (mut relayed, mut direct) = (Vec::new(), Vec::new());
    for round in 0..WARM_UP + ROUNDS {
        let binding = relay.bind(bound());
        let key = relay.token().expose();
        let through = call(&socket, "http://relay.invalid/v1/messages", key, &body(PLACEHOLDER)).await;
        drop(binding);
        let beside = call(&plain, &url, PROVIDER_KEY, &body(PROMPT)).await;
        scripted.forget();
        if round >= WARM_UP {
            relayed.push(through);
            direct.push(beside);
        }
    }
    (relayed, direct)
}

fn upstream(scripted: &Scripted) -> Arc<Upstream> {
    let endpoint = EndpointConfig {
        id: "anthropic".to_owned(),
        base_url: scripted.url(),
        keys: vec![Credential::ApiKey(Secret::new(PROVIDER_KEY))],
        headers: Vec::new(),
        betas: true,
        login: false,
        max_calls: 16,
        first_byte: Duration::from_secs(30),
    };
    let offer = Registry::shipped().offer(|id| u32::from(id == "anthropic"), None);
    Upstream::new(Catalog { offer, endpoints: vec![endpoint] }, "0", 1).expect("a sound configuration")
}

fn bound() -> Bound {
    let parts = vec![Part::Text { text: PROMPT.to_owned() }];
    let spec = JobSpec {
        model: MODEL.to_owned(),
        turns: vec![Turn { role: Role::User, parts }],
        ..JobSpec::default()
    };
    Bound {
        job: JobId::from_uuid(Uuid::now_v7()),
        attempt: 1,
        owner: Owner::anonymous(),
        spec: Arc::new(spec),
        placeholder: PLACEHOLDER.to_owned(),
        allowance: Allowance { turns: 1, budget_microusd: None },
        calls: Arc::default(),
    }
}

fn body(prompt: &str) -> Value {
    let content = json!([{ "type": "text", "text": prompt }]);
    json!({ "model": MODEL, "max_tokens": 32_000, "stream": true, "messages": [{ "role": "user", "content": content }] })
}

async fn call(client: &Client, url: &str, key: &str, body: &Value) -> (f64, f64) {
    let asked = Instant::now();
    let request = client.post(url).header("x-api-key", key).json(body);
    let mut answer = request.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
    let (mut seen, mut first) = (Vec::new(), None);
    while let Some(chunk) = answer.chunk().await.expect("the answer stays whole") {
        seen.extend_from_slice(&chunk);
        if first.is_none() && contains(&seen, b"content_block_delta") {
            first = Some(Instant::now());
        }
    }
    (ms(asked, first.expect("content")), ms(asked, Instant::now()))
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|part| part == text)
}
