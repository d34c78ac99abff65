//! Who may ask for what, and what the api tells about the fleet.

use drover_tests::chat::{self, ErrorBody, Spoken, ask, streaming};
use drover_tests::client::{Answer, Client, PATIENCE};
use drover_tests::harness::{ClaudeKind, Cluster, MODEL, wait_for};
use drover_tests::ledger;
use drover_tests::upstream::Upstream;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn only_keys_open_and_only_to_what_is_theirs() {
    let upstream = Upstream::start();
    let builder = Cluster::builder().upstream(&upstream).env("API_KEYS", "key-of-ann, key-of-bob");
    let cluster = builder.env("REQUIRE_AUTH", "true").start().await;
    strangers_are_refused(&cluster, &upstream).await;

    let ann = cluster.client().with_key("key-of-ann");
    let answer = ann.post(chat::PATH, &ask("say 2 words")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let job = answer.header("x-drover-job-id").expect("a job").to_owned();
    let as_header = cluster.client().request(Method::GET, &format!("/v1/jobs/{job}"));
    assert_eq!(Answer::of(as_header.header("x-api-key", "key-of-ann")).await.status, 200);

    let bob = cluster.client().with_key("key-of-bob");
    assert_eq!(bob.get("/v1/models").await.status, 200);
    for (method, path) in job_routes(&job) {
        let answer = Answer::of(bob.request(method, &path)).await;
        assert_eq!((answer.status.as_u16(), code(&answer)), (404, "job_not_found".to_owned()), "{path}");
    }
    assert_eq!(ann.get(&format!("/v1/jobs/{job}")).await.json()["status"], "completed");
    let logs = cluster.logs();
    assert!(!logs.contains("key-of-ann") && !logs.contains("key-of-bob"), "no key is logged");
}

async fn strangers_are_refused(cluster: &Cluster, upstream: &Upstream) {
    let nobody = cluster.client();
    let strangers = [nobody.clone(), nobody.clone().with_key("wrong"), nobody.clone().with_key("key-of-an")];
    let job = format!("job_{}", "0".repeat(32));
    let mut routes = job_routes(&job);
    let stored = format!("{}/chatcmpl-1", chat::PATH);
    routes.extend([Method::GET, Method::POST, Method::DELETE].map(|method| (method, stored.clone())));
    routes.extend([(Method::GET, chat::PATH.to_owned()), (Method::GET, format!("{stored}/messages"))]);
    routes.extend([(Method::GET, "/v1/models".to_owned()), (Method::GET, format!("/v1/models/{MODEL}"))]);
    for stranger in &strangers {
        let chat = stranger.post(chat::PATH, &ask("say 1 words")).await;
        assert_unauthorised(&chat);
        for (method, path) in &routes {
            assert_unauthorised(&Answer::of(stranger.request(method.clone(), path)).await);
        }
        for path in ["/livez", "/readyz"] {
            assert_eq!(stranger.get(path).await.status, 200, "probes have no key");
        }
        assert!(stranger.get("/health").await.json().get("workers").is_none(), "strangers see sums only");
    }
    let as_header = nobody.request(Method::GET, "/v1/models").header("x-api-key", "wrong");
    assert_unauthorised(&Answer::of(as_header).await);
    assert!(upstream.calls().is_empty() && ledger::job_ids(&cluster.database()).await.is_empty());
}

fn assert_unauthorised(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), code(answer)), (401, "invalid_api_key".to_owned()));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

fn code(answer: &Answer) -> String {
    ErrorBody::of(&answer.json()).code
}

fn job_routes(job: &str) -> Vec<(Method, String)> {
    vec![
        (Method::GET, format!("/v1/jobs/{job}")),
        (Method::GET, format!("/v1/jobs/{job}/events")),
        (Method::POST, format!("/v1/jobs/{job}/cancel")),
    ]
}

#[tokio::test]
async fn health_counts_what_runs() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().claude(ClaudeKind::Native).upstream(&upstream).workers(2).start().await;
    let client = cluster.client();
    let idle = wait_for_health(&client, "both workers are seen", |health| health["workers_alive"] == 2).await;
    assert_eq!(idle["status"], "healthy");
    assert_eq!(idle["version"], env!("CARGO_PKG_VERSION"));
    assert!(idle["claude_version"].as_str().is_some_and(|version| version.starts_with("2.")), "{idle}");
    assert_eq!(idle["queue"], json!({"queued": 0, "scheduled": 0, "running": 0, "oldest_queued_ms": null}));
    assert!(idle["zombie_processes_cleaned"].is_u64(), "{idle}");
    assert!(idle["models"].as_array().is_some_and(|models| models.contains(&json!(MODEL))), "{idle}");

    let mut chat = client.stream(chat::PATH, &streaming(ask("say 4000 words every 50ms"))).await;
    let job = chat.header("x-drover-job-id").expect("a job").to_owned();
    chat.next().await.expect("the model speaks");
    let busy =
        |health: &Value| health["active_sessions"] == 1 && health["claude_processes"].as_u64() > Some(0);
    let health = wait_for_health(&client, "the heartbeats tell of the job", busy).await;
    assert_eq!(health["queue"]["running"], 1, "{health}");
    let path = format!("/v1/jobs/{job}/cancel");
    assert_eq!(Answer::of(client.request(Method::POST, &path)).await.status, 200);
    assert!(Spoken::of(chat).await.error.is_some());
    let over = |health: &Value| {
        let waiting = |what| health["pool"][what].as_u64().unwrap_or_default();
        let spares = waiting("chat_spares") + waiting("agent_spares");
        let processes = waiting("kept") + waiting("residents") + spares;
        health["active_sessions"] == 0 && waiting("kept") == 1 && health["claude_processes"] == processes
    };
    let health = wait_for_health(&client, "the heartbeats tell of its end", over).await;
    assert_eq!(health["queue"]["running"], 0, "{health}");
}

async fn wait_for_health(client: &Client, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, PATIENCE, async || Some(client.get("/health").await.json()).filter(&holds)).await
}
