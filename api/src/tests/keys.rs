//! Keys of the store: who is let in, and who may manage them.

use async_trait::async_trait;
use drover_shared::schema::{Allowance, ApiKey, Denied, Gauge, JobSpec, KeyChange, KeyDigest, Owner};
use drover_shared::store::{ApiKeys, Enqueued, KeyAdded, KnownKey, Millis, StoreError};
use serde_json::{Value, json};

use super::client::{Answer, Call};
use super::store::FakeStore;
use super::{Api, NOW_MS, WHOLE};

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
    let (id, secret) = made(&api, json!({"name": "usual"})).await;
    let of_another = format!("/v1/usage?key_id={id}");
    assert_eq!(send(&api, "GET", &of_another, &secret, &nothing).await.status, 403);
    assert_eq!(send(&api, "GET", &of_another, ADMIN, &nothing).await.status, 200);
    assert_eq!(api.store.lock().asked.last().and_then(|query| query.owner.clone()), Some(Owner(id)));
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
