//! Requests that are sent again under their `Idempotency-Key`, at one api or several.

use std::collections::BTreeSet;

use drover_tests::chat::{self, ErrorBody, Spoken, ask, streaming};
use drover_tests::client::{Answer, Client, Events, Frame, PATIENCE};
use drover_tests::foreign::{self, Language};
use drover_tests::harness::{ClaudeKind, Cluster, wait_for};
use drover_tests::ledger;
use drover_tests::upstream::{Ending, Upstream, words};
use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

fn keyed(client: &Client, key: &str, body: &Value) -> RequestBuilder {
    client.request(Method::POST, chat::PATH).header("idempotency-key", key).json(body)
}

fn job(answer: &Answer) -> String {
    answer.header("x-drover-job-id").expect("a job").to_owned()
}

async fn show(client: &Client, job: &str) -> Value {
    client.get(&format!("/v1/jobs/{job}")).await.json()
}

fn data(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(|frame| frame.data.as_str()).collect()
}

#[tokio::test]
async fn the_sdk_sends_its_request_again_and_pays_once() {
    let upstream = Upstream::start();
    let mut cluster = Cluster::builder()
        .claude(ClaudeKind::Native)
        .upstream(&upstream)
        .env("API_KEYS", "key-of-the-sdk,another-key")
        .start()
        .await;
    cluster.add_api().await;
    let base = format!("{}/v1", cluster.api_url());
    let environment = [
        ("OPENAI_BASE_URL", base.as_str()),
        ("OPENAI_API_KEY", "key-of-the-sdk"),
        ("OTHER_KEY", "another-key"),
    ];
    let said = foreign::run(Language::Python, &foreign::script("idempotent.py"), &environment).await;
    assert!(!said.is_empty());
    for line in said.lines() {
        let meant: Value = serde_json::from_str(line).expect("a line of JSON");
        let calls = upstream.calls_for(meant["prompt"].as_str().expect("a prompt"));
        assert_eq!(json!(calls.len()), meant["calls"], "{meant}");
    }
}

#[tokio::test]
async fn of_twenty_at_once_at_two_apis_one_makes_the_job() {
    let upstream = Upstream::start();
    let mut cluster = Cluster::builder().upstream(&upstream).start().await;
    let apis = [cluster.client(), cluster.add_api().await];
    let prompt = "wait 200ms then say 7 words";
    let mut in_background = ask("say 6 words");
    in_background["background"] = true.into();
    let mut in_session = ask(prompt);
    in_session["session_id"] = "new".into();
    for (key, body) in
        [("whole", in_session), ("stream", streaming(ask("say 5 words"))), ("later", in_background)]
    {
        let asking = (0..20).map(|number| Answer::of(keyed(&apis[number % 2], key, &body)));
        let answers = join_all(asking).await;
        let first = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_none()).count();
        assert_eq!(first, 1, "{key}");
        let jobs: BTreeSet<String> = answers.iter().map(job).collect();
        assert_eq!(jobs.len(), 1, "{key}: {jobs:?}");
        let status = if key == "later" { 202 } else { 200 };
        assert!(answers.iter().all(|answer| answer.status == status), "{key}");
        if status == 200 {
            let texts: BTreeSet<String> = answers.iter().map(Answer::text).collect();
            assert_eq!(texts.len(), 1, "{key}: {texts:?}");
            let sessions: BTreeSet<_> =
                answers.iter().map(|answer| answer.header("x-drover-session-id")).collect();
            assert_eq!(sessions.len(), 1, "{key}: {sessions:?}");
        }
    }
    assert_eq!(ledger::job_ids(&cluster.database()).await.len(), 3);
    assert_eq!(upstream.calls_for(prompt).len(), 1);
    let sessions = apis[0].get("/v1/sessions").await.json();
    assert_eq!(
        sessions["data"].as_array().map(Vec::len),
        Some(1),
        "what the others began is gone: {sessions}"
    );
}

#[tokio::test]
async fn a_stream_that_broke_is_told_again_from_its_first_event() {
    let upstream = Upstream::start();
    let mut cluster = Cluster::builder().claude(ClaudeKind::Native).upstream(&upstream).start().await;
    let (client, other) = (cluster.client(), cluster.add_api().await);
    let prompt = "say 60 words every 50ms";
    let mut body = streaming(ask(prompt));
    body["session_id"] = "new".into();
    body["stream_options"] = json!({"include_usage": true});
    let mut broken = Events::open(keyed(&client, "k", &body)).await;
    assert_eq!(broken.header("idempotent-replayed"), None);
    let (job, session) = (
        broken.header("x-drover-job-id").map(str::to_owned),
        broken.header("x-drover-session-id").map(str::to_owned),
    );
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(broken.next().await.expect("a chunk"));
    }
    drop(broken);

    // At another api, while it runs, and at both when it has ended.
    let again = Events::open(keyed(&other, "k", &body)).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(
        (again.header("x-drover-job-id"), again.header("x-drover-session-id")),
        (job.as_deref(), session.as_deref())
    );
    let all = again.all().await;
    assert_eq!(data(&all[..5]), data(&seen), "the same frames, identifiers included");
    assert_eq!(all.last().map(|frame| frame.data.as_str()), Some("[DONE]"));
    let text: String = all
        .iter()
        .filter(|frame| frame.data != "[DONE]")
        .filter_map(|frame| frame.json()["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(text, words(60));
    for api in [&client, &other] {
        let late = Events::open(keyed(api, "k", &body)).await;
        assert_eq!(late.header("idempotent-replayed"), Some("true"));
        assert_eq!(data(&late.all().await), data(&all));
    }
    assert_eq!(upstream.calls_for(prompt).len(), 1, "the model was asked once");
    assert_eq!(ledger::job_ids(&cluster.database()).await.len(), 1);
    let sessions = client.get("/v1/sessions").await.json();
    assert_eq!(sessions["data"].as_array().map(Vec::len), Some(1), "no second session is begun");
}

#[tokio::test]
async fn when_its_api_is_killed_the_same_request_goes_on_at_another() {
    let upstream = Upstream::start();
    let mut cluster = Cluster::builder().upstream(&upstream).start().await;
    let (client, other) = (cluster.client(), cluster.add_api().await);
    let prompt = "say 40 words every 50ms";
    let body = streaming(ask(prompt));
    let mut broken = Events::open(keyed(&client, "k", &body)).await;
    let first = broken.next().await.expect("the model speaks");
    cluster.kill_api().await;
    while let Ok(Some(_)) = broken.try_next().await {}
    let again = Events::open(keyed(&other, "k", &body)).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let spoken = Spoken::of(again).await;
    assert_eq!((spoken.text(), spoken.done, &spoken.chunks[0].data), (words(40), true, &first.data));
    cluster.restart_api().await;
    let late = Events::open(keyed(&cluster.client(), "k", &body)).await;
    assert_eq!(Spoken::of(late).await.text(), words(40));
    assert_eq!(upstream.calls_for(prompt).len(), 1);
}

#[tokio::test]
async fn a_key_is_its_owners_and_stands_for_one_request_as_long_as_the_job_is_there() {
    let upstream = Upstream::start();
    let mut cluster = Cluster::builder().upstream(&upstream).env("API_KEYS", "one,two").start().await;
    let (one, two) = (cluster.client().with_key("one"), cluster.client().with_key("two"));
    let body = ask("say 3 words");
    let first = Answer::of(keyed(&one, "k", &body)).await;
    let anothers = Answer::of(keyed(&two, "k", &body)).await;
    assert_eq!((first.status.as_u16(), anothers.status.as_u16()), (200, 200));
    assert_ne!(job(&first), job(&anothers));
    assert_eq!(anothers.header("idempotent-replayed"), None);
    let refused = Answer::of(keyed(&one, "k", &ask("say 4 words"))).await;
    assert_eq!(refused.status, 422);
    assert_eq!(ErrorBody::of(&refused.json()).code, "idempotency_key_reused");
    let long = "x".repeat(256);
    for bad in ["", "a b", &long] {
        let refused = Answer::of(keyed(&one, bad, &body)).await;
        assert_eq!(refused.status, 400, "{bad}");
        assert_eq!(ErrorBody::of(&refused.json()).param.as_deref(), Some("Idempotency-Key"));
    }

    // Nobody works any more, which is nothing to what there is.
    cluster.kill_worker(0, nix::sys::signal::Signal::SIGTERM).await;
    let again = Answer::of(keyed(&one, "k", &body)).await;
    assert_eq!((again.status, again.text()), (first.status, first.text()));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let delete = one.request(Method::DELETE, &format!("/v1/jobs/{}", job(&first)));
    assert_eq!(Answer::of(delete).await.status, 200);
    let mut later = ask("say 4 words");
    later["background"] = true.into();
    let new = Answer::of(keyed(&one, "k", &later)).await;
    assert_eq!((new.status.as_u16(), new.header("idempotent-replayed")), (202, None), "the key is free");
}

#[tokio::test]
async fn a_job_whose_client_does_not_come_back_is_called_off_and_its_key_free() {
    let upstream = Upstream::start();
    let mut cluster = Cluster::builder().cold().claude(ClaudeKind::Native).upstream(&upstream).start().await;
    let (client, other) = (cluster.client(), cluster.add_api().await);
    let (left, kept) = ("say 4000 words every 50ms", "say 3999 words every 50ms");
    let mut jobs = Vec::new();
    for (key, prompt) in [("left", left), ("kept", kept)] {
        let mut stream = Events::open(keyed(&client, key, &streaming(ask(prompt)))).await;
        jobs.push(stream.header("x-drover-job-id").expect("a job").to_owned());
        stream.next().await.expect("the model speaks");
    }
    // To one of them the client comes back, elsewhere, before and after the other one is given up.
    let mut back = Events::open(keyed(&other, "kept", &streaming(ask(kept)))).await;
    back.next().await.expect("a first chunk");
    assert_eq!(ledger::attended(&cluster.database(), &jobs[1]).await, 2);
    wait_for("the job that nobody came back to is cancelled", PATIENCE, async || {
        (show(&client, &jobs[0]).await["status"] == "cancelled").then_some(())
    })
    .await;
    upstream
        .wait_for("the model stops", PATIENCE, |call| {
            call.prompt == left && call.ending == Ending::ClientLeft
        })
        .await;
    wait_for("the api has given up the other one, too", PATIENCE, async || {
        (ledger::attended(&cluster.database(), &jobs[1]).await == 1).then_some(())
    })
    .await;
    assert_eq!(show(&other, &jobs[1]).await["status"], "running");
    back.next().await.expect("the model speaks on");

    let anew = Events::open(keyed(&other, "left", &streaming(ask("say 3 words")))).await;
    assert_eq!((anew.status.as_u16(), anew.header("idempotent-replayed")), (200, None));
    anew.all().await;
    let cancel = client.request(Method::POST, &format!("/v1/jobs/{}/cancel", jobs[1]));
    assert_eq!(Answer::of(cancel).await.status, 200);
    cluster.wait_until_no_descendants().await;
}
