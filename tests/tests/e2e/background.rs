//! Jobs that nobody waits for, and their answers.

use drover_tests::chat::{self, Spoken, ask, streaming};
use drover_tests::client::{Answer, Client, Events, PATIENCE};
use drover_tests::harness::{ClaudeKind, Cluster, wait_for};
use drover_tests::upstream::{Upstream, words};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_job_in_the_background_outlives_its_readers_and_the_api() {
    let upstream = Upstream::start();
    let mut cluster = Cluster::builder().claude(ClaudeKind::Native).upstream(&upstream).start().await;
    let client = cluster.client();
    let mut body = ask("say 60 words every 50ms");
    body["background"] = true.into();
    let accepted = client.post(chat::PATH, &body).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let path = accepted.header("location").expect("a place").to_owned();
    assert_eq!(accepted.json()["object"], "job");
    let early = client.get(&format!("{path}/result")).await;
    assert_eq!((early.status.as_u16(), early.header("x-should-retry")), (409, Some("false")));
    assert_eq!(early.json()["error"]["code"], "job_not_finished");

    let mut reader = Events::open(client.request(Method::GET, &format!("{path}/events"))).await;
    reader.next().await.expect("an event");
    drop(reader);
    cluster.kill_api().await;
    cluster.restart_api().await;
    let answer = result(&cluster.client(), &path).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("x-drover-provider").is_some());
    let answer = answer.json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["message"]["content"], words(60));
    assert_eq!(upstream.calls_for("say 60 words every 50ms").len(), 1);
    assert_eq!(
        cluster.client().get("/v1/chat/completions").await.json()["data"],
        json!([]),
        "nobody stores it"
    );
}

#[tokio::test]
async fn a_result_is_what_the_request_was_answered() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().upstream(&upstream).start().await;
    let client = cluster.client();
    let answered = client.post(chat::PATH, &ask("say 3 words")).await;
    let told = client.get(&format!("/v1/jobs/{}/result", job(&answered))).await;
    assert_eq!((told.status, told.json()), (answered.status, answered.json()));
    let streamed = client.stream(chat::PATH, &streaming(ask("say 4 words"))).await;
    let id = streamed.header("x-drover-job-id").expect("a job").to_owned();
    assert_eq!(Spoken::of(streamed).await.text(), words(4));
    let told = client.get(&format!("/v1/jobs/{id}/result")).await.json();
    assert_eq!(told["choices"][0]["message"]["content"], words(4));

    let preferred = client.request(Method::POST, chat::PATH).header("prefer", "respond-async");
    let accepted = Answer::of(preferred.json(&ask("say 4000 words every 50ms"))).await;
    assert_eq!(
        (accepted.status.as_u16(), accepted.header("preference-applied")),
        (202, Some("respond-async"))
    );
    let path = format!("/v1/jobs/{}", job(&accepted));
    Answer::of(client.request(Method::POST, &format!("{path}/cancel"))).await;
    let told = result(&client, &path).await;
    assert_eq!((told.status.as_u16(), &told.json()["error"]["code"]), (400, &json!("job_cancelled")));

    let mut both = streaming(ask("say 3 words"));
    both["background"] = true.into();
    let refused = client.post(chat::PATH, &both).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["error"]["param"]), (400, &json!("background")));
}

fn job(answer: &Answer) -> String {
    answer.header("x-drover-job-id").expect("a job").to_owned()
}

/// What the job has come to, once it has ended.
async fn result(client: &Client, job: &str) -> Answer {
    wait_for("the end of the job", PATIENCE, async || {
        let shown: Value = client.get(job).await.json();
        let waits = shown["status"] == "queued" || shown["status"] == "running";
        (!waits).then_some(())
    })
    .await;
    client.get(&format!("{job}/result")).await
}
