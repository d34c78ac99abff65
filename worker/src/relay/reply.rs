//! What the relay itself answers to the CLI, in the Messages API's shape.

use std::convert::Infallible;

use bytes::Bytes;
use drover_shared::provider::failure::error_type;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;
use tokio::sync::mpsc;

/// The body of every answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An error. The CLI is told not to try again: retries are the relay's business.
pub(super) fn error(status: StatusCode, message: &str) -> Response<Body> {
    let kind = error_type(status.as_u16());
    let body = json!({ "type": "error", "error": { "type": kind, "message": message } });
    let mut response = Response::new(Full::from(body.to_string()).boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-should-retry", HeaderValue::from_static("false"));
    response
}

/// An event stream that is whole.
pub(super) fn events(whole: Vec<u8>) -> Response<Body> {
    typed_as_events(Full::from(whole).boxed_unsync())
}

/// An event stream of what comes out of the channel, each chunk sent as it comes.
pub(super) fn event_stream(chunks: mpsc::Receiver<Bytes>) -> Response<Body> {
    let frames = stream::unfold(chunks, async |mut chunks| {
        let chunk = chunks.recv().await?;
        Some((Ok(Frame::data(chunk)), chunks))
    });
    typed_as_events(StreamBody::new(frames).boxed_unsync())
}

fn typed_as_events(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}
