//! Answers to chat requests, streamed and whole.

use std::time::Duration;

use drover_shared::schema::{Event, Failure, FailureKind, Usage};

use super::client::Call;
use super::store::{completed, started, text};
use super::{Api, NOW_MS, STREAM, WHOLE};

fn failed(kind: FailureKind) -> Event {
    let failure = Failure { retry_after_ms: Some(1_500), ..Failure::new(kind, "The provider is busy.") };
    Event::Failed { failure, usage: Usage::default() }
}

#[tokio::test]
async fn a_stream_flows_while_the_model_speaks() {
    let api = Api::start().await;
    let asked = api.ask(r#"{"stream":true,"ignored":["seed","logit bias"]}"#);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [started()]);
    api.store.say(job, [Event::MessageStarted { message_id: "m".to_owned(), model: "opus".to_owned() }]);
    let mut answer = asked.await.expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("x-accel-buffering"), "no");
    assert_eq!(answer.header("x-drover-job-id"), job.to_string());
    assert_eq!(answer.header("x-drover-ignored-parameters"), "seed, logit?bias");
    assert_eq!(answer.header("openai-version"), "2020-10-01");
    assert!(answer.header("openai-processing-ms").parse::<u64>().is_ok());

    let mut expected = "data: start\n\n".to_owned();
    for word in [" one", "two ", "drei — 三"] {
        api.store.say(job, [text(word)]);
        expected.extend(["data: ", word, "\n\n"]);
        assert_eq!(answer.until(word).await.trim_end(), expected.trim_end());
    }
    api.store.say(job, [completed()]);
    assert_eq!(answer.rest().await.expect("an orderly end"), expected + "data: [DONE]\n\n");
    assert!(api.store.lock().cancels.is_empty());
}

#[tokio::test]
async fn a_whole_answer_waits_for_the_end() {
    let api = Api::start().await;
    let asked = api.ask(WHOLE);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [started(), text("Hello, ")]);
    api.store.say(job, [text("world"), completed()]);
    let answer = asked.await.expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.header("x-drover-job-id"), job.to_string());
    let body = answer.json().await;
    assert_eq!((&body["text"], &body["model"]), (&"Hello, world".into(), &"opus".into()));
    assert_eq!((&body["job"], &body["created"]), (&job.to_string().into(), &(NOW_MS / 1_000).into()));
}

#[tokio::test]
async fn a_failure_before_the_first_word_has_a_status_of_its_own() {
    for body in [STREAM, WHOLE] {
        let cancelled = Event::Cancelled {
            reason: drover_shared::schema::CancelReason::Requested,
            usage: Usage::default(),
        };
        for (event, status, code) in [
            (failed(FailureKind::ProviderRateLimited), 429, "provider_rate_limited"),
            (failed(FailureKind::InvalidRequest), 400, "invalid_request"),
            (failed(FailureKind::ProviderOverloaded), 503, "provider_overloaded"),
            (cancelled, 409, "cancelled"),
            (Event::Expired, 503, "expired"),
        ] {
            let api = Api::start().await;
            let asked = api.ask(body);
            let job = api.store.job_enqueued().await;
            api.store.say(job, [started()]);
            let waits = matches!(event, Event::Failed { .. });
            api.store.say(job, [event]);
            let answer = asked.await.expect("an answer");
            assert_eq!(answer.status, status, "{body} {code}");
            assert_eq!(answer.header("x-drover-job-id"), job.to_string());
            assert_eq!(answer.header("retry-after"), if waits { "2" } else { "" }, "{code}");
            assert_eq!(answer.header("retry-after-ms"), if waits { "1500" } else { "" }, "{code}");
            assert_eq!(answer.json().await["error"]["code"], code);
        }
    }
}

#[tokio::test]
async fn a_failure_after_the_first_word_ends_the_stream() {
    let api = Api::start().await;
    let asked = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [text("half")]);
    let mut answer = asked.await.expect("an answer");
    assert_eq!(answer.until("half").await, "data: half\n\n");
    api.store.say(job, [failed(FailureKind::StreamInterrupted)]);
    let all = answer.rest().await.expect("an orderly end");
    assert_eq!(all, "data: half\n\ndata: stream_interrupted\n\n");
}

#[tokio::test]
async fn a_long_wait_commits_the_head_and_pings() {
    let api = Api::with(|settings| {
        settings.stream_hold = Duration::from_millis(50);
        settings.stream_heartbeat = Duration::from_millis(50);
    })
    .await;
    let mut answer = Call::chat(STREAM).send(api.address).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.until(": ping\n\n: ping\n\n: ping\n\n").await.replace(": ping\n\n", ""), "");
    let job = api.store.job_enqueued().await;
    api.store.say(job, [started(), failed(FailureKind::ProviderOverloaded)]);
    let all = answer.rest().await.expect("an orderly end");
    assert_eq!(all.replace(": ping\n\n", ""), "data: provider_overloaded\n\n");
}

#[tokio::test]
async fn events_without_frames_do_not_silence_the_heartbeat() {
    let api = Api::with(|settings| {
        settings.stream_hold = Duration::from_millis(20);
        settings.stream_heartbeat = Duration::from_millis(300);
    })
    .await;
    let mut answer = Call::chat(STREAM).send(api.address).await;
    let job = api.store.job_enqueued().await;
    let store = std::sync::Arc::clone(&api.store);
    let chatter = async move {
        loop {
            store.say(job, [Event::Notice { code: "retry".to_owned(), message: String::new() }]);
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    };
    tokio::select! {
        _ = answer.until(": ping\n\n: ping\n\n: ping\n\n") => {}
        () = chatter => {}
    }
}

#[tokio::test]
async fn a_large_body_is_taken() {
    let api = Api::start().await;
    let body = format!(r#"{{"text":"{}"}}"#, "x".repeat(3_000_000));
    let address = api.address;
    let asked = tokio::spawn(Call::chat(&body).send(address));
    let job = api.store.job_enqueued().await;
    api.store.say(job, [completed()]);
    assert_eq!(asked.await.expect("an answer").status, 200);
}

#[tokio::test]
async fn a_job_that_vanishes_breaks_its_stream_off() {
    let api = Api::start().await;
    let asked = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [text("half")]);
    let mut answer = asked.await.expect("an answer");
    answer.until("half").await;
    api.store.lock().jobs.clear();
    tokio::time::pause();
    answer.rest().await.expect_err("half an answer must not look whole");
}
