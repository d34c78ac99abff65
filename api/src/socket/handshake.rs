//! The head of a request that is to become a WebSocket (RFC 6455, section 4.2).

use axum::http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{Method, Request, Version};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use drover_shared::dialect::Rejection;
use drover_shared::schema::KeyDigest;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::auth::digest;
use crate::head;
use crate::resource::parameters::{parameters, unknown};

/// What both sides speak over the WebSocket.
const PROTOCOL: &str = "drover.v1";
/// What a browser says its key in, since it can set no header.
const KEY_PROTOCOL: &str = "drover.key.";
/// The same for a ticket.
const TICKET_PROTOCOL: &str = "drover.ticket.";
/// And for a ticket in the address.
const TICKET: &str = "ticket";

/// A request that can become a WebSocket.
pub(super) struct Handshake {
    accept: String,
    /// Whether the client has named our protocol, and so has to be told that it is spoken.
    names_protocol: bool,
    /// What it says who asks, besides the headers that every request may have.
    pub(super) brought: Option<Brought>,
}

/// What stands in the address or in a protocol, by its digest.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Brought {
    Ticket(KeyDigest),
    Key(KeyDigest),
}

/// Refuses what cannot become a WebSocket, whatever else its head says: axum takes HEAD for GET, and what came before
/// HTTP/1.1 knows no upgrade (RFC 6455, section 4.1).
pub(super) fn line<B>(request: &Request<B>) -> Result<(), Rejection> {
    if request.method() != Method::GET {
        let message = "A WebSocket is asked for with GET.";
        return Err(Rejection::new(405, "method_not_allowed", message));
    }
    if request.version() < Version::HTTP_11 {
        return Err(upgrade("A WebSocket is asked for over HTTP/1.1."));
    }
    Ok(())
}

/// Reads the head. A ticket counts before a key.
pub(super) fn read(query: Option<&str>, headers: &HeaderMap) -> Result<Handshake, Rejection> {
    if !head::list(headers, &UPGRADE).any(|name| name.eq_ignore_ascii_case("websocket"))
        || !head::list(headers, &CONNECTION).any(|name| name.eq_ignore_ascii_case("upgrade"))
    {
        let message = "This is a WebSocket. Connect with 'Connection: Upgrade' and 'Upgrade: websocket'.";
        return Err(Rejection::new(426, "upgrade_required", message));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let message = "The version of the WebSocket protocol must be 13.";
        return Err(Rejection { param: Some("Sec-WebSocket-Version".to_owned()), ..upgrade(message) });
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if STANDARD.decode(key).ok().is_none_or(|nonce| nonce.len() != 16) {
        return Err(Rejection::invalid_value("Sec-WebSocket-Key", "It must be 16 bytes in Base64."));
    }
    let accept = derive_accept_key(key);
    let names_protocol = head::list(headers, &SEC_WEBSOCKET_PROTOCOL).any(|name| name == PROTOCOL);
    let told =
        |prefix| head::list(headers, &SEC_WEBSOCKET_PROTOCOL).find_map(move |name| name.strip_prefix(prefix));
    let ticket = ticket(query)?.or_else(|| told(TICKET_PROTOCOL).map(|ticket| digest(ticket.as_bytes())));
    // One that cannot be read is as good as a wrong one.
    let read = |key: &str| digest(&URL_SAFE_NO_PAD.decode(key.trim_end_matches('=')).unwrap_or_default());
    let key = || told(KEY_PROTOCOL).map(|key| Brought::Key(read(key)));
    Ok(Handshake { accept, names_protocol, brought: ticket.map(Brought::Ticket).or_else(key) })
}

fn ticket(query: Option<&str>) -> Result<Option<KeyDigest>, Rejection> {
    let mut ticket = None;
    for (name, value) in parameters(query)? {
        if name != TICKET {
            return Err(unknown(&name));
        }
        ticket = Some(digest(value.as_bytes()));
    }
    Ok(ticket)
}

fn upgrade(message: &str) -> Rejection {
    Rejection::new(426, "upgrade_required", message)
}

impl Handshake {
    /// The headers that say yes.
    pub(super) fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let accept = HeaderValue::try_from(&self.accept).ok().map(|accept| (SEC_WEBSOCKET_ACCEPT, accept));
        let protocol = (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
        let fixed = [
            (CONNECTION, HeaderValue::from_static("upgrade")),
            (UPGRADE, HeaderValue::from_static("websocket")),
        ];
        fixed.into_iter().chain(accept).chain(self.names_protocol.then_some(protocol))
    }
}

/// What a client that speaks otherwise is told to do.
pub(super) fn required() -> [(HeaderName, HeaderValue); 3] {
    [
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        // The example of RFC 6455, section 1.3.
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn headers<'a>(lines: impl IntoIterator<Item = (&'a str, &'a str)>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().expect("a name");
            headers.append(name, value.parse().expect("a value"));
        }
        headers
    }

    fn read(headers: &HeaderMap) -> Result<Handshake, Rejection> {
        super::read(None, headers)
    }

    #[test]
    fn a_ticket_stands_in_the_address_or_in_a_protocol() {
        let head = |protocols| headers(GOOD.into_iter().chain([("sec-websocket-protocol", protocols)]));
        let brought = |query, protocols| super::read(query, &head(protocols)).map(|it| it.brought);
        for (query, protocols, ticket) in [
            (Some("ticket=t%31"), "drover.v1", "t1"),
            (None, "drover.v1, drover.ticket.t2, drover.key.eA", "t2"),
            (Some("ticket=t1"), "drover.ticket.t2", "t1"),
            // Which is a wrong one, and not none.
            (Some("ticket="), "drover.v1", ""),
        ] {
            let expected = Some(Brought::Ticket(digest(ticket.as_bytes())));
            assert_eq!(brought(query, protocols).expect("a good head"), expected);
        }
        for (query, param) in [("tickets=x", "tickets"), ("ticket=x&ticket=y", "ticket")] {
            let rejection = brought(Some(query), "drover.v1").expect_err(query);
            assert_eq!((rejection.status, rejection.param.as_deref()), (400, Some(param)));
        }
    }

    #[test]
    fn a_head_is_answered_as_the_specification_says() {
        let handshake = read(&headers(GOOD)).expect("a good head");
        assert_eq!(handshake.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!handshake.headers().any(|(name, _)| name == SEC_WEBSOCKET_PROTOCOL));
        let offered = [("sec-websocket-protocol", "drover.v1, drover.key.c2VzYW1l")];
        let handshake = read(&headers(GOOD.into_iter().chain(offered))).expect("a good head");
        assert_eq!(handshake.brought, Some(Brought::Key(digest(b"sesame"))));
        let told = handshake.headers().find(|(name, _)| *name == SEC_WEBSOCKET_PROTOCOL);
        assert_eq!(told.expect("a protocol").1, "drover.v1", "the key is never said back");
    }

    #[test]
    fn other_heads_are_refused() {
        for (name, value, status) in [
            ("connection", "close", 426),
            ("upgrade", "h2c", 426),
            ("sec-websocket-version", "8", 426),
            ("sec-websocket-key", "c2hvcnQ=", 400),
            ("sec-websocket-key", "not base64 at all!!", 400),
        ] {
            let lines = GOOD.map(|line| if line.0 == name { (name, value) } else { line });
            assert_eq!(read(&headers(lines)).err().expect(name).status, status, "{name}");
            let lines = GOOD.into_iter().filter(|line| line.0 != name);
            assert_eq!(read(&headers(lines)).err().expect(name).status, status, "no {name}");
        }
    }
}
