//! Clients that go away.

use drover_shared::schema::{CancelReason, JobState};

use super::client::Call;
use super::store::{completed, started, text};
use super::{Api, STREAM, WHOLE, within};

#[tokio::test]
async fn a_client_that_leaves_before_its_answer_calls_its_job_off() {
    for body in [STREAM, WHOLE] {
        let api = Api::start().await;
        let asked = api.ask(body);
        let job = api.store.job_enqueued().await;
        drop(asked);
        assert_eq!(api.store.called_off(job).await, CancelReason::ClientGone, "{body}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_calls_its_job_off() {
    let api = Api::start().await;
    let asked = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [started(), text("half")]);
    let mut answer = asked.await.expect("an answer");
    answer.until("half").await;
    drop(answer);
    assert_eq!(api.store.called_off(job).await, CancelReason::ClientGone);
}

#[tokio::test]
async fn a_client_that_leaves_while_its_job_is_being_added_calls_it_off() {
    let api = Api::start().await;
    let asked = api.ask_behind_the_gate(STREAM).await;
    drop(asked);
    // The handler is gone when its connection is; a second request shows that the server went on.
    assert_eq!(api.get("/livez").await.status, 200);
    api.store.enqueue_gate.send_replace(true);
    let job = api.store.job_enqueued().await;
    assert_eq!(api.store.called_off(job).await, CancelReason::ClientGone);
}

#[tokio::test]
async fn calling_off_is_tried_until_it_works() {
    let api = Api::start().await;
    let asked = api.ask(WHOLE);
    let job = api.store.job_enqueued().await;
    api.store.break_down(true);
    drop(asked);
    within("leaving", async {
        while api.app.tail.leavings() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    api.store.break_down(false);
    assert_eq!(api.store.called_off(job).await, CancelReason::ClientGone);
}

#[tokio::test]
async fn the_last_reader_decides() {
    let api = Api::start().await;
    let asked = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [text("one")]);
    let mut asked = asked.await.expect("an answer");
    asked.until("one").await;
    let mut reader = api.get(&format!("/v1/jobs/{job}/events")).await;
    reader.until("one").await;
    drop(asked);
    api.store.say(job, [text("two")]);
    reader.until("two").await;
    assert!(api.store.lock().cancels.is_empty(), "somebody still reads");
    drop(reader);
    assert_eq!(api.store.called_off(job).await, CancelReason::ClientGone);
}

#[tokio::test]
async fn a_reader_of_anothers_making_calls_nothing_off() {
    let first = Api::start().await;
    let asked = first.ask(STREAM);
    let job = first.store.job_enqueued().await;
    first.store.say(job, [text("one")]);
    let mut answer = asked.await.expect("an answer");
    answer.until("one").await;

    // Another api on the same store.
    let second = Api::start().await;
    let row = first.store.lock().jobs[&job].clone();
    second.store.lock().jobs.insert(job, row);
    let mut reader = second.get(&format!("/v1/jobs/{job}/events")).await;
    reader.until("one").await;
    drop(reader);
    within("the reader's leaving", async {
        while second.app.tail.readers() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!((second.app.tail.leavings(), second.store.lock().cancels.len()), (0, 0));
}

#[tokio::test]
async fn an_answer_that_has_ended_calls_nothing_off() {
    let api = Api::start().await;
    let asked = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [text("all"), completed()]);
    asked.await.expect("an answer").rest().await.expect("an orderly end");
    within("the reader's leaving", async {
        while api.app.tail.readers() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!((api.app.tail.leavings(), api.store.lock().cancels.len()), (0, 0));
    assert_eq!(api.store.lock().jobs[&job].0.state, JobState::Completed);
}

#[tokio::test]
async fn a_head_request_for_events_leaves_at_once() {
    let api = Api::start().await;
    let _asked = api.ask(WHOLE);
    let job = api.store.job_enqueued().await;
    let mut answer = Call::new("HEAD", &format!("/v1/jobs/{job}/events")).send(api.address).await;
    assert_eq!((answer.status.as_u16(), answer.rest().await.expect("no body")), (200, ""));
    assert!(api.store.lock().cancels.is_empty());
}
