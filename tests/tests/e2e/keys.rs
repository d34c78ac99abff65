//! Keys that are made while Drover runs: from the command line, and over HTTP.

use drover_tests::chat::{self, ErrorBody, ask};
use drover_tests::client::{Answer, Client, PATIENCE};
use drover_tests::harness::{Cluster, wait_for};
use drover_tests::upstream::Upstream;
use reqwest::Method;
use serde_json::{Value, json};

/// What the command line says of a new key: its identifier, and its secret.
fn created(cluster: &Cluster, arguments: &[&str]) -> (String, String) {
    let said = cluster.command(&[&["keys", "create"], arguments].concat());
    let (id, secret) = said.trim().split_once(' ').expect("an identifier and a secret");
    (id.to_owned(), secret.to_owned())
}

async fn status(client: &Client, path: &str) -> u16 {
    client.get(path).await.status.as_u16()
}

/// Waits until an answer has this status: what another process has changed counts within a second.
async fn until(client: &Client, path: &str, expected: u16) {
    let what = format!("{path} answers {expected}");
    wait_for(&what, PATIENCE, async || (status(client, path).await == expected).then_some(())).await;
}

fn code(answer: &Answer) -> String {
    ErrorBody::of(&answer.json()).code
}

#[tokio::test]
async fn keys_are_made_used_and_revoked_on_every_api() {
    let upstream = Upstream::start();
    let mut cluster = Cluster::builder().upstream(&upstream).start().await;
    let (one, two) = (cluster.client(), cluster.add_api().await);
    assert_eq!(status(&one, "/v1/models").await, 200, "no key, no lock");
    assert_eq!(code(&one.post("/v1/keys", &json!({"name": "x"})).await), "insufficient_scope");

    let (admin_id, admin_secret) = created(&cluster, &["--name", "the house", "--scopes", "admin"]);
    for api in [&one, &two] {
        until(api, "/v1/models", 401).await;
    }
    let admin = one.clone().with_key(&admin_secret);
    assert_eq!(status(&admin, "/v1/keys").await, 200);
    assert_eq!(code(&admin.post(chat::PATH, &ask("say 1 words")).await), "insufficient_scope");

    let made = admin.post("/v1/keys", &json!({"name": "Ann", "scopes": ["chat"]})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let (id, secret) = (made["id"].as_str().expect("an id"), made["key"].as_str().expect("a secret"));
    let ann = one.clone().with_key(secret);
    let answer = ann.post(chat::PATH, &ask("say 2 words")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let job = answer.header("x-drover-job-id").expect("a job").to_owned();
    let ann_elsewhere = two.clone().with_key(secret);
    until(&ann_elsewhere, "/v1/models", 200).await;
    // What is another's is not there, and what no scope opens is shut.
    assert_eq!(code(&ann.get("/v1/providers").await), "insufficient_scope");
    assert_eq!(code(&ann.get("/v1/keys").await), "insufficient_scope");
    let (_, other) = created(&cluster, &["--name", "Bob", "--scopes", "chat,jobs"]);
    let bob = two.clone().with_key(&other);
    until(&bob, "/v1/models", 200).await;
    assert_eq!(code(&bob.get(&format!("/v1/jobs/{job}")).await), "job_not_found");
    assert_eq!(code(&bob.get(&format!("/v1/jobs/{job}/events")).await), "job_not_found");
    let used = admin.get(&format!("/v1/usage?key_id={id}")).await.json();
    assert_eq!(used["total"]["calls"], 1, "{used}");
    assert_eq!(bob.get(&format!("/v1/usage?key_id={id}")).await.status, 403);

    let revoked = Answer::of(admin.request(Method::DELETE, &format!("/v1/keys/{id}"))).await;
    assert_eq!(revoked.json()["status"], "revoked");
    assert_eq!(status(&ann, "/v1/models").await, 401, "here at once");
    until(&ann_elsewhere, "/v1/models", 401).await;
    let listed = cluster.command(&["keys", "list"]);
    assert!(listed.contains(&format!("{id} revoked chat Ann")), "{listed}");
    cluster.command(&["keys", "revoke", &admin_id]);
    until(&admin, "/v1/keys", 401).await;
    until(&one, "/v1/models", 401).await;

    let database = std::fs::read(cluster.database()).expect("the database");
    let wal = std::fs::read(cluster.database().with_extension("db-wal")).unwrap_or_default();
    let logs = cluster.logs();
    for secret in [&admin_secret[..], secret, &other] {
        let shows = |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!logs.contains(secret) && !shows(&database) && !shows(&wal), "a secret is kept nowhere");
    }
    assert!(!listed.contains("sk-drover"), "{listed}");
}

#[tokio::test]
async fn an_expired_key_opens_nothing() {
    let cluster = Cluster::builder().workers(0).env("API_KEYS", "admin").start().await;
    let admin = cluster.client().with_key("admin");
    let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
    let made = admin.post("/v1/keys", &json!({"name": "brief", "expires_at": now + 2})).await.json();
    let brief = cluster.client().with_key(made["key"].as_str().expect("a secret"));
    until(&brief, "/v1/models", 401).await;
    let shown = admin.get(&format!("/v1/keys/{}", made["id"].as_str().expect("an id"))).await.json();
    assert_eq!((&shown["status"], &shown["key"]), (&Value::from("expired"), &Value::Null));
    let message = ErrorBody::of(&brief.get("/v1/models").await.json()).message;
    assert_eq!(message, "The API key has expired.");
}

#[tokio::test]
async fn an_api_whose_only_key_is_gone_starts_all_the_same_and_lets_nobody_in() {
    let mut cluster = Cluster::builder().workers(0).start().await;
    let (id, secret) = created(&cluster, &["--name", "gone"]);
    cluster.command(&["keys", "revoke", &id]);
    // It is loopback, but not one of the addresses that are known to be.
    let beyond = cluster.add_api_with("HOST", "::ffff:127.0.0.1").await;
    assert_eq!(status(&beyond, "/v1/models").await, 401);
    let message = ErrorBody::of(&beyond.with_key(secret).get("/v1/models").await.json()).message;
    assert_eq!(message, "The API key was revoked.");
}

#[tokio::test]
async fn a_key_of_the_store_is_revoked_though_it_is_configured() {
    let mut cluster = Cluster::builder().workers(0).start().await;
    let (id, secret) = created(&cluster, &["--name", "both", "--scopes", "chat"]);
    let keys = format!("{secret},other");
    let api = cluster.add_api_with("API_KEYS", &keys).await;
    let (both, other) = (api.clone().with_key(&secret), api.with_key("other"));
    assert_eq!(status(&both, "/v1/keys").await, 403, "its scopes are those of the store");
    assert_eq!(status(&other, "/v1/keys").await, 200);
    cluster.command(&["keys", "revoke", &id]);
    until(&both, "/v1/models", 401).await;
    assert_eq!(status(&other, "/v1/keys").await, 200);
}
