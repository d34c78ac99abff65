//! Jobs, their events and the processes that run them.

use drover_tests::client::{Client, Events, Frame, PATIENCE};
use drover_tests::harness::{Cluster, Kin, read_process, wait_for, wait_until};
use reqwest::Method;
use serde_json::Value;

/// The job as the api shows it.
pub(crate) async fn show(client: &Client, job: &str) -> Value {
    client.get(&format!("/v1/jobs/{job}")).await.json()
}

/// The job once it has ended.
pub(crate) async fn ended(client: &Client, job: &str) -> Value {
    wait_for(&format!("{job} has ended"), 2 * PATIENCE, async || {
        let shown = show(client, job).await;
        let open = ["queued", "running"].iter().any(|state| shown["status"] == *state);
        (!open && shown["status"].is_string()).then_some(shown)
    })
    .await
}

/// Opens the job's events after a sequence number, as a client does that reconnects.
pub(crate) async fn follow(client: &Client, job: &str, after: u64) -> Events {
    let path = format!("/v1/jobs/{job}/events");
    Events::open(client.request(Method::GET, &path).header("last-event-id", after.to_string())).await
}

/// The job's events after a sequence number, to the end.
pub(crate) async fn events(client: &Client, job: &str, after: u64) -> Vec<Value> {
    let frames = follow(client, job, after).await.all().await;
    for frame in &frames {
        assert_eq!(frame.id, Some(frame.json()["seq"].to_string()));
    }
    frames.iter().map(Frame::json).collect()
}

/// Checks that the events are numbered from 1 without gap or repeat, and that the last of them, and only
/// that one, ends the job.
pub(crate) fn assert_one_story(events: &[Value]) {
    let seqs: Vec<u64> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>(), "{events:#?}");
    let ends: Vec<usize> = (0..events.len()).filter(|at| is_terminal(&events[*at])).collect();
    assert_eq!(ends, [events.len() - 1], "{events:#?}");
}

fn is_terminal(event: &Value) -> bool {
    ["completed", "failed", "cancelled", "expired"].iter().any(|name| event["type"] == *name)
}

/// The text that the events hold.
pub(crate) fn text(events: &[Value]) -> String {
    events
        .iter()
        .filter(|event| event["type"] == "text_delta")
        .filter_map(|event| event["text"].as_str())
        .collect()
}

/// Index of the worker that runs the job.
pub(crate) async fn runner(cluster: &mut Cluster, job: &str) -> usize {
    let client = cluster.client();
    let worker = wait_for(&format!("{job} has a worker"), PATIENCE, async || {
        show(&client, job).await["worker"].as_str().map(str::to_owned)
    })
    .await;
    let pids: Vec<String> = cluster.workers().iter().map(|worker| format!("-{}-", worker.pid())).collect();
    pids.iter().position(|pid| worker.contains(pid)).expect("the job's worker is one of the cluster's")
}

/// Every process that descends from this worker.
pub(crate) fn family(cluster: &mut Cluster, worker: usize) -> Vec<Kin> {
    let root = cluster.workers()[worker].pid();
    let all = cluster.descendants();
    let mut found: Vec<Kin> = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for child in all.iter().filter(|process| process.parent == parent) {
            parents.push(child.pid);
            found.push(child.clone());
        }
    }
    found
}

/// Waits until all of these processes are gone.
pub(crate) async fn gone(processes: &[Kin]) {
    assert!(!processes.is_empty(), "there were processes to begin with");
    wait_until("the processes are gone", PATIENCE, || {
        processes.iter().all(|process| read_process(process.pid).is_none()).then_some(())
    })
    .await;
}

/// Waits until `/health` meets a condition.
pub(crate) async fn health(client: &Client, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, PATIENCE, async || Some(client.get("/health").await.json()).filter(|health| holds(health)))
        .await
}
