//! The server's connections and answers.

use super::compose::{Answer, Item, Usage, compose};
use super::prompt::{ends_with_result, last_user_text};
use super::record::{Ending, Ongoing, Record};
use super::script::{self, End, Script};
use super::socket::{Reset, Socket};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use hyper::http::response::Builder;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

type Body = UnsyncBoxBody<Bytes, Cut>;

/// The script ends the connection here.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the script ends the connection here")
    }
}

impl std::error::Error for Cut {}

pub(super) async fn serve(listener: TcpListener, record: Arc<Record>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let reset = Reset::default();
        let io = TokioIo::new(Socket::new(stream, reset.clone()));
        let record = Arc::clone(&record);
        let service =
            hyper::service::service_fn(move |request| answer(request, Arc::clone(&record), reset.clone()));
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
    }
}

/// Answers one request. An error ends the connection without an answer.
async fn answer(
    request: Request<Incoming>,
    record: Arc<Record>,
    reset: Reset,
) -> Result<Response<Body>, Cut> {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let line = format!("{} {}", head.method, head.uri);
    let headers = head.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let headers: BTreeMap<_, _> = headers.collect();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let body: Arc<Value> = Arc::new(serde_json::from_slice(&body).unwrap_or_default());
    let prompt = last_user_text(&body);
    let mut script = script::read(record.script(&prompt));
    if let Script::Times(count, first, then) = script {
        script = if record.count(&prompt) < count { *first } else { *then };
    } else if let Script::UntilTold(first, then) = script {
        script = if ends_with_result(&body) { *then } else { *first };
    }
    let mut call = record.add(line, headers, Arc::clone(&body), prompt, started);
    if head.method != "POST" || path != "/v1/messages" {
        call.end(Ending::Complete, None);
        return Ok(error(404, None, "Not found", call.number));
    }
    if body["model"].as_str().is_none()
        || body["max_tokens"].as_u64().is_none()
        || !body["messages"].is_array()
    {
        call.end(Ending::Complete, None);
        return Ok(error(400, None, "model, max_tokens and messages are required", call.number));
    }
    play(&script, &body, call, reset).await
}

async fn play(script: &Script, body: &Value, mut call: Ongoing, reset: Reset) -> Result<Response<Body>, Cut> {
    match script {
        Script::Message(steps) => message(compose(steps, body, call.number), body, call, reset).await,
        Script::Status { code, retry_after_s, message } => {
            call.end(Ending::Complete, None);
            let message = message.as_deref().unwrap_or("scripted error");
            Ok(error(*code, *retry_after_s, message, call.number))
        }
        Script::Page(content_type) => {
            call.end(Ending::Complete, None);
            Ok(whole(
                Response::builder().header(CONTENT_TYPE, content_type),
                "<html><body>Hello</body></html>",
            ))
        }
        Script::Redirect => {
            call.end(Ending::Complete, None);
            Ok(whole(Response::builder().status(StatusCode::FOUND).header(LOCATION, "/elsewhere"), ""))
        }
        Script::ResetBeforeHeaders => {
            call.end(Ending::Cut, None);
            reset.order();
            Err(Cut)
        }
        Script::StallBeforeHeaders => std::future::pending().await,
        Script::Times(..) | Script::UntilTold(..) => {
            call.end(Ending::Complete, None);
            Ok(error(400, None, "a script of two inside of another", call.number))
        }
    }
}

async fn message(
    answer: Answer,
    body: &Value,
    mut call: Ongoing,
    reset: Reset,
) -> Result<Response<Body>, Cut> {
    let builder = Response::builder().header("request-id", request_id(call.number));
    if body["stream"] == true {
        let builder = builder.header(CONTENT_TYPE, "text/event-stream; charset=utf-8");
        let body = StreamBody::new(events(answer, call, reset)).boxed_unsync();
        return Ok(builder.body(body).expect("a response from constant parts"));
    }
    let last = answer.timeline.last().map_or(Duration::ZERO, |(at, _)| *at);
    tokio::time::sleep(last).await;
    match answer.timeline.last() {
        Some((_, Item::Cut(End::Stall))) => std::future::pending().await,
        Some((_, Item::Cut(End::Error))) => {
            call.end(Ending::Cut, None);
            Ok(error(529, None, "Overloaded", call.number))
        }
        Some((_, Item::Cut(_))) => {
            call.end(Ending::Cut, None);
            reset.order();
            Err(Cut)
        }
        _ => {
            call.end(Ending::Complete, Some(answer.usage));
            let builder = builder.header(CONTENT_TYPE, "application/json");
            Ok(whole(builder, answer.message.to_string()))
        }
    }
}

/// State of a stream of events; dropped early, its call records that the client left.
struct Playing {
    timeline: std::vec::IntoIter<(Duration, Item)>,
    start: tokio::time::Instant,
    usage: Usage,
    call: Ongoing,
    reset: Reset,
}

fn events(
    answer: Answer,
    call: Ongoing,
    reset: Reset,
) -> impl stream::Stream<Item = Result<Frame<Bytes>, Cut>> {
    let playing = Playing {
        timeline: answer.timeline.into_iter(),
        start: tokio::time::Instant::now(),
        usage: answer.usage,
        call,
        reset,
    };
    stream::unfold(playing, async |mut playing| Some((playing.next().await?, playing)))
}

impl Playing {
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, Cut>> {
        let (at, item) = self.timeline.next()?;
        tokio::time::sleep_until(self.start + at).await;
        match item {
            Item::Event { name, data } => {
                self.call.sent(name == "content_block_delta");
                if self.timeline.as_slice().is_empty() {
                    self.call.end(Ending::Complete, Some(self.usage));
                }
                Some(Ok(frame(name, &data)))
            }
            Item::Cut(End::Stall) => std::future::pending().await,
            Item::Cut(End::Reset) => {
                self.call.end(Ending::Cut, None);
                self.reset.order();
                Some(Err(Cut))
            }
            Item::Cut(End::Error) => {
                self.call.end(Ending::Cut, None);
                Some(Ok(frame("error", &error_json(529, "Overloaded", self.call.number))))
            }
            Item::Cut(_) => {
                self.call.end(Ending::Cut, None);
                None
            }
        }
    }
}

fn frame(name: &str, data: &Value) -> Frame<Bytes> {
    Frame::data(format!("event: {name}\ndata: {data}\n\n").into())
}

fn error(code: u16, retry_after_s: Option<u32>, message: &str, number: usize) -> Response<Body> {
    let mut builder = Response::builder()
        .status(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header("request-id", request_id(number))
        .header(CONTENT_TYPE, "application/json");
    if let Some(seconds) = retry_after_s {
        builder = builder.header(RETRY_AFTER, seconds);
    }
    whole(builder, error_json(code, message, number).to_string())
}

/// An error in the API's shape.
fn error_json(code: u16, message: &str, number: usize) -> Value {
    let kind = match code {
        400 => "invalid_request_error",
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    json!({
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": request_id(number),
    })
}

fn request_id(number: usize) -> String {
    format!("req_{number:06}")
}

fn whole(builder: Builder, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
    builder.body(body).unwrap_or_else(|_| {
        let mut response = Response::new(Full::default().map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}
