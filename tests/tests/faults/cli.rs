//! The CLI misbehaves.

use crate::chat::{CHAT, Chat, Heard, hear, request};
use crate::jobs::{assert_one_story, ended, events, health};
use drover_tests::client::Answer;
use drover_tests::harness::{ClaudeKind, Cluster, binary};
use drover_tests::scripted::Fault;
use drover_tests::upstream::{Ending, Upstream, words};
use serde_json::Value;

async fn faulty(fault: Fault, upstream: &Upstream) -> Cluster {
    let cluster = Cluster::builder().claude(ClaudeKind::Scripted(Some(fault))).upstream(upstream);
    // Only the CLI that hangs is to be given up soon: on a busy machine the others may take their time.
    let stall_s = if fault == Fault::Hang { "2" } else { "60" };
    cluster.env("DROVER_JOB_STALL", stall_s).start().await
}

/// Asks a faulty CLI; checks that the answer is whole, once, and after so many attempts.
async fn answers(fault: Fault, attempts: u32) -> (Cluster, Upstream) {
    let upstream = Upstream::start();
    let cluster = faulty(fault, &upstream).await;
    let client = cluster.client();
    let (job, heard) = hear(&client, "say 10 words").await;
    assert_eq!(heard, Heard::whole(words(10)), "{fault}");
    assert_eq!(ended(&client, &job).await["attempts"], attempts, "{fault}");
    assert_one_story(&events(&client, &job, 0).await);
    assert_eq!(upstream.calls().len(), 1, "{fault}");
    cluster.wait_until_no_descendants().await;
    (cluster, upstream)
}

/// Asks a faulty CLI that has nothing to say; checks the client's error and the job's.
async fn refuses(fault: Fault, status: u16, code: &str, attempts: u32) -> (Answer, Upstream) {
    let upstream = Upstream::start();
    let cluster = faulty(fault, &upstream).await;
    let client = cluster.client();
    let answer = client.post(CHAT, &request("say 10 words", false)).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["code"].as_str()), (status, Some(code)));
    let job = answer.header("x-drover-job-id").expect("an answer names its job");
    let shown = ended(&client, job).await;
    assert_eq!((&shown["status"], &shown["error"]["code"]), (&"failed".into(), &code.into()));
    assert_eq!(shown["attempts"], attempts);
    assert_one_story(&events(&client, job, 0).await);
    cluster.wait_until_no_descendants().await;
    (answer, upstream)
}

#[tokio::test]
async fn noise_around_an_answer_does_no_harm() {
    for fault in [Fault::Garbage, Fault::HangBeforeInit, Fault::Line10Mb, Fault::Flood] {
        answers(fault, 1).await;
    }
}

#[tokio::test]
async fn what_a_cli_says_or_asks_after_its_answer_is_not_heard() {
    answers(Fault::SpeakTwice, 1).await;
    answers(Fault::CallTwice, 1).await;
}

#[tokio::test]
async fn grandchildren_that_hold_the_output_open_are_swept_and_counted() {
    let (cluster, _upstream) = answers(Fault::Grandchildren, 1).await;
    let swept = |health: &Value| health["zombie_processes_cleaned"].as_u64().is_some_and(|count| count >= 2);
    health(&cluster.client(), "the sweep is counted", swept).await;
}

#[tokio::test]
async fn a_cli_that_ignores_signals_is_killed_all_the_same() {
    answers(Fault::IgnoreSigterm, 1).await;
}

#[tokio::test]
async fn a_cli_that_hangs_ends_its_job_in_time() {
    let (_, upstream) = refuses(Fault::Hang, 504, "job_stalled", 1).await;
    assert!(upstream.calls().is_empty());
}

#[tokio::test]
async fn a_line_past_the_limit_ends_the_job_with_its_own_error() {
    refuses(Fault::Line20Mb, 500, "output_too_large", 1).await;
}

#[tokio::test]
async fn a_cli_that_fails_at_start_is_tried_as_often_as_the_job_may_be() {
    let (answer, upstream) = refuses(Fault::Exit1, 500, "cli_failed", 3).await;
    assert!(answer.text().contains("it exited with code 1"), "{}", answer.text());
    assert!(!answer.text().contains("scripted failure"), "its standard error is nobody's business");
    assert!(upstream.calls().is_empty());
}

#[tokio::test]
async fn a_cli_that_fails_once_is_not_noticed() {
    answers(Fault::Exit1Once, 2).await;
}

#[tokio::test]
async fn a_cli_that_crashes_in_the_midst_of_an_answer_ends_it_with_one_error() {
    let upstream = Upstream::start();
    let cluster = faulty(Fault::CrashAfter(3), &upstream).await;
    let client = cluster.client();
    let chat = Chat::open(&client, "say 100 words every 50ms").await;
    let job = chat.job.clone();
    let heard = chat.rest().await;
    assert_eq!((heard.text, heard.errors), (words(3), vec!["cli_failed".to_owned()]));
    assert!(heard.finishes.is_empty() && !heard.broken);
    assert_eq!(ended(&client, &job).await["attempts"], 1, "what has spoken is not run again");
    upstream
        .wait_for("the model was stopped", drover_tests::client::PATIENCE, |call| {
            call.ending == Ending::ClientLeft
        })
        .await;
    assert_eq!(upstream.calls().len(), 1);
    cluster.wait_until_no_descendants().await;
}

#[tokio::test]
async fn a_cli_that_takes_more_than_it_may_ends_its_job_with_the_bound_that_it_broke() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().cold().claude(ClaudeKind::Native).upstream(&upstream);
    let cluster = cluster.env("DROVER_SLOT_MEMORY", "32").start().await;
    let client = cluster.client();
    // Whether it has spoken by then, and so the status, is a matter of chance.
    let asked = client.stream(CHAT, &request("say 1000 words every 50ms", true)).await;
    let job = asked.header("x-drover-job-id").expect("a job").to_owned();
    asked.all().await;
    let shown = ended(&client, &job).await;
    assert_eq!((&shown["status"], &shown["attempts"]), (&"failed".into(), &1.into()));
    assert_eq!(shown["error"]["code"], "resource_limit");
    let told = shown["error"]["message"].as_str().unwrap_or_default();
    assert!(told.ends_with("it used more than 32 MB of memory"), "{told}");
    assert_one_story(&events(&client, &job, 0).await);
    cluster.wait_until_no_descendants().await;
}

/// Starts a worker with this CLI and answers with what it says before it gives up.
fn refusal(claude: &std::path::Path) -> String {
    let dir = tempfile::tempdir().expect("a data directory");
    let worker = std::process::Command::new(binary("drover-worker"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir.path())
        .env("DROVER_DATA_DIR", dir.path())
        .env("CLAUDE_BINARY_PATH", claude)
        .env("LOG_LEVEL", "warn")
        .current_dir(dir.path())
        .output()
        .expect("the worker can be started");
    assert!(!worker.status.success(), "it does not work with a CLI it cannot use");
    let said = [worker.stdout, worker.stderr].concat();
    String::from_utf8_lossy(&said).trim().to_owned()
}

#[test]
fn a_worker_refuses_a_cli_that_it_cannot_use_in_one_line() {
    let missing = refusal(std::path::Path::new("/nowhere/claude"));
    assert!(missing.contains("/nowhere/claude"), "{missing}");
    assert_eq!(missing.lines().count(), 1, "{missing}");

    let dir = tempfile::tempdir().expect("a place for the CLI");
    let old = ClaudeKind::Scripted(Some(Fault::WrongVersion)).binary(dir.path());
    let wrong = refusal(&old);
    assert!(wrong.contains("1.0.3"), "{wrong}");
    assert_eq!(wrong.lines().count(), 1, "{wrong}");
}
