//! Leaving in two stages.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::store::{completed, text};
use super::{Api, STREAM, WHOLE, within};

#[tokio::test]
async fn open_answers_are_finished() {
    let api = Api::start().await;
    let whole = api.ask(WHOLE);
    let first = api.store.job_enqueued().await;
    let stream = api.ask(STREAM);
    let second =
        api.store.until("a job", |state| state.jobs.keys().find(|job| **job != first).copied()).await;
    api.store.say(second, [text("half")]);
    let mut stream = stream.await.expect("an answer");
    stream.until("half").await;

    api.shutdown.cancel();
    api.store.say(second, [text("whole"), completed()]);
    assert!(stream.rest().await.expect("an orderly end").ends_with("data: whole\n\ndata: [DONE]\n\n"));
    api.store.say(first, [completed()]);
    assert_eq!(whole.await.expect("an answer").status, 200);
    within("leaving", api.serving).await.expect("no panic").expect("no error");
    tokio::net::TcpStream::connect(api.address).await.expect_err("nobody listens");
}

#[tokio::test]
async fn what_takes_too_long_is_cut_and_its_job_goes_on() {
    let api = Api::with(|settings| settings.shutdown_grace = Duration::from_millis(50)).await;
    let stream = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [text("half")]);
    let mut stream = stream.await.expect("an answer");
    stream.until("half").await;
    api.shutdown.cancel();
    stream.rest().await.expect_err("half an answer must not look whole");
    within("leaving", api.serving).await.expect("no panic").expect("no error");
    assert!(api.store.lock().cancels.is_empty(), "the answer is kept");
}

#[tokio::test]
async fn who_leaves_meanwhile_calls_nothing_off() {
    let api = Api::start().await;
    let asked = api.ask(WHOLE);
    api.store.job_enqueued().await;
    api.shutdown.cancel();
    drop(asked);
    within("leaving", api.serving).await.expect("no panic").expect("no error");
    assert!(api.store.lock().cancels.is_empty(), "the answer is kept");
}

#[tokio::test]
async fn idle_connections_hold_nobody_up() {
    let hour = Duration::from_hours(1);
    let api = Api::with(|settings| (settings.shutdown_grace, settings.head_timeout) = (hour, hour)).await;
    let mut idle = tokio::net::TcpStream::connect(api.address).await.expect("a connection");
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok\n") {
        within("an answer", idle.read_buf(&mut answer)).await.expect("read");
    }
    api.shutdown.cancel();
    within("leaving", api.serving).await.expect("no panic").expect("no error");
}
