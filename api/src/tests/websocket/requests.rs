//! What is asked for over a WebSocket, and by whom.

use std::sync::atomic::Ordering;

use drover_shared::schema::CancelReason;
use serde_json::{Value, json};

use super::client::Socket;
use crate::tests::client::Call;
use crate::tests::store::{completed, started, text};
use crate::tests::{Api, within};

fn submit() -> Value {
    json!({"type": "job.submit", "id": "s", "request": {"model": "opus"}})
}

#[tokio::test]
async fn a_job_is_submitted_and_told_from_any_event_on() {
    let api = Api::start().await;
    let mut socket = Socket::open(api.address).await;
    let mut request = submit();
    request["request"]["ignored"] = json!(["seed"]);
    request["subscribe"] = true.into();
    let told = socket.answer(request).await;
    assert_eq!((&told["type"], &told["id"]), (&json!("job.submitted"), &json!("s")));
    assert_eq!((&told["ignored"], &told["subscribed"]), (&json!(["seed"]), &json!(true)));
    let job = api.store.job_enqueued().await;
    assert_eq!(told["job"], api.get(&format!("/v1/jobs/{job}")).await.json().await);

    api.store.say(job, [started(), text("Hello")]);
    for (seq, kind) in [(1, "attempt_started"), (2, "text_delta")] {
        let told = socket.hear().await;
        assert_eq!((&told["type"], &told["job"]), (&json!("job.event"), &json!(job.to_string())));
        assert_eq!((&told["event"]["seq"], &told["event"]["type"]), (&json!(seq), &json!(kind)));
    }
    // Another one goes on after the first event, also once all is over.
    let mut other = Socket::open(api.address).await;
    let subscribe = json!({"type": "job.subscribe", "id": "1", "job": job.to_string(), "after": 1});
    assert_eq!(
        other.answer(subscribe.clone()).await,
        json!({"type": "job.subscribed", "id": "1", "job": job.to_string(), "after": 1})
    );
    assert_eq!(other.hear().await["event"]["seq"], 2);
    assert_eq!(other.answer(subscribe.clone()).await["error"]["code"], "already_subscribed");
    api.store.say(job, [completed()]);
    for socket in [&mut socket, &mut other] {
        assert_eq!(socket.hear().await["event"]["type"], "completed");
        assert_eq!(socket.hear().await, json!({"type": "job.ended", "job": job.to_string()}));
    }
    other.answer(subscribe).await;
    assert_eq!(other.hear().await["event"]["seq"], 2);
    assert_eq!(other.hear().await["event"]["seq"], 3);
    assert_eq!(other.hear().await["type"], "job.ended");
    let past = json!({"type": "job.subscribe", "job": job.to_string(), "after": 3});
    other.answer(past).await;
    assert_eq!(other.hear().await["type"], "job.ended", "nothing comes after the last");
}

#[tokio::test]
async fn chunks_are_told_as_the_dialect_streams_them() {
    let api = Api::start().await;
    let mut socket = Socket::open(api.address).await;
    let mut request = submit();
    (request["subscribe"], request["format"]) = (true.into(), "chunks".into());
    socket.answer(request).await;
    let job = api.store.job_enqueued().await;
    api.store.say(job, [started(), text(r#"{"a":1}"#), text(r#"{"b":2}"#), completed()]);
    let chunk = |seq: u64, chunk: Value| json!({"type": "job.chunks", "job": job.to_string(), "seq": seq, "chunks": [chunk]});
    assert_eq!(socket.hear().await, chunk(2, json!({"a": 1})));
    assert_eq!(socket.hear().await, chunk(3, json!({"b": 2})));
    assert_eq!(socket.hear().await["type"], "job.ended");
    let later = json!({"type": "job.subscribe", "job": job.to_string(), "after": 2, "format": "chunks", "include_usage": true});
    socket.answer(later).await;
    assert_eq!(socket.hear().await, chunk(3, json!({"b": 2})));
    assert_eq!(socket.hear().await["type"], "job.ended");
}

#[tokio::test]
async fn a_job_is_shown_called_off_and_left() {
    let api = Api::start().await;
    let mut socket = Socket::open(api.address).await;
    let mut request = submit();
    request["subscribe"] = true.into();
    socket.answer(request).await;
    let job = api.store.job_enqueued().await;
    let of_job = |kind: &str| json!({"type": kind, "id": kind, "job": job.to_string()});
    let shown = socket.answer(of_job("job.get")).await;
    assert_eq!((&shown["type"], &shown["id"]), (&json!("job"), &json!("job.get")));
    assert_eq!(shown["job"]["status"], "queued");
    assert_eq!(
        socket.answer(of_job("job.unsubscribe")).await,
        json!({"type": "job.unsubscribed", "id": "job.unsubscribe", "job": job.to_string()})
    );
    assert_eq!(socket.answer(of_job("job.unsubscribe")).await["error"]["code"], "not_subscribed");
    within("the reader's leaving", async {
        while api.app.tail.readers() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(api.store.lock().cancels.is_empty(), "nobody who reads is what it runs for");
    socket.answer(of_job("job.cancel")).await;
    assert_eq!(api.store.called_off(job).await, CancelReason::Requested);
    // Events that are told later do not come any more.
    api.store.say(job, [started()]);
    assert_eq!(socket.answer(json!({"type": "ping"})).await, json!({"type": "pong"}));
}

#[tokio::test]
async fn a_list_is_the_one_that_http_has() {
    let api = Api::start().await;
    let mut socket = Socket::open(api.address).await;
    socket.answer(submit()).await;
    let job = api.store.job_enqueued().await;
    let told = socket.answer(json!({"type": "job.list", "id": "l", "limit": 7})).await;
    let list = api.get("/v1/jobs?limit=7").await.json().await;
    assert_eq!(told, json!({"type": "job.listed", "id": "l", "list": list}));
    assert_eq!(list["data"][0]["id"], job.to_string());
    let (session, project) = (format!("session_{}", "1".repeat(32)), format!("project_{}", "2".repeat(32)));
    let told = socket
        .answer(json!({
            "type": "job.list", "status": ["queued", "running"], "tag": ["a,b", "c"], "model": "org/opus",
            "session_id": session, "project_id": project, "background": true, "created_after": 5,
            "created_before": 7, "order": "asc", "after": job.to_string(), "per_page": 3,
        }))
        .await;
    assert_eq!(told["type"], "job.listed", "{told}");
    let by_socket = api.store.lock().jobs_asked.pop();
    let query = format!(
        "/v1/jobs?status=queued,running&tag=a%2Cb&tag=c&model=org%2Fopus&session_id={session}&project_id={project}\
         &background=true&created_after=5&created_before=7&order=asc&after={job}&per_page=3"
    );
    assert_eq!(api.get(&query).await.status, 200);
    let by_http = api.store.lock().jobs_asked.pop();
    assert!(by_http.is_some() && by_socket == by_http, "{by_socket:?} {by_http:?}");
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_does_nothing() {
    let api = Api::start().await;
    let mut socket = Socket::open(api.address).await;
    let unknown = "job_00000000-0000-7000-8000-000000000000";
    for (request, status, code, param) in [
        (json!({"type": "job.get", "job": unknown}), 404, "job_not_found", Value::Null),
        (json!({"type": "job.subscribe", "job": "x"}), 404, "job_not_found", Value::Null),
        (json!({"type": "job.cancel", "job": ""}), 404, "job_not_found", Value::Null),
        (json!({"type": "job.submit", "request": {"model": "o1"}}), 404, "model_not_found", json!("model")),
        (
            json!({"type": "job.submit", "request": {"model": "opus", "stream": true}}),
            400,
            "invalid_value",
            json!("stream"),
        ),
        (
            json!({"type": "job.submit", "request": {"model": "opus", "background": false}}),
            400,
            "invalid_value",
            json!("background"),
        ),
    ] {
        let told = socket.answer(request.clone()).await;
        assert_eq!((&told["status"], &told["error"]["code"]), (&json!(status), &json!(code)), "{request}");
        assert_eq!(told["error"]["param"], param, "{request}");
    }
    // What is said twice counts as it counts for whoever makes the job.
    for (fields, param) in [
        (r#""background":true,"background":false"#, "background"),
        (r#""stream":false,"stream":true"#, "stream"),
        (r#""background":false,"stream":true"#, "stream"),
    ] {
        socket.say_text(&format!(r#"{{"type":"job.submit","request":{{"model":"opus",{fields}}}}}"#)).await;
        let told = socket.hear().await;
        assert_eq!((&told["status"], &told["error"]["param"]), (&json!(400), &json!(param)), "{fields}");
    }
    assert!(api.store.lock().jobs.is_empty());
    api.store.break_down(true);
    let told = socket.answer(submit()).await;
    assert_eq!((&told["status"], &told["id"]), (&json!(503), &json!("s")));
    assert!(told["retry_after_ms"].is_number());
    api.store.break_down(false);
    assert_eq!(socket.answer(submit()).await["type"], "job.submitted");
}

#[tokio::test]
async fn who_has_a_job_is_told_which_whatever_fails_then() {
    let api = Api::start().await;
    let mut socket = Socket::open(api.address).await;
    api.store.breaks_after_adding.store(true, Ordering::Relaxed);
    let mut request = submit();
    request["subscribe"] = true.into();
    let told = socket.answer(request).await;
    api.store.breaks_after_adding.store(false, Ordering::Relaxed);
    api.store.break_down(false);
    let job = api.store.job_enqueued().await;
    assert_eq!((&told["type"], &told["subscribed"]), (&json!("job.submitted"), &json!(true)));
    assert_eq!(told["job"], api.get(&format!("/v1/jobs/{job}")).await.json().await);
    api.store.say(job, [started()]);
    assert_eq!(socket.hear().await["event"]["seq"], 1);
}

#[tokio::test]
async fn anothers_job_is_not_there() {
    let api = Api::with(|settings| settings.api_keys = vec!["one".to_owned(), "other".to_owned()]).await;
    let (status, mut one) = Socket::with(api.address, "authorization: Bearer one\r\n").await;
    assert_eq!(status, 101);
    let (_, mut other) = Socket::with(api.address, "x-api-key: other\r\n").await;
    one.answer(submit()).await;
    let job = api.store.job_enqueued().await.to_string();
    for kind in ["job.get", "job.subscribe", "job.cancel"] {
        let told = other.answer(json!({"type": kind, "job": job})).await;
        assert_eq!(told["error"]["code"], "job_not_found", "{kind}");
    }
    let results = json!([{"tool_call_id": "c", "content": "x"}]);
    let told = other.answer(json!({"type": "job.answer", "job": job, "results": results})).await;
    assert_eq!(told["error"]["code"], "job_not_found");
    assert!(api.store.lock().cancels.is_empty());
    assert_eq!(one.answer(json!({"type": "job.get", "job": job})).await["type"], "job");
    let told = one.answer(json!({"type": "job.answer", "job": job, "results": results})).await;
    assert_eq!(told["error"]["code"], "job_not_finished");
}

#[tokio::test]
async fn who_may_not_come_is_told_in_http() {
    let api = Api::with(|settings| settings.api_keys = vec!["sesame".to_owned()]).await;
    let key = "authorization: Bearer sesame\r\n";
    for (headers, status) in [
        (String::new(), 401),
        ("authorization: Bearer x\r\n".to_owned(), 401),
        ("sec-websocket-protocol: drover.v1, drover.key.eA\r\n".to_owned(), 401),
        ("sec-websocket-protocol: drover.v1, drover.key.%%%\r\n".to_owned(), 401),
        ("sec-websocket-protocol: drover.v1, drover.key.c2VzYW1l\r\n".to_owned(), 101),
        (key.to_owned(), 101),
        (format!("{key}origin: https://evil.example\r\n"), 403),
        (format!("{key}origin: null\r\n"), 403),
        (format!("{key}origin: http://drover\r\n"), 101),
    ] {
        let (head, _) = Socket::ask(api.address, "/v1/ws", &headers).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}: {head}");
        assert!(!head.contains("c2VzYW1l"), "{head}");
    }
    let refused = Call::get("/v1/ws").header("x-api-key", "sesame").send(api.address).await;
    assert_eq!((refused.status.as_u16(), refused.header("upgrade")), (426, "websocket"));
    assert_eq!(refused.json().await["error"]["code"], "upgrade_required");
    let upgrade = |method| {
        let call = Call::new(method, "/v1/ws").header("x-api-key", "sesame").header("connection", "upgrade");
        let call = call.header("upgrade", "websocket").header("sec-websocket-version", "13");
        call.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    let refused = upgrade("HEAD").send(api.address).await;
    assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, "GET"));
    let (head, _) = Socket::ask_over("1.0", api.address, "/v1/ws", key).await;
    assert!(head.contains(" 426 "), "{head}");
    let refused = Call::new("POST", "/v1/ws").header("x-api-key", "sesame").send(api.address).await;
    assert_eq!(refused.status, 405);
}
