//! `/v1/keys`: the keys of the store. Only keys of the scope `admin` see them, and nobody sees a secret twice.

mod fields;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use drover_shared::dialect::Rejection;
use drover_shared::schema::dollars::as_dollars;
use drover_shared::schema::{ApiKey, KeyDigest, KeyLimits, Listed, Owner, Scope, Scopes, limits};
use drover_shared::secret::Secret;
use drover_shared::store::{KeyAdded, Millis, Store, StoreError};
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::{Caller, owner_of, secret};
use crate::error::Problem;
use crate::resource::{Fields, page};

/// `POST /v1/keys`. The answer is the only one that holds the secret.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    refuse_anonymous(&caller)?;
    let now = app.clock.now_ms();
    let change = fields::read(Fields::of(&app, request).await?, now)?;
    let Some(name) = change.name.clone().filter(|name| !name.trim().is_empty()) else {
        return Err(Rejection::missing("name").into());
    };
    let mut new = new(name, now);
    change.apply(&mut new.key);
    if add(&*app.store, &new).await? == KeyAdded::Full {
        let message = format!("There are {} keys already, which is the limit.", limits::KEYS);
        return Err(Rejection::new(400, "too_many_keys", message).into());
    }
    app.keys.forget().await;
    let mut body = tell(&new.key, now);
    body["key"] = new.secret.expose().into();
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// `GET /v1/keys`, the latest first.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    refuse_anonymous(&caller)?;
    let asked = page::read::<KeyId>(query.as_deref(), true, &[])?;
    let mut all: Vec<ApiKey> = app.store.keys().all().await?.into_iter().map(|known| known.key).collect();
    if asked.page.newest_first {
        all.reverse();
    }
    let total = u64::try_from(all.len()).unwrap_or(u64::MAX);
    let after = asked.page.after.as_ref().map(|KeyId(id)| id);
    let begin = match after.map(|id| all.iter().position(|key| key.owner.0 == *id)) {
        None => usize::try_from(asked.page.skip).unwrap_or(usize::MAX),
        Some(Some(at)) => at + 1,
        Some(None) => all.len(),
    };
    let limit = usize::try_from(asked.page.limit).unwrap_or(usize::MAX);
    let mut items: Vec<ApiKey> = all.into_iter().skip(begin).take(limit.saturating_add(1)).collect();
    let has_more = items.len() > limit;
    items.truncate(limit);
    let now = app.clock.now_ms();
    Ok(Json(page::answer(&asked, &Listed { items, total, has_more }, |key| tell(key, now))))
}

/// `GET /v1/keys/{id}`
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    refuse_anonymous(&caller)?;
    let key = app.store.keys().find(&Owner(id)).await?.ok_or_else(no_such_key)?;
    Ok(Json(tell(&key, app.clock.now_ms())))
}

/// `PATCH /v1/keys/{id}`, and `POST` for clients that know no `PATCH`: `null` lifts a limit.
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    refuse_anonymous(&caller)?;
    let now = app.clock.now_ms();
    let change = fields::read(Fields::of(&app, request).await?, now)?;
    let key = app.store.keys().change(&Owner(id), change).await?.ok_or_else(no_such_key)?;
    app.keys.forget().await;
    Ok(Json(tell(&key, now)))
}

/// `DELETE /v1/keys/{id}`: revokes it. It stays to be seen, since jobs, sessions and the ledger name it.
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    refuse_anonymous(&caller)?;
    let now = app.clock.now_ms();
    let key = app.store.keys().revoke(&Owner(id), now).await?.ok_or_else(no_such_key)?;
    app.keys.forget().await;
    Ok(Json(tell(&key, now)))
}

/// Any page that a browser shows could make a key where no key is needed, and lock everybody else out with it.
fn refuse_anonymous(caller: &Caller) -> Result<(), Rejection> {
    if caller.is_anonymous() {
        let message = "Keys are managed with a key of the scope admin. Make the first one with `drover-api keys create`.";
        return Err(Rejection::new(403, "insufficient_scope", message));
    }
    Ok(())
}

fn no_such_key() -> Problem {
    Problem(Rejection::new(404, "key_not_found", "No such key was found."))
}

/// A key's identifier as a cursor: any text, since one that is none stands nowhere in the list.
#[derive(Debug, PartialEq, Eq)]
struct KeyId(String);

impl std::str::FromStr for KeyId {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// A key that is not known yet.
pub(crate) struct NewKey {
    pub(crate) key: ApiKey,
    pub(crate) secret: Secret,
    digest: KeyDigest,
}

/// One that may ask for answers and jobs, without limits.
pub(crate) fn new(name: String, now: Millis) -> NewKey {
    let (secret, digest) = secret::mint(secret::KEY);
    let key = ApiKey {
        owner: owner_of(&digest),
        name,
        scopes: Scopes::from_iter([Scope::Chat, Scope::Jobs]),
        limits: KeyLimits::default(),
        priority: 0,
        created_at_ms: now,
        expires_at_ms: None,
        last_used_at_ms: None,
        revoked_at_ms: None,
    };
    NewKey { key, secret, digest }
}

/// Makes the key known.
pub(crate) async fn add(store: &dyn Store, new: &NewKey) -> Result<KeyAdded, StoreError> {
    store.keys().create(&new.key, &new.digest, limits::KEYS).await
}

/// A key as clients see it. Times are whole seconds since the Unix epoch.
pub(crate) fn tell(key: &ApiKey, now: Millis) -> Value {
    let seconds = |at: Millis| at.div_euclid(1_000);
    let limits = &key.limits;
    json!({
        "id": key.owner,
        "object": "api_key",
        "name": key.name,
        "status": status(key, now),
        "scopes": key.scopes,
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "concurrent_jobs": limits.concurrent_jobs,
        "queued_jobs": limits.queued_jobs,
        "daily_budget_usd": limits.daily_budget_microusd.map(as_dollars),
        "monthly_budget_usd": limits.monthly_budget_microusd.map(as_dollars),
        "priority": key.priority,
        "created_at": seconds(key.created_at_ms),
        "expires_at": key.expires_at_ms.map(seconds),
        "last_used_at": key.last_used_at_ms.map(seconds),
        "revoked_at": key.revoked_at_ms.map(seconds),
    })
}

/// Whether it opens anything, in a word.
pub(crate) fn status(key: &ApiKey, now: Millis) -> &'static str {
    if key.revoked_at_ms.is_some() {
        "revoked"
    } else if key.is_valid(now) {
        "active"
    } else {
        "expired"
    }
}
