//! Keys of the store: who is let in, and who may manage them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drover_shared::schema::{
    Allowance, ApiKey, Denied, Gauge, JobSpec, KeyChange, KeyDigest, Owner, Scope, limits,
};
use drover_shared::store::{ApiKeys, Enqueued, KeyAdded, KnownKey, Millis, Store, StoreError};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::{Answer, Call};
use super::store::FakeStore;
use super::{Api, NOW_MS, WHOLE};
use crate::Clock;
use crate::auth::{Keys, digest};

#[async_trait]
impl ApiKeys for FakeStore {
    async fn create(&self, key: &ApiKey, digest: &KeyDigest, most: u32) -> Result<KeyAdded, StoreError> {
        self.check()?;
        let keys = &mut self.lock().api_keys;
        if keys.len() >= most as usize {
            return Ok(KeyAdded::Full);
        }
        keys.push(KnownKey { key: key.clone(), digest: *digest });
        Ok(KeyAdded::Added)
    }

    async fn all(&self) -> Result<Vec<KnownKey>, StoreError> {
        self.check()?;
        let mut state = self.lock();
        state.key_reads += 1;
        Ok(state.api_keys.clone())
    }

    async fn revision(&self) -> Result<i64, StoreError> {
        let delay = {
            let mut state = self.lock();
            state.key_looks += 1;
            state.key_delay
        };
        tokio::time::sleep(delay).await;
        self.check()?;
        Ok(i64::try_from(self.lock().api_keys.len()).expect("few"))
    }

    async fn find(&self, owner: &Owner) -> Result<Option<ApiKey>, StoreError> {
        self.check()?;
        Ok(self.lock().api_keys.iter().find(|known| known.key.owner == *owner).map(|known| known.key.clone()))
    }

    async fn change(&self, owner: &Owner, change: KeyChange) -> Result<Option<ApiKey>, StoreError> {
        self.check()?;
        let mut state = self.lock();
        let known = state.api_keys.iter_mut().find(|known| known.key.owner == *owner);
        Ok(known.map(|known| {
            change.apply(&mut known.key);
            known.key.clone()
        }))
    }

    async fn revoke(&self, owner: &Owner, now: Millis) -> Result<Option<ApiKey>, StoreError> {
        self.check()?;
        let mut state = self.lock();
        let known = state.api_keys.iter_mut().find(|known| known.key.owner == *owner);
        Ok(known.map(|known| {
            known.key.revoked_at_ms = Some(now);
            known.key.clone()
        }))
    }

    async fn note_use(&self, _: &[(Owner, Millis)]) -> Result<(), StoreError> {
        self.check()
    }

    async fn forget_spent(&self, before: Millis, _: u32) -> Result<u64, StoreError> {
        self.check()?;
        self.lock().spent_prunes.push(before);
        Ok(0)
    }

    async fn denied(&self, _: &Owner, _: &JobSpec, _: Millis) -> Result<Option<Denied>, StoreError> {
        self.check()?;
        match self.lock().refusal {
            Some(Enqueued::Denied(denied)) => Ok(Some(denied)),
            _ => Ok(None),
        }
    }

    async fn allowance(&self, _: &Owner, _: Millis) -> Result<Allowance, StoreError> {
        self.check()?;
        Ok(self.lock().allowance)
    }
}

const ADMIN: &str = "the-admins-own";

async fn api() -> Api {
    Api::with(|settings| settings.api_keys = vec![ADMIN.to_owned()]).await
}

async fn send(api: &Api, method: &str, path: &str, key: &str, body: &Value) -> Answer {
    let call = Call::new(method, path).header("authorization", &format!("Bearer {key}"));
    call.body(body.to_string()).send(api.address).await
}

/// Makes a key as the admin, and returns its id and its secret.
async fn made(api: &Api, body: Value) -> (String, String) {
    let answer = send(api, "POST", "/v1/keys", ADMIN, &body).await;
    assert_eq!(answer.status, 201);
    let key = answer.json().await;
    (key["id"].as_str().expect("an id").to_owned(), key["key"].as_str().expect("a secret").to_owned())
}

fn code(answer: &Value) -> (&str, &str) {
    (
        answer["error"]["code"].as_str().unwrap_or_default(),
        answer["error"]["param"].as_str().unwrap_or_default(),
    )
}

async fn code_of(answer: Answer) -> String {
    code(&answer.json().await).0.to_owned()
}

#[tokio::test]
async fn a_key_opens_what_its_scopes_say() {
    let api = api().await;
    let nothing = json!({});
    for (scope, open, shut) in [
        (
            "chat",
            ["/v1/models", "/v1/chat/completions", "/v1/usage"],
            ["/v1/providers", "/v1/keys", "/v1/jobs/x"],
        ),
        ("admin", ["/v1/models", "/v1/providers", "/v1/keys"], ["/v1/sessions", "/v1/files", "/v1/jobs/x"]),
        ("jobs", ["/v1/models", "/v1/usage", "/v1/usage"], ["/v1/sessions", "/v1/keys", "/v1/projects"]),
    ] {
        let (_, secret) = made(&api, json!({"name": scope, "scopes": [scope]})).await;
        for path in open {
            assert_eq!(send(&api, "GET", path, &secret, &nothing).await.status, 200, "{scope}: {path}");
        }
        for path in shut {
            let answer = send(&api, "GET", path, &secret, &nothing).await;
            assert_eq!(answer.status, 403, "{scope}: {path}");
            assert_eq!(code(&answer.json().await).0, "insufficient_scope");
        }
    }
    let (id, _) = made(&api, json!({"name": "usual"})).await;
    let (own, secret) = made(&api, json!({"name": "curious"})).await;
    let asked = async |key: &str, id: &str| {
        send(&api, "GET", &format!("/v1/usage?key_id={id}"), key, &nothing).await.status
    };
    assert_eq!(asked(&secret, &id).await, 403);
    for (key, id) in [(ADMIN, id), (&secret, own)] {
        assert_eq!(asked(key, &id).await, 200);
        assert_eq!(api.store.lock().asked.last().and_then(|query| query.owner.clone()), Some(Owner(id)));
    }
}

#[tokio::test]
async fn a_key_is_changed_and_revoked() {
    let api = api().await;
    let all = json!({
        "name": "Ann", "scopes": ["jobs", "chat"], "requests_per_minute": 3, "tokens_per_minute": 1_000_000_000,
        "concurrent_jobs": 2, "queued_jobs": 5, "daily_budget_usd": 0.25, "monthly_budget_usd": "2", "priority": -3,
        "expires_at": NOW_MS / 1_000 + 1,
    });
    let (id, secret) = made(&api, all).await;
    let path = format!("/v1/keys/{id}");
    let shown = send(&api, "GET", &path, ADMIN, &json!({})).await.json().await;
    let expected = json!({
        "id": id, "object": "api_key", "name": "Ann", "status": "active", "scopes": ["chat", "jobs"],
        "requests_per_minute": 3, "tokens_per_minute": 1_000_000_000, "concurrent_jobs": 2, "queued_jobs": 5,
        "daily_budget_usd": 0.25, "monthly_budget_usd": 2.0, "priority": -3, "created_at": NOW_MS / 1_000,
        "expires_at": NOW_MS / 1_000 + 1, "last_used_at": null, "revoked_at": null,
    });
    assert_eq!(shown, expected);
    let change = json!({"requests_per_minute": null, "name": "Bob"});
    let changed = send(&api, "PATCH", &path, ADMIN, &change).await.json().await;
    assert_eq!((&changed["requests_per_minute"], &changed["name"]), (&Value::Null, &json!("Bob")));
    assert_eq!(changed["queued_jobs"], 5);
    let (second, _) = made(&api, json!({"name": "second"})).await;
    let listed = send(&api, "GET", "/v1/keys?limit=1", ADMIN, &json!({})).await.json().await;
    assert_eq!((&listed["data"][0]["id"], &listed["has_more"]), (&json!(second), &json!(true)));
    let listed = send(&api, "GET", &format!("/v1/keys?after={second}"), ADMIN, &json!({})).await.json().await;
    assert_eq!((&listed["data"][0]["id"], &listed["has_more"]), (&json!(id), &json!(false)));
    assert!(!listed.to_string().contains("sk-drover"), "a secret is shown once");

    assert_eq!(send(&api, "GET", "/v1/models", &secret, &json!({})).await.status, 200);
    let gone = send(&api, "DELETE", &path, ADMIN, &json!({})).await.json().await;
    assert_eq!(gone["status"], "revoked");
    let refused = send(&api, "GET", "/v1/models", &secret, &json!({})).await;
    assert_eq!(refused.status, 401, "here at once");
    for method in ["GET", "PATCH", "DELETE"] {
        let answer = send(&api, method, "/v1/keys/key_none", ADMIN, &json!({})).await;
        assert_eq!(answer.status, 404);
        assert_eq!(code(&answer.json().await).0, "key_not_found");
    }
}

#[tokio::test]
async fn what_is_wrong_of_a_key_is_named() {
    let api = api().await;
    for (body, expected) in [
        (json!({}), ("missing_required_parameter", "name")),
        (json!({"name": " "}), ("invalid_value", "name")),
        (json!({"name": 7}), ("invalid_type", "name")),
        (json!({"name": "x", "scopes": ["chat", "root"]}), ("invalid_value", "scopes[1]")),
        (json!({"name": "x", "scopes": []}), ("invalid_value", "scopes")),
        (json!({"name": "x", "scopes": "chat"}), ("invalid_type", "scopes")),
        (json!({"name": "x", "requests_per_minute": 0}), ("invalid_value", "requests_per_minute")),
        (json!({"name": "x", "tokens_per_minute": 1.5}), ("invalid_value", "tokens_per_minute")),
        (json!({"name": "x", "queued_jobs": "7"}), ("invalid_type", "queued_jobs")),
        (json!({"name": "x", "daily_budget_usd": -1}), ("invalid_value", "daily_budget_usd")),
        (json!({"name": "x", "monthly_budget_usd": 1e18}), ("invalid_value", "monthly_budget_usd")),
        (json!({"name": "x", "priority": 1_001}), ("invalid_value", "priority")),
        (json!({"name": "x", "expires_at": 1}), ("invalid_value", "expires_at")),
        (json!({"name": "x", "owner": "me"}), ("unknown_parameter", "owner")),
    ] {
        let answer = send(&api, "POST", "/v1/keys", ADMIN, &body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(code(&answer.json().await), expected, "{body}");
    }
    assert!(api.store.lock().api_keys.is_empty(), "nothing half-done");
}

#[tokio::test]
async fn keys_in_the_store_close_the_door() {
    let api = Api::start().await;
    assert_eq!(api.get("/v1/models").await.status, 200, "nobody needs a key");
    let refused = send(&api, "POST", "/v1/keys", "", &json!({"name": "mine"})).await;
    assert_eq!(refused.status, 403, "nor may anybody make the first one over HTTP");
    let new = crate::keys::new("first".to_owned(), NOW_MS);
    crate::keys::add(&*api.store, &new).await.expect("a store");
    api.app.keys.forget().await;
    assert_eq!(api.get("/v1/models").await.status, 401);
    let secret = new.secret.expose();
    assert_eq!(send(&api, "GET", "/v1/models", secret, &json!({})).await.status, 200);
    // A flood of wrong keys asks the store for none of them.
    let before = api.store.lock().key_reads;
    for number in 0..50 {
        assert_eq!(
            send(&api, "GET", "/v1/models", &format!("sk-drover-{number}"), &json!({})).await.status,
            401
        );
    }
    assert_eq!(api.store.lock().key_reads, before);
    api.store.lock().api_keys[0].key.expires_at_ms = Some(NOW_MS);
    api.app.keys.forget().await;
    assert_eq!(send(&api, "GET", "/v1/models", secret, &json!({})).await.status, 401);
    assert_eq!(api.get("/v1/models").await.status, 401, "an expired key opens the door to nobody else");
}

#[tokio::test]
async fn who_may_ask_for_no_more_is_told_when() {
    let api = api().await;
    let (_, secret) = made(&api, json!({"name": "limited", "requests_per_minute": 3})).await;
    let gauge = Gauge { limit: 3, remaining: 0, reset_ms: 60_000 };
    api.store.lock().allowance = Allowance { requests: Some(gauge), tokens: None };
    let chat: Value = serde_json::from_str(WHOLE).expect("a request");
    for (denied, status, code, headers) in [
        (
            Denied::Requests { limit: 3, after_ms: 1_250 },
            429,
            "rate_limit_exceeded",
            &[
                "retry-after: 2",
                "retry-after-ms: 1250",
                "x-should-retry: true",
                "x-ratelimit-reset-requests: 1m0s",
            ][..],
        ),
        (Denied::Tokens { limit: 3, after_ms: 5 }, 429, "rate_limit_exceeded", &["retry-after: 1"]),
        (Denied::DailyBudget, 429, "insufficient_quota", &["x-should-retry: false"]),
        (Denied::MonthlyBudget, 429, "insufficient_quota", &["x-should-retry: false"]),
        (Denied::Queued(5), 429, "key_queue_full", &["retry-after: 2"]),
        (Denied::Share(5), 429, "queue_share_full", &["retry-after: 2"]),
        (Denied::Key, 401, "invalid_api_key", &["www-authenticate: Bearer"]),
    ] {
        api.store.lock().refusal = Some(Enqueued::Denied(denied));
        let answer = send(&api, "POST", "/v1/chat/completions", &secret, &chat).await;
        assert_eq!(answer.status, status, "{denied:?}");
        for header in headers {
            let (name, value) = header.split_once(": ").expect("a header");
            assert_eq!(answer.header(name), value, "{denied:?}");
        }
        assert_eq!(answer.header("retry-after").is_empty(), answer.header("x-should-retry") != "true");
        assert_eq!(code_of(answer).await, code);
    }
    api.store.lock().refusal = None;
    let (_, poor) = made(&api, json!({"name": "poor", "monthly_budget_usd": 1})).await;
    let answer = send(&api, "POST", "/v1/chat/completions", &poor, &chat).await;
    assert_eq!(answer.status, 400, "what has no price would be spent without end");
    assert_eq!(code_of(answer).await, "model_without_price");
    assert!(api.store.lock().jobs.is_empty());
}

/// Keys of a store with one key, whose secret comes with them.
async fn known() -> (Arc<FakeStore>, Arc<Keys>, String) {
    let store = Arc::new(FakeStore::default());
    let keys = Arc::new(Keys::new(&[], Arc::clone(&store) as Arc<dyn Store>, Clock::new(|| NOW_MS)));
    let new = crate::keys::new("ann".to_owned(), NOW_MS);
    crate::keys::add(&*store, &new).await.expect("a store");
    (store, keys, new.secret.expose().to_owned())
}

/// Many come with the key at once. How many are let in.
async fn let_in(keys: &Arc<Keys>, secret: &str) -> usize {
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (keys, digest) = (Arc::clone(keys), digest(secret.as_bytes()));
        asking.spawn(async move { keys.holder(&[digest]).await.is_ok() });
    }
    asking.join_all().await.into_iter().filter(|is_in| *is_in).count()
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_asked_by_one_and_not_by_all_in_turn() {
    let (store, keys, secret) = known().await;
    store.break_down(true);
    store.lock().key_delay = Duration::from_secs(5);
    let begun = Instant::now();
    assert_eq!(let_in(&keys, &secret).await, 0);
    assert_eq!(store.lock().key_looks, 1, "whoever waited is told what that one was");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    store.break_down(false);
    tokio::time::advance(limits::KEYS_RETRY).await;
    assert_eq!(let_in(&keys, &secret).await, 50, "nor is it given up");
    assert_eq!(store.lock().key_looks, 2);
}

#[tokio::test(start_paused = true)]
async fn known_keys_open_for_a_while_though_the_store_fails() {
    let (store, keys, secret) = known().await;
    assert_eq!(let_in(&keys, &secret).await, 50);
    store.break_down(true);
    tokio::time::advance(limits::KEYS_FRESH).await;
    let before = store.lock().key_looks;
    assert_eq!(let_in(&keys, &secret).await, 50);
    assert_eq!(store.lock().key_looks, before + 1);
    // Nor does anybody wait long for one that is slow.
    store.lock().key_delay = Duration::from_secs(5);
    tokio::time::advance(limits::KEYS_RETRY).await;
    let begun = Instant::now();
    assert_eq!(let_in(&keys, &secret).await, 50);
    assert_eq!((begun.elapsed(), store.lock().key_looks), (limits::KEYS_RETRY, before + 2));
    tokio::time::advance(limits::KEYS_KEPT).await;
    assert_eq!(let_in(&keys, &secret).await, 0, "but not for ever: it may have been revoked");
}

#[tokio::test]
async fn what_the_store_says_of_a_configured_key_counts() {
    let store = Arc::new(FakeStore::default());
    let new = crate::keys::new("both".to_owned(), NOW_MS);
    crate::keys::add(&*store, &new).await.expect("a store");
    let configured = [new.secret.expose().to_owned(), "sesame".to_owned()];
    let keys = Keys::new(&configured, Arc::clone(&store) as Arc<dyn Store>, Clock::new(|| NOW_MS));
    let holder = async |secret: &str| keys.holder(&[digest(secret.as_bytes())]).await;
    let both = holder(&configured[0]).await.expect("a key");
    assert!(both.key.is_some() && !both.scopes.contains(Scope::Admin), "its limits and scopes");
    assert!(holder("sesame").await.expect("a key").key.is_none());
    store.lock().api_keys[0].key.revoked_at_ms = Some(NOW_MS);
    keys.forget().await;
    let refused = holder(&configured[0]).await.expect_err("it was revoked");
    assert_eq!((refused.0.status, refused.0.message.as_str()), (401, "The API key was revoked."));
    assert!(holder("sesame").await.is_ok(), "which is nothing to others");
}

#[tokio::test]
async fn one_of_several_keys_may_fill_half_of_the_queue() {
    let api = Api::with(|settings| {
        settings.api_keys = vec![ADMIN.to_owned()];
        settings.max_queued = 7;
    })
    .await;
    assert_eq!(api.app.share().await.expect("a store"), None, "alone it may have all of it");
    let (_, _) = made(&api, json!({"name": "watcher", "scopes": ["admin"]})).await;
    assert_eq!(api.app.share().await.expect("a store"), None, "who asks for no jobs needs no room");
    let (id, _) = made(&api, json!({"name": "ann"})).await;
    assert_eq!(api.app.share().await.expect("a store"), Some(4));
    send(&api, "DELETE", &format!("/v1/keys/{id}"), ADMIN, &json!({})).await;
    assert_eq!(api.app.share().await.expect("a store"), None);
}

#[tokio::test]
async fn an_api_starts_though_its_only_key_has_expired() {
    let (store, keys, _) = known().await;
    store.lock().api_keys[0].key.expires_at_ms = Some(NOW_MS);
    assert!(keys.any().await.expect("a store"));
    store.lock().api_keys.clear();
    keys.forget().await;
    assert!(!keys.any().await.expect("a store"));
}
