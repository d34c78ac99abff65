//! A provider dies in the middle of many jobs.

use super::matrix::{Registry, ask_model};
use drover_tests::chat;
use drover_tests::client::Client;
use drover_tests::harness::ClaudeKind;
use drover_tests::upstream::{Upstream, words};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const JOBS: usize = 1_000;
const CLIENTS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_jobs_outlive_a_provider() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let registry = Registry::new().provider("first", &first).provider("second", &second);
    let registry = registry.model("m", "priority", &[("first", 3, 15), ("second", 3, 15)]);
    let cluster = registry.for_cluster().claude(ClaudeKind::Native).env("DROVER_SLOTS", "8").start().await;
    let next = Arc::new(AtomicUsize::new(0));
    let clients = (0..CLIENTS).map(|_| tokio::spawn(run(cluster.client(), Arc::clone(&next))));
    let clients: Vec<_> = clients.collect();
    while next.load(Ordering::Relaxed) < JOBS / 3 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    drop(first);
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for client in clients {
        for end in client.await.expect("a client") {
            *ends.entry(end).or_default() += 1;
        }
    }
    // Who had spoken when its provider died may tell so; everybody else was answered.
    let broken = ends.remove("stream_interrupted").unwrap_or(0);
    let answered = ends.remove("answered").unwrap_or(0);
    assert!(
        ends.is_empty() && answered + broken == JOBS && broken <= CLIENTS,
        "{ends:?} {answered} {broken}"
    );
    no_job_was_billed_twice(&cluster.client(), answered).await;
    assert!(second.calls().len() >= JOBS / 2, "{}", second.calls().len());
}

/// Runs jobs until there are enough. How each ended.
async fn run(client: Client, next: Arc<AtomicUsize>) -> Vec<String> {
    let mut ends = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= JOBS {
            return ends;
        }
        // Each a conversation of its own, so that none is at home with a provider.
        let mut body = ask_model("m", "say 3 words");
        body["messages"]
            .as_array_mut()
            .expect("a list")
            .insert(0, serde_json::json!({"role": "system", "content": format!("Job {number}.")}));
        let answer = client.post(chat::PATH, &body).await;
        let told = answer.json();
        if answer.status == 200 {
            assert_eq!(told["choices"][0]["message"]["content"], words(3));
            ends.push("answered".to_owned());
        } else {
            ends.push(told["error"]["code"].as_str().expect("a code").to_owned());
        }
    }
}

async fn no_job_was_billed_twice(client: &Client, answered: usize) {
    let usage = client.get("/v1/usage?group_by=job,outcome&limit=10000").await.json();
    assert_eq!(usage["truncated"], false);
    let rows = usage["data"].as_array().expect("rows");
    let whole: Vec<_> = rows.iter().filter(|row| row["outcome"] == "answered").collect();
    assert_eq!(whole.len(), answered);
    assert!(whole.iter().all(|row| row["calls"] == 1));
    // What failed before it had begun was not billed at all.
    let unbilled = rows.iter().filter(|row| row["outcome"] == "provider_unreachable");
    assert!(unbilled.clone().count() > 0 && unbilled.clone().all(|row| row["cost_microusd"] == 0));
}
