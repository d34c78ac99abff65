//! A job's canonical events, from the start or from anywhere, live or from the past.

use drover_shared::schema::JobId;

use super::client::{Answer, Call};
use super::store::{completed, started, text};
use super::{Api, STREAM};

/// The sequence numbers of the frames.
fn ids(body: &str) -> Vec<u64> {
    body.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect()
}

async fn job_with_four_events(api: &Api) -> (JobId, Answer) {
    let asked = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [started(), text("one"), text("two"), text("three")]);
    (job, asked.await.expect("an answer"))
}

#[tokio::test]
async fn a_finished_job_is_told_from_anywhere() {
    let api = Api::start().await;
    let (job, mut asked) = job_with_four_events(&api).await;
    api.store.say(job, [completed()]);
    asked.rest().await.expect("an orderly end");
    for (query, header, expected) in [
        ("", "", &[1, 2, 3, 4, 5][..]),
        ("?starting_after=0", "", &[1, 2, 3, 4, 5]),
        ("?starting_after=1", "", &[2, 3, 4, 5]),
        ("?starting_after=3", "", &[4, 5]),
        ("?starting_after=3", "1", &[2, 3, 4, 5]),
        ("", "4", &[5]),
        ("", "5", &[]),
        ("", "9000000000000000000", &[]),
    ] {
        let call = Call::get(&format!("/v1/jobs/{job}/events{query}")).header("last-event-id", header);
        let mut answer = call.send(api.address).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
        assert_eq!(answer.header("x-drover-job-id"), job.to_string());
        assert_eq!(ids(answer.rest().await.expect("an orderly end")), expected, "{query} {header}");
    }
}

#[tokio::test]
async fn a_frame_is_the_event_as_it_is() {
    let api = Api::start().await;
    let (job, _asked) = job_with_four_events(&api).await;
    let mut answer = api.get(&format!("/v1/jobs/{job}/events?starting_after=1")).await;
    let frame = answer.until("\n\n").await.split("\n\n").next().expect("a frame");
    let (head, data) = frame.split_once("\ndata: ").expect("data");
    assert_eq!(head, "id: 2\nevent: text_delta");
    let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
    assert_eq!(
        data,
        serde_json::json!({"seq": 2, "attempt": 1, "type": "text_delta", "index": 0, "text": "one"})
    );
}

#[tokio::test]
async fn a_running_job_is_followed_from_anywhere() {
    let api = Api::start().await;
    let (job, _asked) = job_with_four_events(&api).await;
    let mut answers = Vec::new();
    for after in [0, 1, 3, 4, 6, 500] {
        answers.push((after, api.get(&format!("/v1/jobs/{job}/events?starting_after={after}")).await));
    }
    for word in ["four", "five", "six"] {
        api.store.say(job, [text(word)]);
    }
    api.store.say(job, [completed()]);
    for (after, mut answer) in answers {
        let expected: Vec<u64> = (1..=8).filter(|seq| *seq > after).collect();
        assert_eq!(ids(answer.rest().await.expect("an orderly end")), expected, "after {after}");
    }
}

#[tokio::test]
async fn who_claims_to_be_further_holds_nobody_up() {
    let api = Api::start().await;
    let (job, asked) = job_with_four_events(&api).await;
    let mut ahead = api.get(&format!("/v1/jobs/{job}/events?starting_after=1000")).await;
    let mut honest = api.get(&format!("/v1/jobs/{job}/events")).await;
    drop(asked);
    honest.until("three").await;
    api.store.say(job, [text("four")]);
    honest.until("four").await;
    api.store.say(job, [completed()]);
    assert_eq!(ids(honest.rest().await.expect("an orderly end")), [1, 2, 3, 4, 5, 6]);
    assert_eq!(ahead.rest().await.expect("an orderly end"), "");
}

#[tokio::test]
async fn a_bad_start_is_refused() {
    let api = Api::start().await;
    let (job, _asked) = job_with_four_events(&api).await;
    let answer = api.get(&format!("/v1/jobs/{job}/events?starting_after=x")).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json().await["error"]["param"], "starting_after");
}
