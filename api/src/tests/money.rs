//! What calls cost, who is asked, and what there is to ask.

use drover_shared::schema::offer::{
    KeyHealth, KeyState, Model, Price, Provider, ProviderHealth, ProviderState, Route, Tariff,
};
use drover_shared::schema::{
    Call as Billed, CallOutcome, Dimension, Offer, Owner, Usage, UsageRow, WorkerReport,
};
use serde_json::{Value, json};

use super::client::Call;
use super::{Api, NOW_MS, STREAM, health, offer};

/// What one model was used for.
fn used(model: &str, calls: u64, cost_microusd: u64) -> UsageRow {
    UsageRow {
        group: vec![(Dimension::Model, Some(model.to_owned()))],
        calls,
        failed_calls: 1,
        usage: Usage { input_tokens: 1_000_000, output_tokens: 10, cost_microusd, ..Usage::default() },
    }
}

#[tokio::test]
async fn usage_is_told_by_group_with_its_total() {
    let api = Api::start().await;
    api.store.lock().usage = vec![used("a", 2, 1_500_000), used("b", 3, 7), used("c", 1, 1)];
    let body = api.get("/v1/usage?group_by=model&limit=2&start=2023-11-01&provider=p").await.json().await;
    let figures = |calls: u64, failed: u64, input: u64, output: u64, microusd: u64, usd: &str| {
        json!({
            "calls": calls, "failed_calls": failed, "input_tokens": input, "output_tokens": output,
            "cache_read_tokens": 0, "cache_write_tokens": 0, "thinking_tokens": 0, "web_searches": 0,
            "cost_microusd": microusd, "cost_usd": usd, "unpriced_calls": 0,
        })
    };
    let of = |model: &str, mut row: Value| {
        row["model"] = json!(model);
        row
    };
    let expected = json!({
        "object": "list",
        "data": [
            of("a", figures(2, 1, 1_000_000, 10, 1_500_000, "1.500000")),
            of("b", figures(3, 1, 1_000_000, 10, 7, "0.000007")),
        ],
        "total": figures(6, 3, 3_000_000, 30, 1_500_008, "1.500008"),
        "start": 1_698_796_800,
        "end": NOW_MS / 1_000,
        "group_by": ["model"],
        "truncated": true,
    });
    assert_eq!(body, expected);
    let state = api.store.lock();
    for query in &state.asked {
        assert_eq!(query.owner, Some(Owner::anonymous()));
        assert_eq!(query.only, [(Dimension::Provider, "p".to_owned())]);
    }
    assert_eq!(state.asked.len(), 2);
}

#[tokio::test]
async fn usage_is_a_table_for_whoever_wants_one() {
    let api = Api::start().await;
    api.store.lock().usage = vec![used("a", 2, 3)];
    for (query, accept, is_table) in [
        ("&format=csv", "", true),
        ("", "text/csv", true),
        ("", "Text/CSV;q=0.9, */*;q=0.1", true),
        ("", "application/json, text/csv", false),
        ("", "*/*", false),
        ("&format=json", "text/csv", false),
        ("&format=csv", "application/json", true),
    ] {
        let call = Call::get(&format!("/v1/usage?group_by=model{query}")).header("accept", accept);
        let mut answer = call.send(api.address).await;
        let kind = if is_table { "text/csv; charset=utf-8" } else { "application/json" };
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, kind), "{query} {accept}");
        let text = answer.rest().await.expect("a body");
        assert_eq!(text.starts_with("model,calls,"), is_table, "{query} {accept}: {text}");
    }
}

#[tokio::test]
async fn a_table_that_was_cut_says_so() {
    let api = Api::start().await;
    api.store.lock().usage = vec![used("a", 2, 3), used("b", 1, 1)];
    for (limit, rows, told) in [(1, 1, "true"), (2, 2, "")] {
        let path = format!("/v1/usage?group_by=model&format=csv&limit={limit}");
        let mut answer = api.get(&path).await;
        assert_eq!(answer.header("x-drover-truncated"), told, "{limit}");
        assert_eq!(answer.rest().await.expect("a body").lines().count(), rows + 1);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_named() {
    let api = Api::start().await;
    for (path, code, param) in [
        ("/v1/usage?start=x", "invalid_value", "start"),
        ("/v1/usage?end=2026-13-01", "invalid_value", "end"),
        ("/v1/usage?group_by=day,colour", "invalid_value", "group_by"),
        ("/v1/usage?limit=0", "invalid_value", "limit"),
        ("/v1/usage?format=xml", "invalid_value", "format"),
        ("/v1/usage?model=a&model=b", "invalid_value", "model"),
        ("/v1/usage?owner=key_1", "unknown_parameter", "owner"),
        ("/v1/usage?job_id=5", "invalid_value", "job_id"),
        ("/v1/usage/comparison?days=0", "invalid_value", "days"),
        ("/v1/usage/comparison?days=91", "invalid_value", "days"),
        ("/v1/usage/comparison?start=1", "unknown_parameter", "start"),
    ] {
        let answer = api.get(path).await;
        assert_eq!(answer.status, 400, "{path}");
        let error = answer.json().await["error"].take();
        assert_eq!((&error["code"], &error["param"]), (&json!(code), &json!(param)), "{path}");
    }
    assert!(api.store.lock().asked.is_empty(), "nothing is looked up for a bad request");
}

#[tokio::test]
async fn a_key_sees_what_it_used_itself() {
    let api = Api::with(|settings| settings.api_keys = vec!["mine".to_owned(), "yours".to_owned()]).await;
    for path in ["/v1/usage", "/v1/usage?group_by=key", "/v1/usage/comparison"] {
        for key in ["mine", "yours"] {
            assert_eq!(Call::get(path).header("x-api-key", key).send(api.address).await.status, 200);
            let asked = std::mem::take(&mut api.store.lock().asked);
            let mut owners: Vec<_> = asked.into_iter().map(|query| query.owner.expect("an owner")).collect();
            owners.dedup();
            let other = if key == "mine" { "yours" } else { "mine" };
            assert_eq!(owners, [owner(&api, key).await], "{path}");
            assert_ne!(owners, [owner(&api, other).await], "{path}");
        }
    }
}

async fn owner(api: &Api, key: &str) -> Owner {
    let headers = [("x-api-key".parse().expect("a name"), key.parse().expect("a value"))];
    api.app.keys.caller(&headers.into_iter().collect()).await.expect("a key").owner
}

/// Model `m` at a dear and a cheap provider, and `less` at the cheap one, where it costs least.
fn market() -> Offer {
    let provider =
        |id: &str| Provider { id: id.to_owned(), name: id.to_uppercase(), keys: 1, lacks: Vec::new() };
    let route = |at: &str, input: u64| Route {
        provider: at.to_owned(),
        model: "up".to_owned(),
        weight: 1,
        tariff: Some(Tariff { price: Price { input, output: input, ..Price::default() }, long: None }),
    };
    let mut offer = offer(&["m", "less"]);
    offer.providers = vec![provider("dear"), provider("cheap")];
    offer.aliases = [("old-m".to_owned(), "m".to_owned())].into();
    for model in &mut offer.models {
        let Model { id, routes, abilities, .. } = model;
        abilities.tools = true;
        abilities.vision = id == "m";
        *routes = match id.as_str() {
            "m" => vec![route("dear", 9_000_000), route("cheap", 4_000_000)],
            _ => vec![route("cheap", 1_000_000)],
        };
    }
    offer
}

#[tokio::test]
async fn usage_is_compared_with_what_it_would_cost_elsewhere() {
    let api = Api::start().await;
    api.store.lock().fleet.offers = vec![market()];
    api.store.lock().usage = vec![used("less", 1, 1_000_010), used("m", 1, 9_000_090)];
    let body = api.get("/v1/usage/comparison?days=7").await.json().await;
    assert_eq!((&body["object"], &body["days"]), (&json!("usage.comparison"), &json!(7)));
    assert!(body["note"].as_str().is_some_and(|note| note.contains("Quality is not compared")), "{body}");
    assert_eq!(api.store.lock().asked[0].since_ms, NOW_MS - 7 * 86_400_000);
    let [less, m] = body["data"].as_array().expect("a list").as_slice() else { panic!("two: {body}") };
    assert_eq!(less["recommendation"], Value::Null, "nobody sells it for less");
    assert_eq!(less["cheapest_other_model"], Value::Null);
    let cheap = json!({
        "model": "m", "provider": "cheap", "has_key": true, "cost_microusd": 4_000_040, "cost_usd": "4.000040",
    });
    assert_eq!(m["recommendation"], cheap);
    assert_eq!(m["same_model"].as_array().expect("a list").len(), 2);
    assert_eq!(m["cheapest_other_model"], Value::Null, "the cheaper model sees no images");
}

#[tokio::test]
async fn providers_are_what_all_workers_say_together() {
    let api = Api::start().await;
    let health = |id: &str, state, calls, first_byte_ms| ProviderHealth {
        id: id.to_owned(),
        state,
        until_ms: None,
        first_byte_ms: Some(first_byte_ms),
        calls,
        failures: 1,
        keys: vec![KeyHealth {
            fingerprint: "0badcafe".to_owned(),
            state: KeyState::Limited,
            until_ms: Some(5),
        }],
    };
    let (ready, resting, no_key) = (ProviderState::Ready, ProviderState::Resting, ProviderState::NoKey);
    {
        let mut state = api.store.lock();
        state.fleet.offers = vec![market()];
        state.fleet.alive = vec![
            worker("a", vec![health("dear", resting, 2, 80), health("cheap", no_key, 0, 0)]),
            worker("b", vec![health("dear", ready, 5, 40), health("cheap", resting, 1, 9)]),
        ];
    }
    let body = api.get("/v1/providers").await.json().await;
    let told: Vec<_> = body["data"].as_array().expect("a list").iter().collect();
    assert_eq!(
        (&told[0]["id"], &told[0]["name"], &told[0]["keys"]),
        (&json!("dear"), &json!("DEAR"), &json!(1))
    );
    assert_eq!((&told[0]["state"], &told[0]["first_byte_ms"]), (&json!("ready"), &json!(40)));
    assert_eq!((&told[0]["calls"], &told[0]["failures"]), (&json!(7), &json!(2)));
    assert_eq!(
        told[0]["key_states"][0],
        json!({"fingerprint": "0badcafe", "state": "limited", "until_ms": 5})
    );
    assert_eq!(told[0]["models"], json!(["m"]));
    assert_eq!((&told[1]["state"], &told[1]["models"]), (&json!("resting"), &json!(["m", "less"])));
}

fn worker(id: &str, providers: Vec<ProviderHealth>) -> WorkerReport {
    WorkerReport { providers, ..health::worker(id, None, 0) }
}

#[tokio::test]
async fn abilities_are_told_of_every_model() {
    let api = Api::start().await;
    api.store.lock().fleet.offers = vec![market()];
    let body = api.get("/v1/models/capabilities").await.json().await;
    assert_eq!(body["object"], "list", "it is no model of that name: {body}");
    let [less, m] = body["data"].as_array().expect("a list").as_slice() else { panic!("two: {body}") };
    assert_eq!((&less["id"], &less["vision"], &less["aliases"]), (&json!("less"), &json!(false), &json!([])));
    assert_eq!((&m["id"], &m["vision"], &m["tools"]), (&json!("m"), &json!(true), &json!(true)));
    assert_eq!((&m["aliases"], &m["policy"]), (&json!(["old-m"]), &json!("priority")));
    let cheap = &m["routes"][1];
    assert_eq!((&cheap["provider"], &cheap["model"]), (&json!("cheap"), &json!("up")));
    assert_eq!(cheap["price_microusd_per_million"]["input"], 4_000_000);
}

#[tokio::test]
async fn a_job_tells_its_calls_and_what_all_of_them_cost() {
    let api = Api::start().await;
    let _asked = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    api.store.lock().calls = vec![Billed {
        job,
        attempt: 1,
        number: 1,
        owner: Owner::anonymous(),
        session: None,
        project: None,
        model: "opus".to_owned(),
        provider: "p".to_owned(),
        provider_key: "0badcafe".to_owned(),
        upstream_model: "up".to_owned(),
        started_at_ms: NOW_MS,
        first_byte_ms: Some(12),
        took_ms: 34,
        outcome: CallOutcome::BrokenOff,
        usage: Usage { input_tokens: 3, cost_microusd: 5, ..Usage::default() },
    }];
    // More calls than are told.
    api.store.lock().usage = vec![used("opus", 1_001, 2_000_000)];
    let body = api.get(&format!("/v1/jobs/{job}")).await.json().await;
    assert_eq!((&body["cost_microusd"], &body["cost_usd"]), (&json!(2_000_000), &json!("2.000000")));
    let call = &body["calls"][0];
    assert_eq!(
        (&call["provider"], &call["model"], &call["outcome"]),
        (&json!("p"), &json!("up"), &json!("broken_off"))
    );
    assert_eq!((&call["first_byte_ms"], &call["took_ms"]), (&json!(12), &json!(34)));
    assert_eq!((&call["usage"]["input_tokens"], &call["usage"]["cost_usd"]), (&json!(3), &json!("0.000005")));
    assert_eq!(api.store.lock().asked[0].only, [(Dimension::Job, job.to_string())]);
}
