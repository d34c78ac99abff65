//! A worker, or a part of it, dies or freezes.

use crate::chat::{Chat, Heard, hear};
use crate::jobs::{assert_one_story, ended, events, family, gone, health, runner, text};
use drover_tests::client::PATIENCE;
use drover_tests::harness::{ClaudeKind, Cluster, Kin};
use drover_tests::upstream::{Call, Ending, Upstream, words};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Says nothing for long enough to be killed in the silence, and speaks when it is asked again.
const SILENT_FIRST: &str = "1 times wait 60s then say 20 words or say 20 words";
/// The same, but speaks to a worker that is frozen: after the stream has begun, which is held for ten seconds where
/// nothing is said, and before the worker counts as dead.
const SILENT_A_WHILE: &str = "1 times wait 18s then say 20 words or say 20 words";
/// Speaks for as long as anyone listens.
const LONG: &str = "say 1000 words every 50ms";

async fn two_workers(upstream: &Upstream, claude: ClaudeKind) -> Cluster {
    Cluster::builder().cold().workers(2).claude(claude).upstream(upstream).start().await
}

async fn called(upstream: &Upstream, prompt: &str) -> Call {
    upstream.wait_for("the model was asked", PATIENCE, |call| call.prompt == prompt).await
}

#[tokio::test]
async fn a_worker_killed_before_the_first_word_is_replaced_and_the_client_notices_nothing() {
    let upstream = Upstream::start();
    let mut cluster = two_workers(&upstream, ClaudeKind::Native).await;
    let client = cluster.client();
    let chat = Chat::open(&client, SILENT_FIRST).await;
    let job = chat.job.clone();
    called(&upstream, SILENT_FIRST).await;
    let index = runner(&mut cluster, &job).await;
    let processes = family(&mut cluster, index);
    cluster.kill_worker(index, Signal::SIGKILL).await;

    assert_eq!(chat.rest().await, Heard::whole(words(20)));
    gone(&processes).await;
    let shown = ended(&client, &job).await;
    assert_eq!((&shown["status"], &shown["attempts"]), (&"completed".into(), &2.into()));
    assert_one_story(&events(&client, &job, 0).await);
    let endings: Vec<Ending> = upstream.calls().iter().map(|call| call.ending).collect();
    assert_eq!(endings, [Ending::ClientLeft, Ending::Complete], "one call beyond the lost one at most");
    cluster.wait_until_no_descendants().await;
}

#[tokio::test]
async fn a_worker_killed_after_the_first_word_ends_its_job_with_one_error_and_no_second_run() {
    let upstream = Upstream::start();
    let mut cluster = two_workers(&upstream, ClaudeKind::Native).await;
    let client = cluster.client();
    let mut chat = Chat::open(&client, LONG).await;
    let job = chat.job.clone();
    chat.until("word3").await;
    let index = runner(&mut cluster, &job).await;
    let processes = family(&mut cluster, index);
    cluster.kill_worker(index, Signal::SIGKILL).await;

    let heard = chat.rest().await;
    assert_eq!(heard.errors, ["worker_lost"], "{heard:?}");
    assert!(heard.finishes.is_empty() && !heard.broken, "{heard:?}");
    assert!(words(1000).starts_with(&heard.text), "{heard:?}");
    gone(&processes).await;
    cluster.wait_until_no_descendants().await;
    let shown = ended(&client, &job).await;
    assert_eq!((&shown["status"], &shown["attempts"]), (&"failed".into(), &1.into()));
    assert_eq!(shown["error"]["code"], "worker_lost");
    assert_one_story(&events(&client, &job, 0).await);
    assert_eq!(upstream.calls().len(), 1);
    // The one that is left goes on working.
    assert_eq!(hear(&client, "say 3 words").await.1, Heard::whole(words(3)));
}

#[tokio::test]
async fn when_everything_is_killed_at_once_a_silent_job_is_answered_after_the_restart() {
    let upstream = Upstream::start();
    let mut cluster = Cluster::builder().upstream(&upstream).start().await;
    let client = cluster.client();
    let chat = Chat::open(&client, SILENT_FIRST).await;
    let job = chat.job.clone();
    called(&upstream, SILENT_FIRST).await;
    cluster.api().signal(Signal::SIGKILL);
    cluster.kill_worker(0, Signal::SIGKILL).await;
    assert!(chat.rest().await.broken);
    cluster.wait_until_no_descendants().await;

    cluster.restart_api().await;
    cluster.add_worker().await;
    let shown = ended(&client, &job).await;
    assert_eq!((&shown["status"], &shown["attempts"]), (&"completed".into(), &2.into()));
    let events = events(&client, &job, 0).await;
    assert_one_story(&events);
    assert_eq!(text(&events), words(20));
}

/// The supervisor: the worker's own child, above the CLI.
fn supervisor(cluster: &mut Cluster) -> (Kin, Vec<Kin>) {
    let worker = cluster.workers()[0].pid();
    let family = family(cluster, 0);
    let own = family.iter().find(|process| process.parent == worker);
    (own.expect("a running job has a supervisor").clone(), family)
}

#[tokio::test]
async fn a_killed_supervisor_takes_its_cli_along_and_nothing_else() {
    let upstream = Upstream::start();
    let mut cluster = Cluster::builder().cold().claude(ClaudeKind::Native).upstream(&upstream).start().await;
    let client = cluster.client();

    let mut chat = Chat::open(&client, LONG).await;
    chat.until("word3").await;
    let (own, processes) = supervisor(&mut cluster);
    kill(Pid::from_raw(own.pid), Signal::SIGKILL).expect("the supervisor can be killed");
    let heard = chat.rest().await;
    assert_eq!((heard.errors.len(), heard.broken), (1, false), "{heard:?}");
    assert_eq!(heard.errors, ["cli_failed"]);
    gone(&processes).await;
    assert_eq!(upstream.calls().len(), 1);

    let chat = Chat::open(&client, SILENT_FIRST).await;
    called(&upstream, SILENT_FIRST).await;
    let (own, processes) = supervisor(&mut cluster);
    kill(Pid::from_raw(own.pid), Signal::SIGKILL).expect("the supervisor can be killed");
    let job = chat.job.clone();
    assert_eq!(chat.rest().await, Heard::whole(words(20)));
    assert_eq!(ended(&client, &job).await["attempts"], 2);
    gone(&processes).await;
    cluster.wait_until_no_descendants().await;
}

#[tokio::test]
async fn a_worker_that_was_frozen_past_its_lease_writes_nothing_any_more() {
    let upstream = Upstream::start();
    let mut cluster = two_workers(&upstream, ClaudeKind::Scripted(None)).await;
    let client = cluster.client();
    let chat = Chat::open(&client, SILENT_A_WHILE).await;
    let job = chat.job.clone();
    called(&upstream, SILENT_A_WHILE).await;
    let index = runner(&mut cluster, &job).await;
    cluster.workers()[index].signal(Signal::SIGSTOP);

    assert_eq!(chat.rest().await, Heard::whole(words(20)));
    let before = events(&client, &job, 0).await;
    cluster.workers()[index].signal(Signal::SIGCONT);
    health(&client, "the late one is done with it", |health| {
        health["workers_alive"] == 2 && health["active_sessions"] == 0
    })
    .await;
    cluster.wait_until_no_descendants().await;
    assert_one_story(&before);
    assert_eq!(events(&client, &job, 0).await, before, "the late one has written nothing");
    let shown = ended(&client, &job).await;
    assert_eq!((&shown["status"], &shown["attempts"]), (&"completed".into(), &2.into()));

    // It is as good as new: with the other one gone, it does the work.
    cluster.kill_worker(1 - index, Signal::SIGKILL).await;
    assert_eq!(hear(&client, "say 3 words").await.1, Heard::whole(words(3)));
}
