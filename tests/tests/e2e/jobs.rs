//! Jobs by their id: their state, their events from anywhere, and calling them off.

use drover_tests::chat::{self, Spoken, ask, streaming};
use drover_tests::client::{Answer, Client, Events, Frame, PATIENCE};
use drover_tests::harness::{ClaudeKind, Cluster, wait_for};
use drover_tests::upstream::{Ending, Upstream, words};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn events_are_read_from_anywhere_live_and_finished() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().claude(ClaudeKind::Native).upstream(&upstream).start().await;
    let client = cluster.client();
    let chat = client.stream(chat::PATH, &streaming(ask("say 40 words every 50ms"))).await;
    let job = chat.header("x-drover-job-id").expect("a job").to_owned();
    let mut live = events(&client, &job, "").await;
    let first = live.next().await.expect("a first event");
    let later = events(&client, &job, "?starting_after=3").await;
    assert_eq!(show(&client, &job).await["status"], "running");
    assert!(Spoken::of(chat).await.done);
    let mut all = vec![first];
    all.extend(live.all().await);
    assert_canonical(&all);
    assert_eq!(data(&later.all().await), data(&all[3..]), "a live stream starts where it is told to");

    assert_eq!(
        data(&events(&client, &job, "").await.all().await),
        data(&all),
        "the past reads as the present did"
    );
    let request = client.request(Method::GET, &format!("/v1/jobs/{job}/events")).header("last-event-id", "7");
    assert_eq!(data(&Events::open(request).await.all().await), data(&all[7..]));
    let beyond = format!("?starting_after={}", all.len());
    assert!(events(&client, &job, &beyond).await.all().await.is_empty(), "nothing comes after the end");
    let shown = show(&client, &job).await;
    assert_eq!(
        (&shown["status"], &shown["attempts"], &shown["object"]),
        (&json!("completed"), &json!(1), &json!("job"))
    );
    assert!(shown["finished_at"].as_i64() >= shown["started_at"].as_i64(), "{shown}");
    assert!(shown["started_at"].as_i64() >= shown["created_at"].as_i64(), "{shown}");
}

#[tokio::test]
async fn running_and_queued_jobs_can_be_called_off() {
    let upstream = Upstream::start();
    let builder =
        Cluster::builder().cold().claude(ClaudeKind::Native).upstream(&upstream).env("DROVER_SLOTS", "1");
    let cluster = builder.start().await;
    let client = cluster.client();
    let endless = "say 4000 words every 50ms";
    let mut chat = client.stream(chat::PATH, &streaming(ask(endless))).await;
    let running = chat.header("x-drover-job-id").expect("a job").to_owned();
    chat.next().await.expect("the model speaks");

    let waiting_client = client.clone();
    let waiting = tokio::spawn(async move { waiting_client.post(chat::PATH, &ask("say 3 words")).await });
    wait_for("the second job waits", PATIENCE, async || {
        (client.get("/health").await.json()["queue"]["queued"] == 1).then_some(())
    })
    .await;
    let queued = other_job(&cluster, &running).await;
    assert_eq!(cancel(&client, &queued).await["status"], "cancelled");
    let refused = waiting.await.expect("the request ends");
    assert_eq!((refused.status.as_u16(), &refused.json()["error"]["code"]), (400, &json!("job_cancelled")));
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert!(upstream.calls_for("say 3 words").is_empty(), "what was called off in the queue never ran");

    cancel(&client, &running).await;
    let spoken = Spoken::of(chat).await;
    assert_eq!(spoken.error.expect("an error frame").code, "job_cancelled");
    let call = upstream.wait_for("the model stops", PATIENCE, |call| call.ending == Ending::ClientLeft).await;
    assert!(call.deltas_at.len() < 4000);
    let shown = show(&client, &running).await;
    assert_eq!(shown["status"], "cancelled");
    assert!(shown["usage"]["input_tokens"].as_u64() > Some(0), "what was used is told: {shown}");
    assert_eq!(cancel(&client, &running).await["status"], "cancelled", "a second time changes nothing");
    cluster.wait_until_no_descendants().await;
}

#[tokio::test]
async fn a_job_is_called_off_when_its_client_leaves() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().cold().claude(ClaudeKind::JavaScript).upstream(&upstream).start().await;
    let client = cluster.client();
    let mut chat = client.stream(chat::PATH, &streaming(ask("say 4000 words every 50ms"))).await;
    let job = chat.header("x-drover-job-id").expect("a job").to_owned();
    chat.next().await.expect("the model speaks");
    drop(chat);
    upstream.wait_for("the model stops", PATIENCE, |call| call.ending == Ending::ClientLeft).await;
    wait_for("the job is cancelled", PATIENCE, async || {
        (show(&client, &job).await["status"] == "cancelled").then_some(())
    })
    .await;
    let all = events(&client, &job, "").await.all().await;
    let last = all.last().expect("events").json();
    assert_eq!((&last["type"], &last["reason"]), (&json!("cancelled"), &json!("client_gone")));
    cluster.wait_until_no_descendants().await;
}

/// Sequence numbers from 1 without a gap, the model's words in order, and one end.
fn assert_canonical(frames: &[Frame]) {
    let mut text = String::new();
    for (at, frame) in frames.iter().enumerate() {
        let event = frame.json();
        assert_eq!(event["seq"], at + 1, "{event}");
        assert_eq!(frame.id, Some((at + 1).to_string()));
        assert_eq!(frame.event.as_deref(), event["type"].as_str());
        assert_eq!(event["attempt"], 1);
        text.push_str(event["text"].as_str().unwrap_or_default());
    }
    assert_eq!(text, words(40));
    let terminal = ["completed", "failed", "cancelled", "expired"];
    let ends = frames.iter().filter(|frame| terminal.contains(&frame.event.as_deref().unwrap_or_default()));
    assert_eq!(ends.count(), 1);
    assert_eq!(frames[0].event.as_deref(), Some("attempt_started"));
    assert_eq!(frames.last().and_then(|frame| frame.event.as_deref()), Some("completed"));
}

/// Frames without their times.
fn data(frames: &[Frame]) -> Vec<(Option<&str>, &str)> {
    frames.iter().map(|frame| (frame.id.as_deref(), frame.data.as_str())).collect()
}

async fn events(client: &Client, job: &str, query: &str) -> Events {
    Events::open(client.request(Method::GET, &format!("/v1/jobs/{job}/events{query}"))).await
}

async fn show(client: &Client, job: &str) -> Value {
    client.get(&format!("/v1/jobs/{job}")).await.json()
}

async fn cancel(client: &Client, job: &str) -> Value {
    let answer = Answer::of(client.request(Method::POST, &format!("/v1/jobs/{job}/cancel"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The id of the job that is not this one; a request that still waits has not told it.
async fn other_job(cluster: &Cluster, job: &str) -> String {
    let mut ids = drover_tests::ledger::job_ids(&cluster.database()).await;
    ids.retain(|id| id != job);
    assert_eq!(ids.len(), 1);
    ids.remove(0)
}
