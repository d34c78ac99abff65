//! Jobs by their ids.

use drover_shared::schema::{CancelReason, Failure, FailureKind, JobState, Usage, WorkerId};
use serde_json::json;

use super::client::Call;
use super::store::{completed, started, text};
use super::{Api, NOW_MS, STREAM};

#[tokio::test]
async fn a_job_is_shown() {
    let api = Api::start().await;
    let _asked = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    let path = format!("/v1/jobs/{job}");
    let mut expected = json!({
        "id": job.to_string(), "object": "job", "status": "queued", "model": "opus", "attempts": 0,
        "created_at": NOW_MS / 1_000, "started_at": null, "finished_at": null, "worker": null,
        "error": null, "usage": null, "calls": [], "cost_microusd": 0, "cost_usd": "0.000000",
    });
    assert_eq!(api.get(&path).await.json().await, expected);

    let usage = Usage { input_tokens: 3, output_tokens: 4, ..Usage::default() };
    if let Some((row, _)) = api.store.lock().jobs.get_mut(&job) {
        row.state = JobState::Failed;
        row.attempts = 2;
        row.worker = Some(WorkerId("w1".to_owned()));
        row.started_at_ms = Some(NOW_MS + 1_000);
        row.finished_at_ms = Some(NOW_MS + 2_000);
        row.failure = Some(Failure::new(FailureKind::JobTimeout, "Too long."));
        row.usage = Some(usage);
    }
    expected["status"] = json!("failed");
    expected["attempts"] = json!(2);
    expected["worker"] = json!("w1");
    expected["started_at"] = json!(NOW_MS / 1_000 + 1);
    expected["finished_at"] = json!(NOW_MS / 1_000 + 2);
    expected["error"] = json!({"code": "job_timeout", "message": "Too long."});
    expected["usage"] = json!(usage);
    assert_eq!(api.get(&path).await.json().await, expected);
}

#[tokio::test]
async fn a_job_is_called_off_once() {
    let api = Api::start().await;
    let asked = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    let cancel = Call::new("POST", &format!("/v1/jobs/{job}/cancel"));
    let answer = cancel.clone().send(api.address).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-drover-job-id")), (200, job.to_string().as_str()));
    assert_eq!(answer.json().await["status"], "cancelled");
    assert_eq!(asked.await.expect("an answer").json().await["error"]["code"], "cancelled");
    assert_eq!(cancel.send(api.address).await.json().await["status"], "cancelled");
    assert_eq!(api.store.lock().cancels, [(job, CancelReason::Requested)]);
}

#[tokio::test]
async fn a_running_job_runs_until_its_worker_has_stopped_it() {
    let api = Api::start().await;
    let _asked = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [started(), text("half")]);
    let answer = Call::new("POST", &format!("/v1/jobs/{job}/cancel")).send(api.address).await;
    assert_eq!(answer.json().await["status"], "running");
    assert_eq!(api.store.called_off(job).await, CancelReason::Requested);
}

#[tokio::test]
async fn a_job_that_has_ended_stays_as_it_is() {
    let api = Api::start().await;
    let asked = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [completed()]);
    asked.await.expect("an answer").rest().await.expect("an orderly end");
    let answer = Call::new("POST", &format!("/v1/jobs/{job}/cancel")).send(api.address).await;
    assert_eq!(answer.json().await["status"], "completed");
}

#[tokio::test]
async fn anothers_job_is_none() {
    let api = Api::with(|settings| settings.api_keys = vec!["mine".to_owned(), "yours".to_owned()]).await;
    let address = api.address;
    let asked = tokio::spawn(Call::chat(STREAM).header("x-api-key", "mine").send(address));
    let job = api.store.job_enqueued().await;
    for (method, path) in [("GET", ""), ("GET", "/events"), ("POST", "/cancel")] {
        let call = Call::new(method, &format!("/v1/jobs/{job}{path}"));
        let answer = call.clone().header("x-api-key", "yours").send(address).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("x-drover-job-id"), "", "{path}");
        assert_eq!(answer.json().await["error"]["code"], "job_not_found", "{path}");
        let answer = call.header("authorization", "Bearer mine").send(address).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    assert_eq!(asked.await.expect("an answer").status, 409);
}

#[tokio::test]
async fn models_are_what_the_fleet_offers() {
    let api = Api::start().await;
    let list = api.get("/v1/models").await.json().await;
    assert_eq!(list["object"], "list");
    let ids: Vec<_> = list["data"].as_array().expect("a list").iter().map(|model| &model["id"]).collect();
    assert_eq!(ids, ["opus", "org/opus"]);
    for id in ["opus", "org/opus", "org%2Fopus"] {
        let model = api.get(&format!("/v1/models/{id}")).await.json().await;
        assert_eq!(model["id"], id.replace("%2F", "/"));
        assert_eq!((&model["object"], &model["created"]), (&json!("model"), &json!(NOW_MS / 1_000)));
        assert!(model["owned_by"].is_string());
    }
}
