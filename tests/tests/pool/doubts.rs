//! What a process may go through and still be kept, and what puts it away.

use drover_tests::chat::{self, Spoken, ask, streaming};
use drover_tests::client::{Answer, Client, PATIENCE};
use drover_tests::upstream::{Ending, Upstream, words};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Method;
use serde_json::json;

use crate::fleet::{pool, pooled, said};

#[tokio::test]
async fn a_process_survives_what_its_jobs_may_end_with() {
    let upstream = Upstream::start();
    let cluster = pooled(&upstream, 1, 0).start().await;
    let client = cluster.client();
    said(&client, "say 1 words").await;

    let tool = json!({"type": "function", "function": {"name": "get_weather"}});
    // Answers after which the CLI would go on by itself.
    for (prompt, reason) in [
        ("max_tokens", "length"),
        ("call get_weather {\"city\":\"Paris\"}", "tool_calls"),
        ("refuse", "content_filter"),
        ("say 3 words then max_tokens", "length"),
    ] {
        let mut request = streaming(ask(prompt));
        request["tools"] = json!([tool]);
        let spoken = Spoken::of(client.stream(chat::PATH, &request).await).await;
        assert_eq!(spoken.finish_reason.as_deref(), Some(reason), "{prompt}: {spoken:?}");
        assert_eq!(upstream.calls_for(prompt).len(), 1, "{prompt}");
        assert_eq!(said(&client, "say 2 words").await, words(2), "after {prompt}");
    }
    // The provider's refusals.
    for (prompt, status) in [("status 429 retry-after 1", 429), ("status 400", 400), ("status 529", 503)] {
        assert_eq!(client.post(chat::PATH, &ask(prompt)).await.status, status, "{prompt}");
        assert_eq!(said(&client, "say 2 words").await, words(2), "after {prompt}");
    }
    // Being called off in the midst.
    let endless = "say 4000 words every 50ms";
    cancelled(&client, endless).await;
    upstream.wait_for("the model stops", PATIENCE, |call| call.ending == Ending::ClientLeft).await;
    assert_eq!(said(&client, "say 2 words").await, words(2), "after a cancelled job");

    let figures = pool(&client, "all are told of", |pool| pool["kept_claims"] == 16).await;
    assert_eq!((&figures["cold_starts"], &figures["recycled"]), (&json!(1), &json!(0)), "{figures}");
}

async fn cancelled(client: &Client, prompt: &str) {
    let mut chat = client.stream(chat::PATH, &streaming(ask(prompt))).await;
    let job = chat.header("x-drover-job-id").expect("a job").to_owned();
    for _ in 0..3 {
        chat.next().await.expect("the model speaks");
    }
    let cancel = client.request(Method::POST, &format!("/v1/jobs/{job}/cancel"));
    assert_eq!(Answer::of(cancel).await.status, 200);
    assert_eq!(Spoken::of(chat).await.error.expect("an error frame").code, "job_cancelled");
}

#[tokio::test]
async fn a_process_is_put_away_when_its_answer_broke_off() {
    let upstream = Upstream::start();
    let cluster = pooled(&upstream, 1, 0).start().await;
    let client = cluster.client();
    said(&client, "say 1 words").await;
    let broken = Spoken::of(client.stream(chat::PATH, &streaming(ask("reset after 5"))).await).await;
    assert_eq!(broken.error.expect("an error frame").code, "stream_interrupted");
    assert_eq!(said(&client, "say 2 words").await, words(2));
}

#[tokio::test]
async fn a_process_is_put_away_when_it_has_served_enough() {
    let upstream = Upstream::start();
    let cluster = pooled(&upstream, 1, 0).env("DROVER_PROCESS_JOBS", "2").start().await;
    let client = cluster.client();
    for _ in 0..4 {
        said(&client, "say 1 words").await;
    }
    let figures = pool(&client, "both are put away", |pool| pool["recycled"] == 2).await;
    assert_eq!((&figures["cold_starts"], &figures["kept_claims"]), (&json!(2), &json!(2)), "{figures}");
}

#[tokio::test]
async fn a_spare_that_died_is_replaced_and_no_job_notices() {
    let upstream = Upstream::start();
    let cluster = pooled(&upstream, 1, 1).start().await;
    let client = cluster.client();
    pool(&client, "a spare waits", |pool| pool["chat_spares"] == 1).await;
    for process in cluster.descendants() {
        // The supervisor goes with its CLI, or before it.
        let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
    }
    assert_eq!(said(&client, "say 2 words").await, words(2));
    // One heartbeat later at most: the last one may still tell of the spare that has died.
    let replaced = |pool: &serde_json::Value| pool["chat_spares"] == 1 && pool["recycled"].as_u64() > Some(0);
    pool(&client, "another spare waits", replaced).await;
}

#[tokio::test]
async fn what_waits_too_long_is_replaced() {
    let upstream = Upstream::start();
    let cluster = pooled(&upstream, 1, 1).env("DROVER_SPARE_AGE", "1").start().await;
    let client = cluster.client();
    said(&client, "say 1 words").await;
    let gone = |pool: &serde_json::Value| pool["recycled"].as_u64() >= Some(3) && pool["kept"] == 0;
    pool(&client, "spares come and go, and nothing is kept", gone).await;
    assert_eq!(said(&client, "say 2 words").await, words(2));
}
