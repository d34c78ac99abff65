//! What keys may use: exactly so much, however many ask and wherever.

use std::collections::BTreeMap;
use std::time::Instant;

use drover_tests::chat::{self, ErrorBody, ask};
use drover_tests::client::{Answer, Client, PATIENCE};
use drover_tests::foreign::{self, Language};
use drover_tests::harness::{Cluster, wait_for};
use drover_tests::ledger;
use drover_tests::upstream::Upstream;
use futures_util::future::join_all;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// How many ask at once.
const AT_ONCE: usize = 200;

/// A cluster whose models are known and whose queue nobody works on: what is let through waits.
async fn without_workers() -> Cluster {
    let upstream = Upstream::start();
    let mut cluster = Cluster::builder().upstream(&upstream).env("API_KEYS", "admin").start().await;
    cluster.kill_worker(0, Signal::SIGTERM).await;
    cluster
}

async fn key(api: &Client, limits: Value) -> String {
    let mut body = json!({"name": "a key"});
    body.as_object_mut().expect("an object").extend(limits.as_object().expect("an object").clone());
    let made = api.clone().with_key("admin").post("/v1/keys", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()["key"].as_str().expect("a secret").to_owned()
}

fn in_background(prompt: &str) -> Value {
    let mut body = ask(prompt);
    body["background"] = true.into();
    body
}

/// Many ask at once, every other one of another api. How often each answer came, by its code.
async fn all_at_once(apis: &[Client], key: &str) -> (BTreeMap<String, usize>, Vec<Answer>) {
    for api in apis {
        let api = api.clone().with_key(key);
        let known = async || (api.get("/v1/models").await.status == 200).then_some(());
        wait_for("the key is known", PATIENCE, known).await;
    }
    let body = in_background("say 1 words");
    let asking = (0..AT_ONCE).map(|number| {
        let (api, body) = (apis[number % apis.len()].clone().with_key(key), body.clone());
        async move { api.post(chat::PATH, &body).await }
    });
    let answers = join_all(asking).await;
    let mut counts = BTreeMap::new();
    for answer in &answers {
        let code = match answer.status.as_u16() {
            202 => "added".to_owned(),
            _ => ErrorBody::of(&answer.json()).code,
        };
        *counts.entry(code).or_insert(0) += 1;
    }
    (counts, answers)
}

#[tokio::test]
async fn two_apis_let_through_what_the_limits_say_and_no_more() {
    let mut cluster = without_workers().await;
    let apis = [cluster.client(), cluster.add_api().await];

    let limited = key(&apis[0], json!({"requests_per_minute": 10})).await;
    let begun = Instant::now();
    let (counts, answers) = all_at_once(&apis, &limited).await;
    let added = counts["added"];
    // One more comes free in six seconds.
    let most = 10 + usize::try_from(begun.elapsed().as_secs() / 6).expect("a short time");
    assert!((10..=most).contains(&added), "{counts:?}");
    assert_eq!(
        counts,
        BTreeMap::from([("added".to_owned(), added), ("rate_limit_exceeded".to_owned(), AT_ONCE - added)])
    );
    for answer in &answers {
        assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("10"));
        assert!(answer.header("x-ratelimit-remaining-requests").is_some());
        assert!(answer.header("x-ratelimit-reset-requests").is_some_and(|reset| reset.ends_with('s')));
        if answer.status == 429 {
            assert_eq!(ErrorBody::of(&answer.json()).kind, "requests");
            let after: u64 = answer.header("retry-after").expect("a time").parse().expect("whole seconds");
            let after_ms: u64 =
                answer.header("retry-after-ms").expect("a time").parse().expect("milliseconds");
            assert!(
                (1..=6).contains(&after) && after_ms <= 6_000 && after == after_ms.div_ceil(1_000),
                "{after_ms}"
            );
        }
    }

    let queued = key(&apis[0], json!({"queued_jobs": 7})).await;
    let (counts, answers) = all_at_once(&apis, &queued).await;
    assert_eq!(counts, BTreeMap::from([("added".to_owned(), 7), ("key_queue_full".to_owned(), AT_ONCE - 7)]));
    assert!(
        answers.iter().all(|answer| answer.header("x-ratelimit-limit-requests").is_none()),
        "no such limit"
    );

    let full = apis[0].clone().with_key(&queued);
    let mut with_session = in_background("say 1 words");
    with_session["session_id"] = "new".into();
    assert_eq!(ErrorBody::of(&full.post(chat::PATH, &with_session).await.json()).code, "key_queue_full");
    assert_eq!(full.get("/v1/sessions").await.json()["data"], json!([]), "nor is anything begun for it");

    // As many as an answer is taken for, and more for each prompt.
    let tokens = key(&apis[0], json!({"tokens_per_minute": 5_000})).await;
    let (counts, answers) = all_at_once(&apis, &tokens).await;
    let most = 5_000 / 1_024 + 1;
    assert!((1..=most).contains(&counts["added"]), "{counts:?}");
    assert_eq!(counts["added"] + counts["rate_limit_exceeded"], AT_ONCE);
    let refused = answers.iter().find(|answer| answer.status == 429).expect("a refusal");
    assert_eq!(ErrorBody::of(&refused.json()).kind, "tokens");

    let jobs = ledger::job_ids(&cluster.database()).await.len();
    assert_eq!(jobs, added + 7 + counts["added"], "what was refused left nothing");
}

#[tokio::test]
async fn what_a_full_queue_refuses_leaves_nothing() {
    let upstream = Upstream::start();
    let builder = Cluster::builder().upstream(&upstream).env("DROVER_MAX_QUEUED", "1");
    let cluster = builder.start().await;
    let client = cluster.client();
    let mut later = in_background("say 1 words");
    let tomorrow = std::time::SystemTime::now() + std::time::Duration::from_hours(24);
    let tomorrow = tomorrow.duration_since(std::time::UNIX_EPOCH).expect("a time after 1970");
    later["run_at"] = tomorrow.as_secs().into();
    let waits = client.post(chat::PATH, &later).await;
    assert_eq!(waits.status, 202, "{}", waits.text());
    for more in [json!({"session_id": "new"}), json!({"agent": true})] {
        let mut body = later.clone();
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let refused = client.post(chat::PATH, &body).await;
        assert_eq!(
            (refused.status.as_u16(), ErrorBody::of(&refused.json()).code),
            (429, "queue_full".to_owned())
        );
    }
    for list in ["/v1/sessions", "/v1/projects"] {
        assert_eq!(client.get(list).await.json()["data"], json!([]), "{list}");
    }
}

#[tokio::test]
async fn one_of_several_keys_leaves_half_of_the_queue_to_others() {
    let upstream = Upstream::start();
    let builder = Cluster::builder().upstream(&upstream).env("API_KEYS", "admin");
    let mut cluster = builder.env("DROVER_MAX_QUEUED", "8").start().await;
    cluster.kill_worker(0, Signal::SIGTERM).await;
    let apis = [cluster.client(), cluster.add_api().await];
    let [many, other] = [key(&apis[0], json!({})).await, key(&apis[0], json!({})).await];
    let expected = |code: &str| BTreeMap::from([("added".to_owned(), 4), (code.to_owned(), AT_ONCE - 4)]);
    let (counts, answers) = all_at_once(&apis, &many).await;
    assert_eq!(counts, expected("queue_share_full"));
    let refused = answers.iter().find(|answer| answer.status == 429).expect("a refusal");
    assert!(refused.header("retry-after").is_some());
    let (counts, _) = all_at_once(&apis, &other).await;
    assert_eq!(counts, expected("queue_full"), "which is told apart");
}

#[tokio::test]
async fn a_budget_that_is_spent_lets_nothing_through() {
    let upstream = Upstream::start();
    let mut cluster = Cluster::builder().upstream(&upstream).env("API_KEYS", "admin").start().await;
    let apis = [cluster.client(), cluster.add_api().await];
    for budget in ["daily_budget_usd", "monthly_budget_usd"] {
        let calls = upstream.calls().len();
        let poor = key(&apis[0], json!({budget: "0.000001"})).await;
        let answer = apis[0].clone().with_key(&poor).post(chat::PATH, &ask("say 2 words")).await;
        assert_eq!(answer.status, 200, "there is something left: {}", answer.text());
        let (counts, answers) = all_at_once(&apis, &poor).await;
        assert_eq!(counts, BTreeMap::from([("insufficient_quota".to_owned(), AT_ONCE)]), "{budget}");
        let refused = &answers[0];
        assert_eq!((refused.header("x-should-retry"), refused.header("retry-after")), (Some("false"), None));
        assert_eq!(
            (refused.status.as_u16(), ErrorBody::of(&refused.json()).kind.as_str()),
            (429, "insufficient_quota")
        );
        assert_eq!(upstream.calls().len(), calls + 1, "nothing is spent");
    }
}

#[tokio::test]
async fn one_keys_many_jobs_do_not_starve_anothers_one() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder()
        .upstream(&upstream)
        .env("API_KEYS", "admin")
        .env("DROVER_SLOTS", "1")
        .start()
        .await;
    let api = cluster.client();
    let many = api.clone().with_key(key(&api, json!({})).await);
    let one = api.clone().with_key(key(&api, json!({})).await);
    let body = in_background("say 2 words");
    let asking = (0..40).map(|_| many.post(chat::PATH, &body));
    assert!(join_all(asking).await.iter().all(|answer| answer.status == 202));
    let before = ledger::begun(&cluster.database()).await.len();
    let answer = one.post(chat::PATH, &ask("say 3 words")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let begun = ledger::begun(&cluster.database()).await;
    let position = begun.iter().position(|owner| *owner != begun[0]).expect("the other's job was begun");
    // One may have been claimed before it came, and one have had its turn in the same moment.
    assert!(position <= before + 2 && before < 38, "{position} were begun before it, {before} when it came");
}

#[tokio::test]
async fn the_sdk_waits_as_it_is_told_and_gives_up_where_it_must() {
    let cluster = without_workers().await;
    let api = cluster.client();
    let limited = key(&api, json!({"requests_per_minute": 60})).await;
    let poor = key(&api, json!({"daily_budget_usd": 0})).await;
    let base = format!("{}/v1", cluster.api_url());
    let environment = [
        ("OPENAI_BASE_URL", base.as_str()),
        ("OPENAI_API_KEY", limited.as_str()),
        ("POOR_KEY", poor.as_str()),
    ];
    foreign::run(Language::Python, &foreign::script("limits.py"), &environment).await;
}
