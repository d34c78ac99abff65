//! What calls cost, to the millionth of a dollar.

use super::matrix::{Registry, ask_model, job_of};
use drover_tests::chat::{self, streaming};
use drover_tests::client::{Client, PATIENCE};
use drover_tests::harness::{ClaudeKind, wait_for};
use drover_tests::upstream::{Upstream, Usage};
use serde_json::Value;

/// What a call costs at 3 dollars for a million tokens of the prompt and 15 of the answer, with the cache at a tenth
/// and at five quarters; reckoned in tenths of thousandths, by another way than the code's.
fn cost(usage: &Usage) -> u64 {
    let tenths = u64::from(usage.input_tokens) * 30_000
        + u64::from(usage.output_tokens) * 150_000
        + u64::from(usage.cache_read_input_tokens) * 3_000
        + u64::from(usage.cache_creation_input_tokens) * 37_500;
    tenths / 10_000 + u64::from(!tenths.is_multiple_of(10_000))
}

/// What the ledger has of a call.
fn figures(told: &Value) -> Usage {
    let count =
        |name: &str| told[name].as_u64().and_then(|count| u32::try_from(count).ok()).expect("a count");
    Usage {
        input_tokens: count("input_tokens"),
        output_tokens: count("output_tokens"),
        cache_read_input_tokens: count("cache_read_tokens"),
        cache_creation_input_tokens: count("cache_write_tokens"),
    }
}

async fn total(client: &Client, query: &str) -> Value {
    client.get(&format!("/v1/usage{query}")).await.json()["total"].clone()
}

#[tokio::test]
async fn costs_agree_with_a_table_computed_by_hand() {
    let upstream = Upstream::start();
    let registry = Registry::new().provider("only", &upstream).model("m", "priority", &[("only", 3, 15)]);
    let cluster = registry.for_cluster().claude(ClaudeKind::Native).start().await;
    let client = cluster.client();
    let mut expected = 0;
    for prompt in [
        "say 1 words",
        "say 40 words",
        "think 7 words then say 3 words",
        "say 2 words then error",
        "status 400",
    ] {
        let answer = client.post(chat::PATH, &ask_model("m", prompt)).await;
        let job = job_of(&client, &answer).await;
        // An answer that broke off was billed as far as the provider had told.
        let billed = upstream.calls_for(prompt).pop().expect("a call").usage;
        let told = &job["calls"][0]["usage"];
        let of_this = billed.map_or_else(|| cost(&figures(told)), |usage| cost(&usage));
        assert_eq!(job["cost_usd"], format!("0.{of_this:06}"), "{prompt}: {job}");
        assert_eq!(of_this == 0, prompt == "status 400", "{prompt}: {job}");
        expected += job["cost_microusd"].as_u64().expect("a number");
    }
    let sum = total(&client, "").await;
    assert_eq!(
        (&sum["calls"], &sum["failed_calls"], &sum["cost_microusd"]),
        (&5.into(), &2.into(), &expected.into())
    );
    let by = client.get("/v1/usage?group_by=day,provider,model").await.json();
    assert_eq!(by["data"].as_array().expect("rows").len(), 1, "{by}");
    assert_eq!(
        (&by["data"][0]["provider"], &by["data"][0]["cost_microusd"]),
        (&"only".into(), &expected.into())
    );
    let csv = client.get("/v1/usage?group_by=provider&format=csv").await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(csv.text().lines().nth(1).is_some_and(|line| line.starts_with("only,5,2,")), "{}", csv.text());
    let nothing = total(&client, "?model=other").await;
    assert_eq!((&nothing["calls"], &nothing["cost_usd"]), (&0.into(), &"0.000000".into()));
}

#[tokio::test]
async fn what_was_called_off_is_billed() {
    let upstream = Upstream::start();
    let registry = Registry::new().provider("only", &upstream).model("m", "priority", &[("only", 3, 15)]);
    let cluster = registry.for_cluster().start().await;
    let client = cluster.client();
    let mut stream = client.stream(chat::PATH, &streaming(ask_model("m", "say 400 words every 20ms"))).await;
    assert_eq!(stream.header("x-drover-provider"), Some("only"));
    let job = stream.header("x-drover-job-id").expect("a job").to_owned();
    for _ in 0..3 {
        stream.next().await.expect("the model speaks");
    }
    drop(stream);
    let told = wait_for("the job's bill", PATIENCE, async || {
        let job = client.get(&format!("/v1/jobs/{job}")).await.json();
        (job["status"] == "cancelled" && job["calls"][0].is_object()).then_some(job)
    })
    .await;
    assert_eq!(told["calls"][0]["outcome"], "broken_off");
    assert!(told["cost_microusd"].as_u64() > Some(0), "{told}");
}

#[tokio::test]
async fn usage_is_each_keys_own_and_comparable() {
    let upstream = Upstream::start();
    let registry = Registry::new().provider("dear", &upstream).provider("cheap", &upstream);
    let registry = registry.model("m", "priority", &[("dear", 30, 150), ("cheap", 3, 15)]);
    let cluster = registry.for_cluster().env("API_KEYS", "one,two").start().await;
    let (one, two) = (cluster.client().with_key("one"), cluster.client().with_key("two"));
    let answer = one.post(chat::PATH, &ask_model("m", "say 5 words")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(total(&two, "").await["calls"], 0);
    let cost = total(&one, "").await["cost_microusd"].as_u64().expect("a number");
    let compared = one.get("/v1/usage/comparison?days=1").await.json();
    let row = &compared["data"][0];
    assert_eq!((&row["model"], &row["usage"]["cost_microusd"]), (&"m".into(), &cost.into()));
    assert_eq!(row["recommendation"]["provider"], "cheap");
    let cheaper = row["recommendation"]["cost_microusd"].as_u64().expect("a number");
    assert!(cheaper.abs_diff(cost / 10) <= 1, "{cheaper} {cost}");
    assert_eq!(two.get("/v1/usage/comparison").await.json()["data"], Value::Array(vec![]));
    for (query, param) in [("?group_by=x", "group_by"), ("?colour=red", "colour"), ("?start=x", "start")] {
        let answer = one.get(&format!("/v1/usage{query}")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["param"]), (400, &param.into()));
    }
    assert_eq!(cluster.client().get("/v1/usage").await.status, 401);
    let capable = one.get("/v1/models/capabilities").await.json();
    assert_eq!(capable["data"][0]["routes"][0]["price_microusd_per_million"]["input"], 30_000_000);
}
