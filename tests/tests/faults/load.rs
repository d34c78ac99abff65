//! More at once than there is room for.

use crate::chat::{CHAT, Chat, Heard, hear, request};
use crate::jobs::{health, show};
use drover_tests::client::{Client, Events};
use drover_tests::harness::Cluster;
use drover_tests::upstream::{Upstream, words};
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use std::io::Write as _;

/// Streams at once.
const STREAMS: usize = 200;
/// What a process of Drover may ever have held in memory under this load, in MB: several times what it does.
const RESIDENT_MB: u64 = 200;

/// Answers how often it was sent away first.
async fn one_stream(client: Client, n: usize) -> u32 {
    let count = 15 + n % 10;
    let (chat, refusals) = Chat::insist(&client, &format!("say {count} words every 10ms")).await;
    let job = chat.job.clone();
    assert_eq!(chat.rest().await, Heard::whole(words(count)));
    let shown = show(&client, &job).await;
    assert_eq!((&shown["status"], &shown["attempts"]), (&"completed".into(), &1.into()));
    refusals
}

/// The most memory that a process has held so far.
fn peak_mb(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it still runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel counts");
    peak.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") >> 10
}

#[tokio::test]
async fn two_hundred_streams_at_once_are_all_whole() {
    let upstream = Upstream::start();
    let mut cluster =
        Cluster::builder().workers(2).env("DROVER_SLOTS", "16").upstream(&upstream).start().await;
    let client = cluster.client();
    let streams = (0..STREAMS).map(|n| tokio::spawn(one_stream(client.clone(), n)));
    let mut refusals = 0;
    for stream in join_all(streams).await {
        refusals += stream.expect("every stream is whole");
    }
    assert_eq!(upstream.calls().len(), STREAMS);
    cluster.wait_until_no_descendants().await;
    let pids = [cluster.api().pid(), cluster.workers()[0].pid(), cluster.workers()[1].pid()];
    let peaks = pids.map(peak_mb);
    let said =
        format!("{STREAMS} streams took {peaks:?} MB at most (api, workers), after {refusals} refusals\n");
    std::io::stderr().write_all(said.as_bytes()).expect("standard error");
    assert!(peaks.iter().all(|peak| *peak < RESIDENT_MB), "{said}");
    // Asked all at once, they are committed together; only a machine busy with much else sends some away.
    assert!((refusals as usize) < STREAMS / 10, "{said}");
    health(&client, "nothing is left", |health| {
        health["queue"]["queued"] == 0 && health["queue"]["running"] == 0 && health["claude_processes"] == 0
    })
    .await;
}

#[tokio::test]
async fn a_full_queue_is_told_to_new_clients_and_serves_the_others() {
    const ASKING: usize = 8;
    let upstream = Upstream::start();
    let builder = Cluster::builder().env("DROVER_SLOTS", "1").env("DROVER_MAX_QUEUED", "3");
    let cluster = builder.upstream(&upstream).start().await;
    let client = cluster.client();
    let asking = (0..ASKING).map(|_| async {
        Events::open(client.request(Method::POST, CHAT).json(&request("wait 500ms then say 3 words", true)))
            .await
    });
    let mut refused = 0;
    let mut taken = Vec::new();
    for answer in join_all(asking).await {
        if answer.status == StatusCode::OK {
            taken.push(answer);
            continue;
        }
        refused += 1;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(answer.header("retry-after").is_some());
        let body = answer.into_answer().await.text();
        assert!(body.contains("\"code\":\"queue_full\""), "{body}");
    }
    assert!(refused >= 1 && taken.len() >= 3, "{refused} refused, {} taken", taken.len());
    let served = taken.len();
    for answer in taken {
        let frames = answer.all().await;
        assert_eq!(frames.last().expect("a last frame").data, "[DONE]");
    }
    assert_eq!(upstream.calls().len(), served, "who was refused was not served");
    assert_eq!(hear(&client, "say 4 words").await.1, Heard::whole(words(4)));
}
