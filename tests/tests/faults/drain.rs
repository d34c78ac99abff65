//! A worker is told to leave.

use crate::chat::{Chat, Heard};
use crate::jobs::{ended, health, show};
use drover_tests::client::PATIENCE;
use drover_tests::harness::Cluster;
use drover_tests::upstream::{Upstream, words};
use futures_util::future::join_all;
use nix::sys::signal::Signal;

#[tokio::test]
async fn a_worker_that_is_told_to_leave_finishes_its_jobs_and_takes_no_more() {
    let upstream = Upstream::start();
    let mut cluster =
        Cluster::builder().workers(2).env("DROVER_SLOTS", "2").upstream(&upstream).start().await;
    let client = cluster.client();
    let prompts: Vec<String> = (1..=7).map(|n| format!("say 2{n} words every 100ms")).collect();
    let asking = prompts.iter().map(|prompt| {
        let client = client.clone();
        let prompt = prompt.clone();
        tokio::spawn(async move { crate::chat::hear(&client, &prompt).await })
    });
    let asking: Vec<_> = asking.collect();
    health(&client, "all slots are taken and some jobs wait", |health| {
        health["queue"]["running"] == 4 && health["queue"]["queued"] == 3
    })
    .await;

    assert_eq!(cluster.kill_worker(0, Signal::SIGTERM).await.code(), Some(0));
    for (answer, n) in join_all(asking).await.into_iter().zip(1..) {
        let (job, heard) = answer.expect("a client does not panic");
        assert_eq!(heard, Heard::whole(words(20 + n)));
        assert_eq!(show(&client, &job).await["attempts"], 1);
    }
    assert_eq!(upstream.calls().len(), prompts.len(), "nothing was asked twice");
    health(&client, "it has left the fleet", |health| health["workers_alive"] == 1).await;
    cluster.wait_until_no_descendants().await;
}

#[tokio::test]
async fn a_worker_that_is_told_twice_stops_at_once_with_clear_ends() {
    const SILENT_ONCE: &str = "1 times wait 20s then say 5 words or say 5 words";
    let upstream = Upstream::start();
    let mut cluster = Cluster::builder().upstream(&upstream).start().await;
    let client = cluster.client();
    let mut spoken = Chat::open(&client, "say 1000 words every 50ms").await;
    spoken.until("word3").await;
    let silent = Chat::open(&client, SILENT_ONCE).await;
    upstream.wait_for("the silent one is asked", PATIENCE, |call| call.prompt == SILENT_ONCE).await;
    cluster.add_worker().await;

    cluster.workers()[0].signal(Signal::SIGTERM);
    cluster.wait_for_log("draining").await;
    assert_eq!(cluster.kill_worker(0, Signal::SIGTERM).await.code(), Some(0));

    let job = spoken.job.clone();
    let heard = spoken.rest().await;
    assert_eq!((heard.errors.len(), heard.broken), (1, false), "{heard:?}");
    assert_eq!(ended(&client, &job).await["error"]["code"], "worker_lost");
    let job = silent.job.clone();
    assert_eq!(silent.rest().await, Heard::whole(words(5)), "it is given back");
    assert_eq!(ended(&client, &job).await["attempts"], 2);
    health(&client, "it has left the fleet", |health| health["workers_alive"] == 1).await;
    cluster.wait_until_no_descendants().await;
}
