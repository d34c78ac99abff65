//! Every way in which a provider fails, with another one behind it and without.

use super::matrix::{Registry, ask_model, job_of, key_of, provider};
use drover_tests::chat;
use drover_tests::upstream::{Upstream, words};
use std::path::{Path, PathBuf};

/// What a provider does, the status and the code of an answer where nobody else is asked, and whether it is asked
/// only once in any case.
const FAILURES: [(&str, u16, &str, bool); 14] = [
    ("status 401", 502, "provider_auth_failed", true),
    ("status 402", 502, "provider_billing_failed", true),
    ("status 403", 502, "provider_auth_failed", true),
    ("status 404 \"no such model\"", 404, "model_not_found", true),
    ("status 429 retry-after 60", 429, "provider_rate_limited", true),
    ("status 500", 502, "provider_error", false),
    ("status 529", 503, "provider_overloaded", false),
    ("reset before headers", 502, "provider_unreachable", false),
    ("stall before headers", 502, "provider_unreachable", false),
    ("content-type text/html", 502, "provider_error", false),
    ("redirect", 502, "provider_error", false),
    ("error", 503, "provider_overloaded", false),
    ("reset", 502, "stream_interrupted", false),
    ("truncate", 502, "stream_interrupted", false),
];

#[tokio::test]
async fn another_provider_answers_for_one_that_fails() {
    let good = Upstream::always("say 3 words");
    let bad: Vec<Upstream> = FAILURES.iter().map(|(script, ..)| Upstream::always(script)).collect();
    let mut registry = Registry::new().provider("good", &good);
    for (number, upstream) in bad.iter().enumerate() {
        let id = format!("bad-{number}");
        registry = registry.provider(&id, upstream);
        registry = registry.model(&format!("both-{number}"), "priority", &[(&id, 1, 1), ("good", 1, 1)]);
        registry = registry.model(&format!("alone-{number}"), "priority", &[(&id, 1, 1)]);
    }
    let cluster = registry.for_cluster().env("DROVER_PROVIDER_ATTEMPTS", "2").start().await;
    let client = cluster.client();
    for (number, (script, status, code, once)) in FAILURES.iter().enumerate() {
        let id = format!("bad-{number}");
        let answer = client.post(chat::PATH, &ask_model(&format!("both-{number}"), "hello")).await;
        assert_eq!(answer.status, 200, "{script}: {}", answer.text());
        assert_eq!(answer.json()["choices"][0]["message"]["content"], words(3), "{script}");
        assert_eq!(answer.header("x-drover-provider"), Some("good"), "{script}");
        assert_eq!(answer.header("x-drover-attempts"), Some("2"), "{script}");
        let job = job_of(&client, &answer).await;
        let calls = job["calls"].as_array().expect("calls");
        let told: Vec<_> =
            calls.iter().map(|call| (call["provider"].as_str(), call["outcome"].as_str())).collect();
        assert_eq!(told, [(Some(id.as_str()), Some(*code)), (Some("good"), Some("answered"))], "{script}");
        assert_eq!(bad[number].calls().len(), 1, "{script}");

        let before = bad[number].calls().len();
        let answer = client.post(chat::PATH, &ask_model(&format!("alone-{number}"), "hello")).await;
        let error = answer.json();
        assert_eq!(answer.status, *status, "{script}: {error}");
        // The one key that there is was refused before, and is asked all the same; not so while its limit is reached.
        let asked = match (*status, *once) {
            (429, _) => 0,
            (_, true) => 1,
            (_, false) => 2,
        };
        assert_eq!(bad[number].calls().len() - before, asked, "{script}");
        assert_eq!(error["error"]["code"], *code, "{script}");
        // Workers tell how providers do with their heartbeats.
        let calls = before + asked;
        drover_tests::harness::wait_for("the provider's health", chat_patience(), async || {
            let told = provider(&client, &id).await;
            (told["failures"] == calls && told["calls"] == calls).then_some(())
        })
        .await;
        if *once && *status != 404 {
            assert_eq!(provider(&client, &id).await["state"], "no_key", "{script}");
        }
    }
    assert_eq!(good.calls().len(), FAILURES.len());
    no_key_is_told(cluster.dir(), &cluster.logs(), FAILURES.len());
}

fn chat_patience() -> std::time::Duration {
    drover_tests::client::PATIENCE
}

/// No key is in a log, in the database or in any other file of the cluster.
fn no_key_is_told(dir: &Path, logs: &str, providers: usize) {
    let keys: Vec<String> =
        (0..providers).map(|n| key_of(&format!("bad-{n}"))).chain([key_of("good")]).collect();
    for key in &keys {
        assert!(!logs.contains(key), "{key} is in a log");
    }
    for file in files(dir) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        for key in &keys {
            let found = bytes.windows(key.len()).any(|part| part == key.as_bytes());
            assert!(!found, "{key} is in {}", file.display());
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a directory").flatten();
    let each = entries.flat_map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files(&entry.path()),
        Ok(kind) if kind.is_file() => vec![entry.path()],
        _ => Vec::new(),
    });
    each.collect()
}

#[tokio::test]
async fn a_clients_own_provider_is_refused_and_asked_nothing() {
    let (good, theirs) = (Upstream::always("say 3 words"), Upstream::start());
    let registry = Registry::new().provider("good", &good).model("m", "priority", &[("good", 1, 1)]);
    let cluster = registry.for_cluster().start().await;
    let client = cluster.client();
    for field in ["base_url", "api_base", "api_key"] {
        let mut body = ask_model("m", "hello");
        body[field] = theirs.url().into();
        let answer = client.post(chat::PATH, &body).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["param"]), (400, &field.into()));
    }
    for model in ["nobody/m", "good/other", "other"] {
        let answer = client.post(chat::PATH, &ask_model(model, "hello")).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["code"]),
            (404, &"model_not_found".into())
        );
    }
    let answer = client.post(chat::PATH, &ask_model("good/m", "hello")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((good.calls().len(), theirs.calls().len()), (1, 0));
    assert_eq!(good.calls()[0].headers["authorization"], format!("Bearer {}", key_of("good")));
}
