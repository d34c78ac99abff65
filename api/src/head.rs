//! What a request's head must be, whichever route it is for. How it is split into lines, lengths and encodings is
//! hyper's, which refuses whatever two readers could understand in two ways.

use axum::extract::Request;
use axum::http::Version;
use axum::http::header::{HOST, HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::Response;
use drover_shared::dialect::Rejection;
use drover_shared::schema::limits;

use crate::error::Problem;

/// The items of headers that hold lists, which may be spread over several of them (RFC 9110, section 5.3).
pub(crate) fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> + use<'a> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|list| list.split(',')).map(str::trim)
}

/// Within the envelope, so that a refusal has the usual shape.
pub(crate) async fn check(request: Request, next: Next) -> Result<Response, Problem> {
    let length = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if length > limits::REQUEST_URI_BYTES {
        let message =
            format!("The address is longer than {} bytes, which is the limit.", limits::REQUEST_URI_BYTES);
        return Err(Rejection::new(414, "uri_too_long", message).into());
    }
    // RFC 9112, section 3.2: somebody on the way may have taken another one for the right one.
    let hosts = request.headers().get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Err(Rejection::new(400, "invalid_host", "A request has exactly one Host header.").into());
    }
    Ok(next.run(request).await)
}
