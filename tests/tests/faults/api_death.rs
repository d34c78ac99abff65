//! The api dies or leaves. It keeps nothing, so nothing is lost.

use crate::chat::{Chat, Heard};
use crate::jobs::{assert_one_story, ended, events, follow, text};
use drover_tests::harness::{ClaudeKind, Cluster};
use drover_tests::upstream::{Ending, Upstream, words};
use nix::sys::signal::Signal;

#[tokio::test]
async fn a_killed_api_loses_no_event_and_runs_no_job_twice() {
    let upstream = Upstream::start();
    let mut cluster = Cluster::builder().cold().claude(ClaudeKind::Native).upstream(&upstream).start().await;
    let client = cluster.client();
    let mut chat = Chat::open(&client, "say 40 words every 100ms").await;
    let job = chat.job.clone();
    let mut reader = follow(&client, &job, 0).await;
    chat.until("word5").await;
    let mut seen = Vec::new();
    while text(&seen) != words(3) {
        seen.push(reader.next().await.expect("the job goes on").json());
    }

    cluster.kill_api().await;
    assert!(chat.rest().await.broken, "half an answer must not look whole");
    cluster.restart_api().await;

    let last = seen.last().and_then(|event| event["seq"].as_u64()).expect("a sequence number");
    seen.extend(events(&client, &job, last).await);
    assert_one_story(&seen);
    assert_eq!(text(&seen), words(40));
    assert_eq!(events(&client, &job, 0).await, seen, "the same from the start");
    let job = ended(&client, &job).await;
    assert_eq!((&job["status"], &job["attempts"]), (&"completed".into(), &1.into()));
    let calls: Vec<Ending> = upstream.calls().iter().map(|call| call.ending).collect();
    assert_eq!(calls, [Ending::Complete]);
    cluster.wait_until_no_descendants().await;
}

#[tokio::test]
async fn an_api_that_is_told_to_stop_finishes_its_streams_and_cancels_nothing() {
    let upstream = Upstream::start();
    let mut cluster = Cluster::builder().upstream(&upstream).start().await;
    let client = cluster.client();
    let mut chats = Vec::new();
    for _ in 0..3 {
        let mut chat = Chat::open(&client, "say 20 words every 100ms").await;
        chat.until("word2").await;
        chats.push(chat);
    }
    let jobs: Vec<String> = chats.iter().map(|chat| chat.job.clone()).collect();

    cluster.api().signal(Signal::SIGTERM);
    for chat in chats {
        assert_eq!(chat.rest().await, Heard::whole(words(20)));
    }
    assert_eq!(cluster.api().ended().await.code(), Some(0));
    cluster.restart_api().await;
    for job in jobs {
        assert_eq!(ended(&client, &job).await["status"], "completed");
    }
}
