//! Tickets: a page asks for one with its key, and connects with it.

use async_trait::async_trait;
use drover_shared::schema::{KeyDigest, Scope, limits};
use drover_shared::store::{Millis, StoreError, Ticket, Tickets, millis};
use serde_json::json;

use super::client::Socket;
use super::holders::key;
use crate::auth::digest;
use crate::tests::client::Call;
use crate::tests::store::FakeStore;
use crate::tests::{Api, NOW_MS};

#[async_trait]
impl Tickets for FakeStore {
    async fn add(&self, ticket: &Ticket, most: u32, now: Millis) -> Result<bool, StoreError> {
        self.check()?;
        let tickets = &mut self.lock().tickets;
        let good = tickets.iter().filter(|it| it.owner == ticket.owner && it.expires_at_ms > now).count();
        let room = good < most as usize;
        if room {
            tickets.push(ticket.clone());
        }
        Ok(room)
    }

    async fn redeem(&self, digest: &KeyDigest, now: Millis) -> Result<Option<Vec<KeyDigest>>, StoreError> {
        self.check()?;
        let tickets = &mut self.lock().tickets;
        let Some(at) = tickets.iter().position(|it| it.digest == *digest) else { return Ok(None) };
        let ticket = tickets.remove(at);
        Ok((ticket.expires_at_ms > now).then_some(ticket.keys))
    }

    async fn expire(&self, _: Millis, _: u32) -> Result<u64, StoreError> {
        self.check()?;
        Ok(0)
    }
}

/// Asks for a ticket with these header lines.
async fn ask(api: &Api, header: &str) -> String {
    let secret = header.trim_end().rsplit(' ').next().unwrap_or_default();
    let answer = Call::new("POST", "/v1/ws/tickets").header("x-api-key", secret).send(api.address).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (201, "no-store"));
    let body = answer.json().await;
    let until = (NOW_MS + millis(limits::TICKET)).div_euclid(1_000);
    assert_eq!((&body["object"], &body["expires_at"]), (&json!("ws.ticket"), &json!(until)));
    body["ticket"].as_str().expect("a ticket").to_owned()
}

async fn status(api: &Api, ticket: &str) -> u16 {
    let (head, _) = Socket::ask(api.address, &format!("/v1/ws?ticket={ticket}"), "").await;
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

#[tokio::test]
async fn a_ticket_opens_one_socket_for_its_key() {
    let api = Api::start().await;
    let lines = key(&api, &[Scope::Chat]).await;
    assert_eq!(status(&api, "").await, 401);
    assert_eq!(status(&api, "ticket-drover-00").await, 401);
    let ticket = ask(&api, &lines).await;
    let kept = api.store.lock().tickets.clone();
    assert_eq!(kept[0].digest, digest(ticket.as_bytes()), "the store sees no more of it");
    assert!(!format!("{kept:?}").contains(&ticket));
    let (head, mut socket) = Socket::ask(api.address, &format!("/v1/ws?ticket={ticket}"), "").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let told = socket.answer(json!({"type": "job.list"})).await;
    assert_eq!(told["error"]["code"], "insufficient_scope", "it is for what its key is for");
    assert_eq!(status(&api, &ticket).await, 401, "it was used");

    let ticket = ask(&api, &lines).await;
    let protocols = format!("sec-websocket-protocol: drover.v1, drover.ticket.{ticket}\r\n");
    let (head, mut by_protocol) = Socket::ask(api.address, "/v1/ws", &protocols).await;
    assert!(head.starts_with("HTTP/1.1 101 ") && !head.contains(&ticket), "{head}");

    let late = ask(&api, &lines).await;
    api.store.lock().tickets[0].expires_at_ms = NOW_MS;
    assert_eq!(status(&api, &late).await, 401, "it is over");

    // Whoever came with one is asked again who holds the key, as whoever came with the key.
    let unused = ask(&api, &lines).await;
    api.store.lock().api_keys[0].key.revoked_at_ms = Some(NOW_MS);
    api.app.keys.forget().await;
    by_protocol.say(json!({"type": "ping"})).await;
    assert_eq!(by_protocol.closed().await, Some(4401));
    assert_eq!(status(&api, &unused).await, 401);
}

#[tokio::test]
async fn who_may_not_open_a_socket_gets_no_ticket() {
    let api = Api::start().await;
    let admin = key(&api, &[Scope::Admin]).await;
    let secret = admin.trim_end().rsplit(' ').next().expect("a key");
    let call = |key: &str, body: &str| {
        let call = Call::new("POST", "/v1/ws/tickets").header("x-api-key", key);
        if body.is_empty() { call } else { call.header("content-type", "application/json").body(body) }
    };
    assert_eq!(call(secret, "").send(api.address).await.status, 403);
    assert_eq!(call("wrong", "").send(api.address).await.status, 401);
    let jobs = key(&api, &[Scope::Jobs]).await;
    let secret = jobs.trim_end().rsplit(' ').next().expect("a key");
    assert_eq!(call(secret, r#"{"scopes":[]}"#).send(api.address).await.status, 400);
    for _ in 0..limits::TICKETS_OF_A_KEY {
        let ticket = Ticket {
            digest: [0; 32],
            owner: crate::auth::owner_of(&digest(secret.as_bytes())),
            keys: Vec::new(),
            expires_at_ms: NOW_MS + 1,
        };
        api.store.lock().tickets.push(ticket);
    }
    let refused = call(secret, "{}").send(api.address).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after").is_empty()), (429, false));
    assert_eq!(refused.json().await["error"]["code"], "too_many_tickets");
}

#[tokio::test]
async fn where_no_key_is_needed_a_ticket_is_given_all_the_same() {
    let api = Api::start().await;
    let ticket = ask(&api, "").await;
    assert_eq!(status(&api, &ticket).await, 101);
    assert_eq!(status(&api, &ticket).await, 401);
}
