//! The database is locked by somebody else.

use crate::chat::{CHAT, Chat, Heard, hear, request};
use crate::jobs::{assert_one_story, ended, events, show};
use drover_tests::harness::{Cluster, Lock};
use drover_tests::upstream::{Upstream, words};
use reqwest::StatusCode;
use std::time::Duration;

#[tokio::test]
async fn a_short_lock_delays_streams_and_new_jobs_but_loses_nothing() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().workers(2).upstream(&upstream).start().await;
    let client = cluster.client();
    let mut chat = Chat::open(&client, "say 30 words every 100ms").await;
    chat.until("word3").await;
    let lock = Lock::take(&cluster).await;
    let other = client.clone();
    let asked = tokio::spawn(async move { hear(&other, "say 7 words").await });
    // The fault itself: shorter than the store waits for the lock.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!asked.is_finished(), "nothing can be written meanwhile");
    lock.release().await;

    let job = chat.job.clone();
    assert_eq!(chat.rest().await, Heard::whole(words(30)));
    assert_eq!(ended(&client, &job).await["attempts"], 1);
    assert_one_story(&events(&client, &job, 0).await);
    assert_eq!(asked.await.expect("a client does not panic").1, Heard::whole(words(7)));
}

#[tokio::test]
async fn a_long_lock_is_told_to_new_clients_and_costs_open_streams_nothing() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().workers(2).upstream(&upstream).start().await;
    let client = cluster.client();
    let mut chat = Chat::open(&client, "say 30 words every 100ms").await;
    chat.until("word3").await;
    let job = chat.job.clone();
    let lock = Lock::take(&cluster).await;
    let refused = client.post(CHAT, &request("say 7 words", false)).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text());
    assert_eq!(refused.json()["error"]["code"], "store_unavailable");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(show(&client, &job).await["status"], "running", "reading goes on");
    cluster.wait_for_log("events wait for the store").await;
    cluster.wait_for_log("the heartbeat did not reach the store").await;
    lock.release().await;

    assert_eq!(chat.rest().await, Heard::whole(words(30)));
    assert_eq!(ended(&client, &job).await["attempts"], 1, "nobody was taken for dead");
    assert_one_story(&events(&client, &job, 0).await);
    assert_eq!(hear(&client, "say 7 words").await.1, Heard::whole(words(7)));
    assert_eq!(upstream.calls().len(), 2, "the refused one was not run");
}
