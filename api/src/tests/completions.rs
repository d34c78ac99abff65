//! The routes of stored completions, with answers that a test keeps.

use drover_shared::dialect::openai_chat::{OpenAiChat, stored};
use drover_shared::dialect::{Answer, Form, UsageWish};
use drover_shared::schema::{JobId, KeptAnswer, Metadata};
use serde_json::json;

use super::client::Call;
use super::store::{completed, started, text};
use super::{Api, NOW_MS, WHOLE};

/// A job that has ended, and whose answer is kept.
async fn kept(api: &Api) -> (JobId, String) {
    let asked = api.ask(WHOLE);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [started(), text("Hello"), completed()]);
    asked.await.expect("an answer");
    let answer = Answer {
        job,
        model: "opus".to_owned(),
        created_s: NOW_MS / 1_000,
        usage: UsageWish::default(),
        form: Form::default(),
        session: None,
        project: None,
    };
    let keep = answer.keep(&OpenAiChat, Some(Metadata::from([("a".to_owned(), "1".to_owned())])));
    api.store.lock().kept.insert(job, KeptAnswer { job, keep });
    (job, format!("chatcmpl-{}", job.uuid().simple()))
}

#[tokio::test]
async fn a_stored_completion_is_shown_labelled_and_deleted() {
    let api = Api::start().await;
    let (job, id) = kept(&api).await;
    let path = format!("/v1/chat/completions/{id}");
    let answer = api.get(&path).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-drover-job-id")), (200, job.to_string().as_str()));
    let shown = answer.json().await;
    assert_eq!((&shown["id"], &shown["metadata"]), (&json!(id), &json!({"a": "1"})));
    assert_eq!(shown["choices"][0]["message"]["content"], "Hello");

    let listed = api.get("/v1/chat/completions?limit=1&metadata%5Ba%5D=1&order=desc").await.json().await;
    assert_eq!((&listed["data"], &listed["has_more"]), (&json!([shown]), &json!(false)));
    let query = api.store.lock().listed.pop().expect("a query");
    assert_eq!((query.limit, query.latest_first, query.dialect.as_str()), (1, true, stored::DIALECT));

    let update = Call::new("POST", &path).body(r#"{"metadata":{"b":"2"}}"#).send(api.address).await;
    assert_eq!(update.json().await["metadata"], json!({"b": "2"}));
    let messages = api.get(&format!("{path}/messages")).await.json().await;
    assert_eq!(messages["object"], "list");

    let deleted = Call::new("DELETE", &path).send(api.address).await.json().await;
    assert_eq!(deleted, json!({"id": id, "object": "chat.completion.deleted", "deleted": true}));
    for (method, path) in [
        ("GET", path.clone()),
        ("DELETE", path.clone()),
        ("POST", path.clone()),
        ("GET", format!("{path}/messages")),
    ] {
        let answer = Call::new(method, &path).body(r#"{"metadata":{}}"#).send(api.address).await;
        assert_eq!(answer.status, 404, "{method} {path}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused() {
    let api = Api::start().await;
    let (_, id) = kept(&api).await;
    for (path, status) in [
        ("/v1/chat/completions?limit=0".to_owned(), 400),
        ("/v1/chat/completions?limit=1&limit=1".to_owned(), 400),
        ("/v1/chat/completions?nonsense=1".to_owned(), 400),
        ("/v1/chat/completions/chatcmpl-1".to_owned(), 404),
        (format!("/v1/chat/completions/{id}/messages?after=x"), 400),
    ] {
        assert_eq!(api.get(&path).await.status, status, "{path}");
    }
    let answer = Call::new("POST", &format!("/v1/chat/completions/{id}")).body("{}").send(api.address).await;
    assert_eq!(answer.status, 400);
    api.store.break_down(true);
    assert_eq!(api.get(&format!("/v1/chat/completions/{id}")).await.status, 503);
}
