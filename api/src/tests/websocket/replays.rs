//! Requests that are sent again over a WebSocket.

use serde_json::{Value, json};

use super::client::Socket;
use crate::tests::Api;
use crate::tests::client::Call;
use crate::tests::store::{completed, started, text};

fn submit(model: &str) -> Value {
    let request = json!({"model": model});
    json!({"type": "job.submit", "id": "s", "idempotency_key": "k", "request": request, "subscribe": true})
}

#[tokio::test]
async fn what_is_submitted_again_is_the_same_job() {
    let api = Api::start().await;
    let mut socket = Socket::open(api.address).await;
    let first = socket.answer(submit("opus")).await;
    assert_eq!((&first["type"], &first["replayed"]), (&json!("job.submitted"), &Value::Null));
    let job = api.store.job_enqueued().await;
    api.store.say(job, [started(), text("Hello")]);
    assert_eq!(
        (socket.hear().await["event"]["seq"].clone(), socket.hear().await["event"]["seq"].clone()),
        (json!(1), json!(2))
    );
    // Where it is told of already, it is not told twice.
    let again = socket.answer(submit("opus")).await;
    assert_eq!((&again["job"]["id"], &again["replayed"]), (&first["job"]["id"], &json!(true)));
    assert_eq!((&again["job"]["status"], &again["subscribed"]), (&json!("running"), &json!(true)));
    // Elsewhere it is told from the beginning.
    let mut other = Socket::open(api.address).await;
    let again = other.answer(submit("opus")).await;
    assert_eq!((&again["job"]["id"], &again["replayed"]), (&first["job"]["id"], &json!(true)));
    for seq in [1, 2] {
        assert_eq!(other.hear().await["event"]["seq"], seq);
    }
    api.store.say(job, [completed()]);
    for socket in [&mut socket, &mut other] {
        assert_eq!(socket.hear().await["event"]["seq"], 3);
        assert_eq!(socket.hear().await["type"], "job.ended");
    }

    let refused = socket.answer(submit("org/opus")).await;
    assert_eq!(
        (&refused["status"], &refused["error"]["code"]),
        (&json!(422), &json!("idempotency_key_reused"))
    );
    let over_http =
        Call::chat(r#"{"model":"opus"}"#).header("idempotency-key", "k").header("prefer", "respond-async");
    assert_eq!(over_http.send(api.address).await.status, 422, "another request");
    let state = api.store.lock();
    assert_eq!((state.jobs.len(), state.cancels.len()), (1, 0));
}

#[tokio::test]
async fn of_two_sockets_at_once_both_get_the_one_job() {
    let api = Api::start().await;
    api.store.enqueue_gate.send_replace(false);
    let (mut one, mut other) = (Socket::open(api.address).await, Socket::open(api.address).await);
    let opening = async {
        api.store.until("enqueueing", |state| (state.enqueueing == 2).then_some(())).await;
        api.store.enqueue_gate.send_replace(true);
    };
    let (one, other, ()) = tokio::join!(one.answer(submit("opus")), other.answer(submit("opus")), opening);
    assert_eq!(one["job"]["id"], other["job"]["id"]);
    assert_eq!(api.store.lock().jobs.len(), 1);
    let replayed = [one, other].iter().filter(|told| told["replayed"] == true).count();
    assert_eq!(replayed, 1);
}
