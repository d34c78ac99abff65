//! Keys that change while a WebSocket is open.

use std::time::Duration;

use drover_shared::schema::{Scope, Scopes};
use serde_json::{Value, json};

use super::client::{PING, PONG, Socket, frame};
use crate::tests::{Api, NOW_MS};

/// Makes a key, and returns the header lines with which it is brought.
pub(super) async fn key(api: &Api, scopes: &[Scope]) -> String {
    let mut new = crate::keys::new("one".to_owned(), NOW_MS);
    new.key.scopes = scopes.iter().copied().collect();
    crate::keys::add(&*api.store, &new).await.expect("a store");
    api.app.keys.forget().await;
    format!("authorization: Bearer {}\r\n", new.secret.expose())
}

async fn open(api: &Api, headers: &str) -> Socket {
    let (status, socket) = Socket::with(api.address, headers).await;
    assert_eq!(status, 101);
    socket
}

fn submit() -> Value {
    json!({"type": "job.submit", "request": {"model": "opus"}, "subscribe": true})
}

#[tokio::test]
async fn a_key_that_is_taken_away_ends_its_sockets() {
    let api = Api::start().await;
    let lines = key(&api, &[Scope::Chat, Scope::Jobs]).await;
    for change in ["revoked", "expired", "narrowed"] {
        let mut socket = open(&api, &lines).await;
        assert_eq!(socket.answer(submit()).await["type"], "job.submitted");
        assert_eq!(api.app.tail.readers(), 1);
        let before = api.store.lock().api_keys[0].clone();
        {
            let key = &mut api.store.lock().api_keys[0].key;
            match change {
                "revoked" => key.revoked_at_ms = Some(NOW_MS),
                "expired" => key.expires_at_ms = Some(NOW_MS),
                _ => key.scopes = Scopes::from_iter([Scope::Chat]),
            }
        }
        api.app.keys.forget().await;
        let jobs = api.store.lock().jobs.len();
        socket.say(submit()).await;
        assert_eq!(socket.closed().await, Some(4401), "{change}");
        assert_eq!(api.store.lock().jobs.len(), jobs, "{change}");
        assert_eq!(api.app.tail.readers(), 0, "{change}");
        api.store.lock().api_keys[0] = before;
        api.app.keys.forget().await;
    }
    assert_eq!(open(&api, &lines).await.answer(submit()).await["type"], "job.submitted");
}

#[tokio::test]
async fn who_only_listens_is_looked_at_as_well() {
    let api = Api::with(|settings| settings.socket_ping = Duration::from_millis(50)).await;
    let lines = key(&api, &[Scope::Jobs]).await;
    let mut socket = open(&api, &lines).await;
    let (first, payload) = socket.frame().await.expect("a ping");
    assert_eq!(first, PING);
    // While nobody can say whether it is good, it stays.
    api.store.break_down(true);
    api.app.keys.forget().await;
    socket.send(&frame(PONG, &payload)).await;
    assert_eq!(socket.frame().await.map(|(first, _)| first), Some(PING));
    api.store.break_down(false);
    api.store.lock().api_keys[0].key.revoked_at_ms = Some(NOW_MS);
    api.app.keys.forget().await;
    assert_eq!(socket.closed().await, Some(4401));
}

#[tokio::test]
async fn nobody_stays_anonymous_once_there_is_a_key() {
    let api = Api::start().await;
    let mut socket = Socket::open(api.address).await;
    assert_eq!(socket.answer(submit()).await["type"], "job.submitted");
    key(&api, &[Scope::Chat]).await;
    socket.say(submit()).await;
    assert_eq!(socket.closed().await, Some(4401));
}

#[tokio::test]
async fn a_frame_needs_the_scope_of_what_it_does() {
    let api = Api::start().await;
    let chat = key(&api, &[Scope::Chat]).await;
    let jobs = key(&api, &[Scope::Jobs]).await;
    let admin = key(&api, &[Scope::Admin]).await;
    let (status, _) = Socket::with(api.address, &admin).await;
    assert_eq!(status, 403);
    let (mut chat, mut jobs) = (open(&api, &chat).await, open(&api, &jobs).await);
    let job = chat.answer(submit()).await["job"]["id"].clone();
    assert!(job.is_string());
    let results = json!([{"tool_call_id": "c", "content": "x"}]);
    for (request, chat_code, jobs_code) in [
        (json!({"type": "job.get", "job": job}), "insufficient_scope", "job_not_found"),
        (json!({"type": "job.subscribe", "job": job}), "insufficient_scope", "job_not_found"),
        (json!({"type": "job.list"}), "insufficient_scope", ""),
        (json!({"type": "job.cancel", "job": "job_x"}), "job_not_found", "job_not_found"),
        (
            json!({"type": "job.answer", "job": job, "results": results}),
            "job_not_finished",
            "insufficient_scope",
        ),
        (json!({"type": "job.submit", "request": {"model": "o1"}}), "model_not_found", "insufficient_scope"),
        (json!({"type": "job.unsubscribe", "job": "job_x"}), "not_subscribed", "not_subscribed"),
    ] {
        assert_eq!(chat.answer(request.clone()).await["error"]["code"], chat_code, "{request}");
        let told = jobs.answer(request.clone()).await;
        assert_eq!(told["error"]["code"].as_str().unwrap_or_default(), jobs_code, "{request}");
    }
}
