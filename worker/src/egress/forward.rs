//! A plain HTTP request through the proxy, and what of it goes on.

use drover_shared::schema::{Target, limits};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{
    CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::reply::{Body, Refusal};

/// What concerns one connection alone (RFC 9110, 7.6.1), or has been answered by the proxy already. What
/// `Connection` names joins it.
const NOT_FORWARDED: [HeaderName; 11] = [
    CONNECTION,
    EXPECT,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Sends the request to its server, over a connection that is used for nothing else, and gives the answer back.
/// `open` ends when the client's connection does.
pub(super) async fn forward(
    request: Request<Incoming>,
    target: &Target,
    server: TcpStream,
    open: CancellationToken,
) -> Result<Response<Body>, Refusal> {
    let broken = |error: hyper::Error| {
        tracing::debug!(host = %target, %error, "a forwarded request has failed");
        Refusal::BrokenOff(target.clone())
    };
    let mut client = http1::Builder::new();
    client.max_headers(limits::EGRESS_HEADERS).max_header_size(limits::EGRESS_HEAD_BYTES);
    let (mut sender, connection) = client.handshake(TokioIo::new(server)).await.map_err(broken)?;
    // Its failures come out of the answer, too.
    tokio::spawn(async move { open.run_until_cancelled(connection).await.map(drop) });
    let mut answer = sender.send_request(onwards(request, target)).await.map_err(broken)?;
    if answer.status().is_informational() {
        // Nothing was offered that a server could switch to.
        return Err(Refusal::BrokenOff(target.clone()));
    }
    *answer.version_mut() = Version::HTTP_11;
    strip(answer.headers_mut());
    Ok(answer.map(BodyExt::boxed_unsync))
}

/// The request as its server gets it: the path alone, and the `Host` that was checked, whatever the client's
/// said (RFC 9112, 3.2.2).
fn onwards(mut request: Request<Incoming>, target: &Target) -> Request<Incoming> {
    let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    strip(headers);
    let host = if target.port == 80 { target.host.to_string() } else { target.to_string() };
    if let Ok(host) = HeaderValue::try_from(host) {
        headers.insert(HOST, host);
    }
    request
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&NOT_FORWARDED) {
        headers.remove(name);
    }
}
