//! Who is asking: API keys, compared in constant time by their digests.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use drover_shared::dialect::Rejection;
use drover_shared::schema::Owner;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// Hexadecimal digits of a key's digest in its owner's name: enough to keep owners apart, too few to
/// tell the key.
const OWNER_DIGITS: usize = 16;

/// The configured keys; only their digests are kept.
pub(crate) struct Keys(Vec<[u8; 32]>);

impl Keys {
    pub(crate) fn new(keys: &[String]) -> Self {
        Self(keys.iter().filter(|key| !key.is_empty()).map(|key| Sha256::digest(key).into()).collect())
    }

    /// Whether there is any.
    pub(crate) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// The owner of what a request with these headers asks for. Without configured keys everybody is
    /// welcome, whatever key they bring.
    pub(crate) fn owner(&self, headers: &HeaderMap) -> Result<Owner, Rejection> {
        if !self.any() {
            return Ok(Owner::anonymous());
        }
        let presented = [bearer(headers), api_key(headers)];
        if presented.iter().all(Option::is_none) {
            return Err(refusal(
                "No API key was given. Send it as `Authorization: Bearer KEY` or as `x-api-key: KEY`.",
            ));
        }
        presented
            .into_iter()
            .flatten()
            .find_map(|key| self.known(key))
            .ok_or_else(|| refusal("The API key is not valid here."))
    }

    fn known(&self, key: &[u8]) -> Option<Owner> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let mut found = Choice::from(0);
        for configured in &self.0 {
            found |= configured.ct_eq(&digest);
        }
        bool::from(found).then(|| owner_of(&digest))
    }
}

fn owner_of(digest: &[u8; 32]) -> Owner {
    use std::fmt::Write as _;
    let mut name = String::from("key_");
    for byte in &digest[..OWNER_DIGITS / 2] {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    Owner(name)
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

    fn owner(keys: &[&str], headers: &[(&'static str, &str)]) -> Result<Owner, u16> {
        let keys = Keys::new(&keys.iter().map(ToString::to_string).collect::<Vec<_>>());
        let headers =
            headers.iter().map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value")));
        keys.owner(&headers.collect()).map_err(|rejection| rejection.status)
    }

    #[test]
    fn a_key_is_known_in_either_header() {
        // SHA-256("sesame"), first 16 digits.
        let expected = Ok(Owner("key_d0c04f4b1951e4ae".to_owned()));
        for headers in [
            &[("authorization", "Bearer sesame")][..],
            &[("authorization", "bearer  sesame ")],
            &[("x-api-key", "sesame")],
            &[("authorization", "Bearer unset"), ("x-api-key", "sesame")],
            &[("authorization", "Basic abc"), ("x-api-key", "sesame")],
        ] {
            assert_eq!(owner(&["other", "sesame"], headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for headers in [
            &[][..],
            &[("authorization", "Bearer ")],
            &[("authorization", "Bearer sesam")],
            &[("authorization", "sesame")],
            &[("x-api-key", "")],
        ] {
            assert_eq!(owner(&["sesame"], headers), Err(401), "{headers:?}");
        }
    }

    #[test]
    fn without_keys_everybody_is_anonymous() {
        assert_eq!(owner(&[], &[]), Ok(Owner::anonymous()));
        assert_eq!(owner(&[""], &[("x-api-key", "anything")]), Ok(Owner::anonymous()));
    }
}
