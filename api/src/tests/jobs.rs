//! Jobs by their ids.

use drover_shared::schema::{
    CancelReason, Failure, FailureKind, JobQuery, JobState, Page, Priority, Usage, WorkerId,
};
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
        "error": null, "usage": null, "session_id": null, "project_id": null, "background": false,
        "priority": "normal", "run_at": null, "deadline": NOW_MS / 1_000 + 3_600, "tags": [], "retry_of": null, "calls": [], "cost_microusd": 0, "cost_usd": "0.000000",
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
    for (method, path) in
        [("GET", ""), ("GET", "/events"), ("POST", "/retry"), ("DELETE", ""), ("POST", "/cancel")]
    {
        let call = Call::new(method, &format!("/v1/jobs/{job}{path}"));
        let answer = call.clone().header("x-api-key", "yours").send(address).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("x-drover-job-id"), "", "{path}");
        assert_eq!(answer.json().await["error"]["code"], "job_not_found", "{path}");
        let answer = call.header("authorization", "Bearer mine").send(address).await;
        let expected = if path == "/retry" || method == "DELETE" { 409 } else { 200 };
        assert_eq!(answer.status, expected, "{path}");
    }
    assert_eq!(asked.await.expect("an answer").status, 409);
}

#[tokio::test]
async fn a_list_tells_what_was_asked_of_it() {
    let api = Api::start().await;
    let _asked = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    let list = api.get("/v1/jobs?limit=7").await.json().await;
    assert_eq!((&list["object"], &list["has_more"]), (&json!("list"), &json!(false)));
    assert_eq!((&list["first_id"], &list["pagination"]["total_items"]), (&json!(job.to_string()), &json!(1)));
    let mut shown = api.get(&format!("/v1/jobs/{job}")).await.json().await;
    for costly in ["calls", "cost_microusd", "cost_usd"] {
        shown.as_object_mut().expect("an object").remove(costly).expect(costly);
    }
    assert_eq!(list["data"], json!([shown]), "all but what each would have to be asked for by itself");
    let session = format!("session_{}", "1".repeat(32));
    let project = format!("project_{}", "2".repeat(32));
    let query = format!(
        "/v1/jobs?status=queued,running&status=failed&model=org%2Fopus&session_id={session}&project_id={project}\
         &tag=a%2Cb&tag=c&background=true&created_after=5&created_before=7&order=asc&after={job}"
    );
    assert_eq!(api.get(&query).await.status, 200);
    let (query, page) = api.store.lock().jobs_asked.pop().expect("a query");
    let expected = JobQuery {
        states: vec![JobState::Queued, JobState::Running, JobState::Failed],
        model: Some("org/opus".to_owned()),
        session: session.parse().ok(),
        project: project.parse().ok(),
        tags: vec!["a,b".to_owned(), "c".to_owned()],
        since_ms: Some(5_000),
        until_ms: Some(7_000),
        background: Some(true),
    };
    assert_eq!((query, page), (expected, Page { newest_first: false, after: Some(job), skip: 0, limit: 20 }));
    for (query, param) in [
        ("status=done", "status"),
        ("status=", "status"),
        ("model=a&model=b", "model"),
        ("session_id=x", "session_id"),
        ("project_id=x", "project_id"),
        ("background=x", "background"),
        ("created_after=2026-01-01", "created_after"),
        ("created_before=9223372036854775807", "created_before"),
        ("after=x", "after"),
        ("tags=a", "tags"),
    ] {
        let answer = api.get(&format!("/v1/jobs?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.json().await["error"]["param"], param, "{query}");
    }
}

#[tokio::test]
async fn a_job_that_has_ended_is_repeated_and_deleted() {
    let api = Api::start().await;
    let asked = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    let (path, address) = (format!("/v1/jobs/{job}"), api.address);
    for early in [Call::new("POST", &format!("{path}/retry")), Call::new("DELETE", &path)] {
        let answer = early.send(address).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (409, "false"));
        assert_eq!(answer.json().await["error"]["code"], "job_not_finished");
    }
    api.store.say(job, [text("all"), completed()]);
    asked.await.expect("an answer");
    if let Some((row, _)) = api.store.lock().jobs.get_mut(&job) {
        row.terms.tags = vec!["t".to_owned()];
        row.terms.priority = Priority::High;
        row.terms.run_at_ms = Some(1);
    }
    let retry = Call::new("POST", &format!("{path}/retry"));
    let refused = retry.clone().body(r#"{"model":"other"}"#).send(address).await;
    assert_eq!(refused.json().await["error"]["param"], "model");
    let answer = retry.clone().send(address).await;
    let again = api.store.job_enqueued().await;
    let place = format!("/v1/jobs/{again}");
    assert_eq!((answer.status.as_u16(), answer.header("location")), (202, place.as_str()));
    assert_eq!(answer.header("x-drover-job-id"), again.to_string());
    let body = answer.json().await;
    assert_eq!((&body["retry_of"], &body["status"]), (&json!(job.to_string()), &json!("queued")));
    assert_eq!((&body["tags"], &body["priority"]), (&json!(["t"]), &json!("high")));
    assert_eq!((&body["background"], &body["run_at"]), (&json!(true), &json!(null)));
    let specs = api.store.lock().specs.clone();
    assert_eq!(specs[&job], specs[&again]);
    api.store.say(again, [text("again"), completed()]);
    let result = api.get(&format!("{place}/result")).await.json().await;
    assert_eq!((&result["job"], &result["text"]), (&json!(again.to_string()), &json!("again")));

    let deleted = Call::new("DELETE", &path).send(address).await.json().await;
    assert_eq!(deleted, json!({"id": job.to_string(), "object": "job.deleted", "deleted": true}));
    for call in [Call::get(&path), Call::new("DELETE", &path), retry] {
        let answer = call.send(address).await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.json().await["error"]["code"], "job_not_found");
    }
    api.store.lock().specs.entry(again).or_default().model = "gone".to_owned();
    let answer = Call::new("POST", &format!("{place}/retry")).send(address).await;
    assert_eq!(answer.json().await["error"]["code"], "model_not_found");
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
