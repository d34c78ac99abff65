//! The client goes away.

use crate::chat::{CHAT, Chat, Heard, hear, request};
use crate::jobs::{assert_one_story, ended, events, follow, health, text};
use drover_tests::client::{Client, Events, Frame, PATIENCE};
use drover_tests::harness::{ClaudeKind, Cluster, wait_for};
use drover_tests::upstream::{Ending, Upstream, words};
use reqwest::Method;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};
use tokio::task::JoinHandle;

/// A client that waits for the head of its answer, and may be made to leave by aborting it.
fn asking(client: &Client, prompt: &str, stream: bool) -> JoinHandle<()> {
    let request = client.request(Method::POST, CHAT).json(&request(prompt, stream));
    tokio::spawn(async move {
        let mut events = Events::open(request).await;
        while let Ok(Some(_)) = events.try_next().await {}
    })
}

/// The youngest job: a client that has left without an answer does not know its id.
async fn youngest_job(cluster: &Cluster) -> String {
    let options = SqliteConnectOptions::new().filename(cluster.database()).read_only(true);
    let mut connection = options.connect().await.expect("the database can be read");
    let row = sqlx::query("SELECT id FROM job ORDER BY created_at_ms DESC, id DESC LIMIT 1");
    row.fetch_one(&mut connection).await.expect("there is a job").get(0)
}

/// Checks that nobody works for a client that has left.
async fn assert_called_off(cluster: &Cluster, job: &str) -> Vec<Value> {
    let client = cluster.client();
    assert_eq!(ended(&client, job).await["status"], "cancelled");
    let events = events(&client, job, 0).await;
    assert_one_story(&events);
    assert_eq!(events.last().expect("an end")["reason"], "client_gone");
    events
}

async fn model_was_stopped(upstream: &Upstream, prompt: &str) {
    let left =
        |call: &drover_tests::upstream::Call| call.prompt == prompt && call.ending == Ending::ClientLeft;
    upstream.wait_for("the model was stopped", PATIENCE, left).await;
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_is_not_served() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().env("DROVER_SLOTS", "1").upstream(&upstream).start().await;
    let client = cluster.client();
    let mut first = Chat::open(&client, "say 1000 words every 20ms").await;
    first.until("word2").await;
    for stream in [true, false] {
        let waiting = asking(&client, "say 9 words", stream);
        health(&client, "the job waits", |health| health["queue"]["queued"] == 1).await;
        let job = youngest_job(&cluster).await;
        waiting.abort();
        assert_called_off(&cluster, &job).await;
    }
    drop(first);
    cluster.wait_until_no_descendants().await;
    assert_eq!(hear(&client, "say 4 words").await.1, Heard::whole(words(4)));
    assert!(upstream.calls_for("say 9 words").is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_word_stops_the_model() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().cold().claude(ClaudeKind::Native).upstream(&upstream).start().await;
    let client = cluster.client();
    for (prompt, stream) in [("wait 60s then say 1 words", true), ("wait 60s then say 2 words", false)] {
        let waiting = asking(&client, prompt, stream);
        upstream.wait_for("the model is asked", PATIENCE, |call| call.prompt == prompt).await;
        let job = youngest_job(&cluster).await;
        waiting.abort();
        model_was_stopped(&upstream, prompt).await;
        assert_called_off(&cluster, &job).await;
        cluster.wait_until_no_descendants().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_midst_of_an_answer_stops_the_model() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().cold().claude(ClaudeKind::Native).upstream(&upstream).start().await;
    let client = cluster.client();
    let prompt = "say 1000 words every 50ms";
    let mut chat = Chat::open(&client, prompt).await;
    chat.until("word3").await;
    let job = chat.job.clone();
    drop(chat);
    model_was_stopped(&upstream, prompt).await;
    let events = assert_called_off(&cluster, &job).await;
    assert!(words(1000).starts_with(&text(&events)));

    let prompt = "say 1001 words every 50ms";
    let waiting = asking(&client, prompt, false);
    let is_under_way =
        |call: &drover_tests::upstream::Call| call.prompt == prompt && call.deltas_at.len() > 3;
    upstream.wait_for("the model speaks", PATIENCE, is_under_way).await;
    let job = youngest_job(&cluster).await;
    waiting.abort();
    model_was_stopped(&upstream, prompt).await;
    assert_called_off(&cluster, &job).await;
    cluster.wait_until_no_descendants().await;
}

#[tokio::test]
async fn a_client_that_leaves_right_before_the_end_stops_the_model() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().upstream(&upstream).start().await;
    let client = cluster.client();
    let prompt = "say 10 words then wait 60s";
    let mut chat = Chat::open(&client, prompt).await;
    chat.until("word10").await;
    let job = chat.job.clone();
    drop(chat);
    model_was_stopped(&upstream, prompt).await;
    let events = assert_called_off(&cluster, &job).await;
    assert_eq!(text(&events), words(10), "what was said is kept");
    cluster.wait_until_no_descendants().await;

    // And one that leaves after the end changes nothing.
    let (job, heard) = hear(&client, "say 3 words").await;
    assert_eq!(heard, Heard::whole(words(3)));
    assert_eq!(ended(&client, &job).await["status"], "completed");
}

#[tokio::test]
async fn a_job_goes_on_as_long_as_anyone_reads_it() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().upstream(&upstream).start().await;
    let client = cluster.client();
    let mut chat = Chat::open(&client, "say 30 words every 50ms").await;
    let job = chat.job.clone();
    let reader = follow(&client, &job, 0).await;
    chat.until("word3").await;
    drop(chat);
    let events: Vec<Value> = reader.all().await.iter().map(Frame::json).collect();
    assert_one_story(&events);
    assert_eq!(text(&events), words(30));

    let mut chat = Chat::open(&client, "say 1000 words every 50ms").await;
    let job = chat.job.clone();
    let reader = follow(&client, &job, 0).await;
    chat.until("word3").await;
    drop(chat);
    drop(reader);
    wait_for("the last reader's leaving is noticed", PATIENCE, async || {
        (ended(&client, &job).await["status"] == "cancelled").then_some(())
    })
    .await;
    assert_called_off(&cluster, &job).await;
}
