//! Jobs that nobody waits for, and the answers of jobs that have ended.

use drover_shared::schema::{Event, Failure, FailureKind, Usage};
use serde_json::json;

use super::client::Call;
use super::store::{completed, started, text};
use super::{Api, STREAM, within};

const BACKGROUND: &str = r#"{"model":"opus","background":true}"#;

#[tokio::test]
async fn a_job_in_the_background_is_answered_at_once_and_outlives_its_readers() {
    let api = Api::start().await;
    let answer = Call::chat(BACKGROUND).send(api.address).await;
    let job = api.store.job_enqueued().await;
    let path = format!("/v1/jobs/{job}");
    assert_eq!((answer.status.as_u16(), answer.header("location")), (202, path.as_str()));
    assert_eq!(answer.header("x-drover-job-id"), job.to_string());
    assert_eq!(answer.header("preference-applied"), "");
    let told = answer.json().await;
    assert_eq!((&told["id"], &told["status"]), (&json!(job.to_string()), &json!("queued")));
    assert_eq!(told, api.get(&path).await.json().await);

    let answer = api.get(&format!("{path}/result")).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (409, "false"));
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(answer.json().await["error"]["code"], "job_not_finished");

    api.store.say(job, [started(), text("Hello")]);
    let mut events = api.get(&format!("{path}/events")).await;
    events.until("Hello").await;
    drop(events);
    within("the reader's leaving", async {
        while api.app.tail.readers() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(api.app.tail.leavings(), 0);
    assert!(api.store.lock().cancels.is_empty(), "its readers are not what it runs for");
    api.store.say(job, [completed()]);
    let answer = api.get(&format!("{path}/result")).await;
    assert_eq!(answer.status, 200);
    let answer = answer.json().await;
    assert_eq!((&answer["job"], &answer["text"]), (&json!(job.to_string()), &json!("Hello")));
}

#[tokio::test]
async fn a_header_asks_for_it_too() {
    let api = Api::start().await;
    let call = Call::chat(r#"{"model":"opus"}"#).header("prefer", "wait=5, respond-async");
    let answer = call.send(api.address).await;
    assert_eq!((answer.status.as_u16(), answer.header("preference-applied")), (202, "respond-async"));
    let full = Api::with(|settings| settings.max_queued = 0).await;
    assert_eq!(Call::chat(BACKGROUND).send(full.address).await.status, 429);
}

#[tokio::test]
async fn a_result_is_what_the_request_would_have_been_answered() {
    let api = Api::start().await;
    let asked = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    let failure = Failure::new(FailureKind::ProviderRateLimited, "No.");
    api.store.say(job, [started(), text("half"), Event::Failed { failure, usage: Usage::default() }]);
    asked.await.expect("an answer");
    let answer = api.get(&format!("/v1/jobs/{job}/result")).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.json().await["error"]["code"], "provider_rate_limited");
    api.store.lock().kept.clear();
    assert_eq!(api.get(&format!("/v1/jobs/{job}/result")).await.status, 404);
}
