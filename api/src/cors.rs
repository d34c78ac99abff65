//! Which web pages may use the api from a browser (Cross-Origin Resource Sharing, Fetch Standard 3.3). Keys travel in
//! headers that a page sets itself, never in cookies; so credentials in that standard's sense are never allowed.

use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use drover_shared::dialect::Rejection;

use crate::app::App;

/// Every method that some route has.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// Seconds that a browser may go without asking again; more than two hours none of them allows itself.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The origins of pages that may use the api.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// No page of another origin.
    #[default]
    None,
    /// Every page.
    Any,
    /// Pages of these origins, as browsers write them.
    These(Vec<String>),
}

impl Origins {
    /// Puts together what was set; `*` stands for every origin.
    pub fn of(given: &[Origin]) -> Self {
        if given.iter().any(|origin| origin.0 == "*") {
            return Self::Any;
        }
        if given.is_empty() { Self::None } else { Self::These(given.iter().map(|it| it.0.clone()).collect()) }
    }

    /// Whether pages of the origin, which is as a browser has sent it, may use the api.
    pub(crate) fn allow(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::None => false,
            Self::Any => true,
            Self::These(origins) => origins.iter().any(|known| known.as_bytes() == origin.as_bytes()),
        }
    }

    /// Whether some page of that host may use the api, so that the operator knows the name.
    pub(crate) fn name(&self, host: &str) -> bool {
        match self {
            Self::None => false,
            Self::Any => true,
            Self::These(origins) => origins.iter().any(|origin| place(origin).eq_ignore_ascii_case(host)),
        }
    }

    /// Refuses a page of another host that may not use the api: a browser lets every page connect, and says from where it
    /// comes. Programs say nothing.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> Result<(), Rejection> {
        let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let own =
            !host.is_empty() && origin.to_str().is_ok_and(|text| place(text).eq_ignore_ascii_case(host));
        if own || self.allow(origin) {
            return Ok(());
        }
        let message =
            "Pages of this origin may not use this server; DROVER_ALLOWED_ORIGINS names those that may.";
        Err(Rejection::new(403, "origin_not_allowed", message))
    }

    /// Lets the page see an answer; whoever stores the answer is told that another page's may differ.
    fn reveal(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if *self == Self::None {
            return;
        }
        if *self != Self::Any {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = origin.filter(|origin| self.allow(origin)) else { return };
        let shown = if *self == Self::Any { HeaderValue::from_static("*") } else { origin.clone() };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, shown);
        // All of them, since no answer depends on credentials.
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    }
}

/// An origin as browsers write it (`https://example.org`, with a port where it is not the scheme's own), or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// Why an origin would never match.
#[derive(Debug, thiserror::Error)]
#[error("an origin is SCHEME://HOST or SCHEME://HOST:PORT, without a path, or * for every one")]
pub struct NoOrigin;

impl FromStr for Origin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let text = text.trim().to_ascii_lowercase();
        if text == "*" {
            return Ok(Self(text));
        }
        let (scheme, authority) = text.split_once("://").ok_or(NoOrigin)?;
        let schemes = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let hosts = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        let sound = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(schemes)
            && !authority.is_empty()
            && authority.chars().all(hosts);
        if !sound {
            return Err(NoOrigin);
        }
        let usual = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => "",
        };
        Ok(Self(format!("{scheme}://{}", authority.strip_suffix(usual).unwrap_or(authority))))
    }
}

/// The host of an origin, with its port.
fn place(origin: &str) -> &str {
    origin.split_once("://").map_or("", |(_, place)| place)
}

/// Around everything, so that pages can read errors too.
pub(crate) async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let origins = &app.settings.allowed_origins;
    let origin = request.headers().get(ORIGIN).cloned();
    let asks = request.method() == Method::OPTIONS
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        && origin.as_ref().is_some_and(|origin| origins.allow(origin));
    let mut response = if asks { permission(request.headers()) } else { next.run(request).await };
    origins.reveal(origin.as_ref(), response.headers_mut());
    response
}

/// The answer to a browser that asks before it sends what a page wants.
fn permission(asked: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    // Whatever is asked for: clients send many headers of their own (`x-stainless-*`), `*` would leave out
    // `Authorization`, and nothing here believes a header because a page could not have set it.
    for names in asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.append(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    headers.append(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_do() {
        for (text, expected) in [
            ("https://Example.org", Some("https://example.org")),
            (" https://example.org:443", Some("https://example.org")),
            ("http://localhost:80", Some("http://localhost")),
            ("http://localhost:443", Some("http://localhost:443")),
            ("http://[::1]:3000", Some("http://[::1]:3000")),
            ("chrome-extension://abcdefgh", Some("chrome-extension://abcdefgh")),
            ("*", Some("*")),
            ("", None),
            ("null", None),
            ("example.org", None),
            ("https://", None),
            ("https://example.org/", None),
            ("https://*.example.org", None),
            ("https://a b", None),
            ("://example.org", None),
        ] {
            let origin = text.parse::<Origin>().ok();
            assert_eq!(origin.as_ref().map(|origin| origin.0.as_str()), expected, "{text}");
        }
    }

    #[test]
    fn only_the_very_origin_is_allowed() {
        let origin = |text: &str| text.parse::<Origin>().expect("an origin");
        let allow = |origins: &Origins, text: &'static str| origins.allow(&HeaderValue::from_static(text));
        let one = Origins::of(&[origin("https://a.example")]);
        assert!(allow(&one, "https://a.example"));
        for other in ["http://a.example", "https://a.example:8443", "https://a.example.evil", "null", ""] {
            assert!(!allow(&one, other), "{other}");
        }
        assert!(!allow(&Origins::of(&[]), "https://a.example"));
        assert_eq!(Origins::of(&[origin("https://a.example"), origin("*")]), Origins::Any);
    }

    #[test]
    fn pages_come_from_here_or_from_where_they_may() {
        let allowed = Origins::These(vec!["https://app.example".to_owned()]);
        for (origin, host, expected) in [
            (None, "drover:8000", true),
            (Some("http://drover:8000"), "drover:8000", true),
            (Some("https://Drover.example"), "drover.example", true),
            (Some("https://app.example"), "drover.example", true),
            (Some("https://app.example.evil.example"), "drover.example", false),
            (Some("http://drover:8001"), "drover:8000", false),
            (Some("null"), "drover:8000", false),
            (Some(""), "", false),
        ] {
            let lines = [(HOST, host)].into_iter().chain(origin.map(|origin| (ORIGIN, origin)));
            let headers = lines.map(|(name, value)| (name, value.parse().expect("a value"))).collect();
            assert_eq!(allowed.admit(&headers).is_ok(), expected, "{origin:?} at {host}");
        }
    }
}
