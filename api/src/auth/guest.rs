//! Where no key is configured, everybody is welcome, but not every web page: a browser lets any page send requests to any
//! address, and only a key is what a page cannot know.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::HOST;
use drover_shared::dialect::Rejection;

use crate::cors::Origins;

/// Endings of names that nobody can register, so that no stranger's page has such a name.
const PRIVATE: [&str; 5] = [".localhost", ".local", ".internal", ".home.arpa", ".lan"];

/// Refuses pages of other origins, and pages of strangers who have let their own name lead here (DNS rebinding).
pub(crate) fn check(headers: &HeaderMap, allowed: &Origins) -> Result<(), Rejection> {
    allowed.admit(headers)?;
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if is_private(host) || allowed.name(host) {
        return Ok(());
    }
    let message = "Without a configured key this server is reached by address, by `localhost` or by a name that only your \
                   network knows. Configure a key, or name the page's origin in DROVER_ALLOWED_ORIGINS.";
    Err(Rejection::new(403, "host_not_allowed", message))
}

/// Whether no stranger can have the name: an address, a name without a dot, or one that nobody can register.
fn is_private(host: &str) -> bool {
    // What is left behind a colon is a port, or the end of an address of IPv6.
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name.parse::<IpAddr>().is_ok() || !name.contains('.') || PRIVATE.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cors::Origin;

    #[test]
    fn names_that_a_stranger_may_have_lead_nowhere() {
        let allowed = Origins::of(&["https://drover.example".parse::<Origin>().expect("an origin")]);
        for (host, expected) in [
            ("127.0.0.1:8000", true),
            ("[::1]:8000", true),
            ("192.168.1.7", true),
            ("localhost:8000", true),
            ("LOCALHOST.", true),
            ("drover:8000", true),
            ("host.docker.internal:8000", true),
            ("", true),
            ("drover.example", true),
            ("evil.example:8000", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("internal.evil.example", false),
        ] {
            let headers = HeaderMap::from_iter([(HOST, host.parse().expect("a value"))]);
            assert_eq!(check(&headers, &allowed).is_ok(), expected, "{host:?}");
        }
        let headers = HeaderMap::from_iter([(HOST, "evil.example".parse().expect("a value"))]);
        assert!(check(&headers, &Origins::Any).is_ok(), "every page was let in by the operator");
    }
}
