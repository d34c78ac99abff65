//! Requests that come again under their key.

use std::time::Duration;

use drover_shared::schema::{CancelReason, Event, Failure, FailureKind, JobId, Usage};
use drover_shared::store::Enqueued;
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use super::client::{Answer, Call};
use super::store::{completed, started, text};
use super::{Api, STREAM, WHOLE, within};

const BACKGROUND: &str = r#"{"model":"opus","background":true}"#;

fn keyed(body: &str) -> Call {
    Call::chat(body).header("idempotency-key", "k")
}

fn ask(api: &Api, body: &str) -> AbortOnDropHandle<Answer> {
    let (call, address) = (keyed(body), api.address);
    AbortOnDropHandle::new(tokio::spawn(async move { call.send(address).await }))
}

fn is_replayed(answer: &Answer) -> bool {
    match answer.header("idempotent-replayed") {
        "true" => true,
        other => {
            assert_eq!(other, "");
            false
        }
    }
}

async fn left(api: &Api) {
    within("the readers' leaving", async {
        while api.app.tail.readers() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn whatever_has_changed_meanwhile_the_same_job_answers() {
    for body in [WHOLE, STREAM] {
        let api = Api::start().await;
        let asked = ask(&api, body);
        let job = api.store.job_enqueued().await;
        api.store.say(job, [started(), text("all "), text("of it"), completed()]);
        let mut first = asked.await.expect("an answer");
        assert!(!is_replayed(&first));
        first.rest().await.expect("an orderly end");

        api.store.lock().refusal = Some(Enqueued::QueueFull);
        assert_eq!(Call::chat(body).send(api.address).await.status, 429);
        api.store.lock().fleet.offers.clear();
        let mut again = keyed(body).send(api.address).await;
        assert!(is_replayed(&again));
        assert_eq!((again.status.as_u16(), again.header("x-drover-job-id")), (200, &*job.to_string()));
        assert_eq!(again.header("content-type"), first.header("content-type"));
        assert_eq!(again.rest().await.expect("an orderly end"), first.rest().await.expect("it has ended"));
        assert_eq!(api.store.lock().jobs.len(), 1);
    }
}

#[tokio::test]
async fn who_comes_again_while_the_job_runs_hears_it_from_the_first_event_on() {
    let api = Api::start().await;
    let asked = ask(&api, STREAM);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [started(), text("one")]);
    let mut first = asked.await.expect("an answer");
    first.until("one").await;
    let mut again = keyed(STREAM).send(api.address).await;
    again.until("one").await;
    api.store.say(job, [text("two"), completed()]);
    assert_eq!(
        again.rest().await.expect("an orderly end"),
        first.rest().await.expect("an orderly end"),
        "the same frames"
    );
    assert_eq!(api.store.lock().enqueueing, 1);
}

#[tokio::test]
async fn a_job_in_the_background_is_told_as_it_stands() {
    let api = Api::start().await;
    let first = keyed(BACKGROUND).send(api.address).await;
    assert_eq!((first.status.as_u16(), is_replayed(&first)), (202, false));
    let job = api.store.job_enqueued().await;
    api.store.say(job, [started(), text("half")]);
    let again = keyed(BACKGROUND).send(api.address).await;
    assert_eq!((again.status.as_u16(), is_replayed(&again)), (202, true));
    assert_eq!(again.header("location"), format!("/v1/jobs/{job}"));
    let told = again.json().await;
    assert_eq!((&told["id"], &told["status"]), (&json!(job.to_string()), &json!("running")));
    left(&api).await;
    assert_eq!((api.app.tail.leavings(), api.store.lock().cancels.len()), (0, 0));
}

#[tokio::test]
async fn another_request_under_the_key_is_refused() {
    let api = Api::start().await;
    assert_eq!(keyed(BACKGROUND).send(api.address).await.status, 202);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [started(), completed()]);
    let session = format!("sess_{}", "0".repeat(32));
    for call in [
        keyed(STREAM),
        // The same value, in other words.
        keyed(r#"{"model": "opus", "background": true}"#),
        keyed(BACKGROUND).header("prefer", "respond-async"),
        keyed(BACKGROUND).header("x-drover-session-id", &session),
        Call::new("POST", &format!("/v1/jobs/{job}/retry")).header("idempotency-key", "k"),
    ] {
        let answer = call.send(api.address).await;
        assert_eq!((answer.status.as_u16(), is_replayed(&answer)), (422, false));
        assert_eq!(answer.json().await["error"]["code"], "idempotency_key_reused");
    }
    assert_eq!(api.store.lock().jobs.len(), 1);
}

#[tokio::test]
async fn of_two_at_once_both_get_the_one_job() {
    for body in [WHOLE, STREAM] {
        let api = Api::start().await;
        api.store.enqueue_gate.send_replace(false);
        let (one, other) = (ask(&api, body), ask(&api, body));
        // Neither has found a job, and neither has made one.
        api.store.until("enqueueing", |state| (state.enqueueing == 2).then_some(())).await;
        api.store.enqueue_gate.send_replace(true);
        let job = api.store.job_enqueued().await;
        api.store.until("a second client", |state| (state.attended[&job] == 2).then_some(())).await;
        api.store.say(job, [started(), text("once"), completed()]);
        let (mut one, mut other) = (one.await.expect("an answer"), other.await.expect("an answer"));
        assert_eq!(one.header("x-drover-job-id"), job.to_string());
        assert_ne!(is_replayed(&one), is_replayed(&other));
        let one = one.rest().await.expect("an orderly end");
        assert!(one.contains("once"));
        assert_eq!(one, other.rest().await.expect("an orderly end"));
        assert_eq!(api.store.lock().jobs.len(), 1);
    }
}

/// An api that has a job under way whose client has just left.
async fn deserted(grace: Duration) -> (Api, JobId) {
    let api = Api::with(|settings| settings.return_grace = grace).await;
    let asked = ask(&api, STREAM);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [started(), text("one ")]);
    let mut answer = asked.await.expect("an answer");
    answer.until("one ").await;
    drop(answer);
    left(&api).await;
    (api, job)
}

const LONG: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_client_that_comes_back_finds_its_job_alive() {
    let (api, job) = deserted(LONG).await;
    assert_eq!((api.app.tail.leavings(), api.store.lock().cancels.len()), (1, 0));
    let mut again = keyed(STREAM).send(api.address).await;
    assert_eq!((again.header("x-drover-job-id"), is_replayed(&again)), (&*job.to_string(), true));
    api.store.say(job, [text("two"), completed()]);
    let all = again.rest().await.expect("an orderly end");
    assert!(all.contains("one ") && all.contains("two"), "{all}");
}

#[tokio::test]
async fn a_client_that_does_not_come_back_calls_its_job_off() {
    let (api, job) = deserted(Duration::from_millis(1)).await;
    assert_eq!(api.store.called_off(job).await, CancelReason::ClientGone);
}

#[tokio::test]
async fn a_client_at_another_api_keeps_the_job() {
    let grace = Duration::from_millis(1);
    let api = Api::with(|settings| settings.return_grace = grace).await;
    let asked = ask(&api, WHOLE);
    let job = api.store.job_enqueued().await;
    *api.store.lock().attended.get_mut(&job).expect("a client") += 1;
    drop(asked);
    api.store.until("leaving", |state| (state.attended[&job] == 1).then_some(())).await;
    assert!(api.store.lock().cancels.is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_while_its_job_is_looked_for_is_not_waited_for() {
    let api = Api::with(|settings| settings.return_grace = Duration::from_millis(1)).await;
    let asked = ask(&api, WHOLE);
    let job = api.store.job_enqueued().await;
    api.store.recall_gate.send_replace(false);
    let again = ask(&api, WHOLE);
    api.store.until("a search", |state| (state.recalling == 2).then_some(())).await;
    drop(again);
    // The handler is gone when its connection is; a second request shows that the server went on.
    assert_eq!(api.get("/livez").await.status, 200);
    api.store.recall_gate.send_replace(true);
    api.store.until("the second client", |state| (state.attended[&job] == 2).then_some(())).await;
    drop(asked);
    assert_eq!(api.store.called_off(job).await, CancelReason::ClientGone);
}

#[tokio::test]
async fn an_api_that_leaves_does_not_wait_for_clients_to_come_back() {
    let (api, _) = deserted(LONG).await;
    api.shutdown.cancel();
    within("the end", api.serving).await.expect("no panic").expect("an orderly end");
    assert_eq!((api.app.tail.leavings(), api.store.lock().cancels.len()), (0, 0));
}

#[tokio::test]
async fn no_sdk_is_to_ask_again_for_what_has_failed_for_good() {
    let api = Api::start().await;
    let asked = ask(&api, WHOLE);
    let job = api.store.job_enqueued().await;
    let failure = Failure::new(FailureKind::ProviderOverloaded, "Not now.");
    api.store.say(job, [started(), Event::Failed { failure, usage: Usage::default() }]);
    let (first, again) = (asked.await.expect("an answer"), keyed(WHOLE).send(api.address).await);
    assert_eq!((is_replayed(&first), is_replayed(&again)), (false, true));
    for answer in [first, again] {
        assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (503, "false"));
        assert_eq!(answer.json().await["error"]["code"], "provider_overloaded");
    }
    // What is refused makes no job; the key is as good as new.
    let full = Api::with(|settings| settings.max_queued = 0).await;
    let answer = keyed(WHOLE).send(full.address).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (429, "true"));
    assert!(full.store.lock().keys.is_empty());
}

#[tokio::test]
async fn a_job_is_repeated_once_under_a_key() {
    let api = Api::start().await;
    assert_eq!(Call::chat(BACKGROUND).send(api.address).await.status, 202);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [started(), completed()]);
    let retry = Call::new("POST", &format!("/v1/jobs/{job}/retry")).header("idempotency-key", "k");
    let first = retry.clone().send(api.address).await;
    assert_eq!((first.status.as_u16(), is_replayed(&first)), (202, false));
    let again = retry.send(api.address).await;
    assert_eq!((again.status.as_u16(), is_replayed(&again)), (202, true));
    let (first, again) = (first.json().await, again.json().await);
    assert_eq!((&first["id"], &first["retry_of"]), (&again["id"], &json!(job.to_string())));
    assert_eq!(api.store.lock().jobs.len(), 2);
}

#[tokio::test]
async fn a_bad_key_is_named() {
    let api = Api::start().await;
    for (at, call) in [
        Call::chat(WHOLE).header("idempotency-key", "a b"),
        keyed(WHOLE).header("idempotency-key", "k"),
        Call::new("POST", "/v1/jobs/x/retry").header("idempotency-key", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = call.send(api.address).await;
        assert_eq!(answer.status, 400, "{at}");
        let error = answer.json().await["error"].take();
        assert_eq!((&error["code"], &error["param"]), (&json!("invalid_value"), &json!("Idempotency-Key")));
    }
}
