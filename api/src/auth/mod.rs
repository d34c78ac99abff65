//! Who is asking, and what they may do: API keys, compared in constant time by their digests.

pub(crate) mod guest;
mod known;
pub(crate) mod secret;

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use drover_shared::dialect::Rejection;
use drover_shared::schema::{ApiKey, KeyDigest, Owner, Scope, Scopes};

pub(crate) use self::known::{Keys, digest};
use crate::app::App;
use crate::error::Problem;
use crate::router;

/// Hexadecimal digits of a key's digest in its owner's name: enough to keep owners apart, too few to
/// tell the key.
const OWNER_DIGITS: usize = 16;

/// Who is asking. As an extractor it lets nobody in who lacks the scope that the route asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Whose jobs, sessions and files these are.
    pub(crate) owner: Owner,
    pub(crate) scopes: Scopes,
    /// The key, if it is one of the store's: those that are configured have no limits.
    pub(crate) key: Option<Arc<ApiKey>>,
}

impl Caller {
    /// Nobody in particular, where no key is configured.
    fn anonymous() -> Self {
        Self { owner: Owner::anonymous(), scopes: Scopes::all(), key: None }
    }

    /// Whether it came with no key, where none is configured.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.owner == Owner::anonymous()
    }

    /// Refuses who has none of the scopes.
    pub(crate) fn require(&self, any_of: &[Scope]) -> Result<(), Rejection> {
        if any_of.iter().any(|scope| self.scopes.contains(*scope)) {
            return Ok(());
        }
        let names: Vec<&str> = any_of.iter().map(|scope| scope.as_str()).collect();
        let message = format!("This API key lacks the scope that is needed here: {}.", names.join(" or "));
        Err(Rejection::new(403, "insufficient_scope", message))
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let caller = app.keys.caller(&parts.headers).await?;
        if caller.is_anonymous() {
            guest::check(&parts.headers, &app.settings.allowed_origins)?;
        }
        let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        caller.require(router::scopes(route))?;
        Ok(caller)
    }
}

impl Keys {
    /// Who has sent a request with these headers.
    pub(crate) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        self.holder(&presented(headers)).await
    }
}

/// The digests of the keys that these headers bring.
pub(crate) fn presented(headers: &HeaderMap) -> Vec<KeyDigest> {
    [bearer(headers), api_key(headers)].into_iter().flatten().map(digest).collect()
}

/// The owner of what is asked for with a key of this digest, which is also the key's identifier.
pub(crate) fn owner_of(digest: &KeyDigest) -> Owner {
    let mut name = String::from("key_");
    push_hex(&mut name, &digest[..OWNER_DIGITS / 2]);
    Owner(name)
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    use std::fmt::Write as _;
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii()).filter(|key| !key.is_empty())
}

fn api_key(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get("x-api-key").map(|value| value.as_bytes().trim_ascii()).filter(|key| !key.is_empty())
}

fn refusal(message: &str) -> Rejection {
    Rejection::new(401, "invalid_api_key", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;
    use crate::tests::store::FakeStore;

    async fn owner(keys: &[&str], headers: &[(&'static str, &str)]) -> Result<Owner, u16> {
        let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
        let keys = Keys::new(&keys, Arc::new(FakeStore::default()), Clock::new(|| 0));
        let headers =
            headers.iter().map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value")));
        let caller = keys.caller(&headers.collect()).await;
        caller.map(|caller| caller.owner).map_err(|problem| problem.0.status)
    }

    #[tokio::test]
    async fn a_key_is_known_in_either_header() {
        // SHA-256("sesame"), first 16 digits.
        let expected = Ok(Owner("key_d0c04f4b1951e4ae".to_owned()));
        for headers in [
            &[("authorization", "Bearer sesame")][..],
            &[("authorization", "bearer  sesame ")],
            &[("x-api-key", "sesame")],
            &[("authorization", "Bearer unset"), ("x-api-key", "sesame")],
            &[("authorization", "Basic abc"), ("x-api-key", "sesame")],
        ] {
            assert_eq!(owner(&["other", "sesame"], headers).await, expected, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        for headers in [
            &[][..],
            &[("authorization", "Bearer ")],
            &[("authorization", "Bearer sesam")],
            &[("authorization", "sesame")],
            &[("x-api-key", "")],
        ] {
            assert_eq!(owner(&["sesame"], headers).await, Err(401), "{headers:?}");
        }
    }

    #[tokio::test]
    async fn without_keys_everybody_is_anonymous() {
        assert_eq!(owner(&[], &[]).await, Ok(Owner::anonymous()));
        assert_eq!(owner(&[""], &[("x-api-key", "anything")]).await, Ok(Owner::anonymous()));
    }
}
