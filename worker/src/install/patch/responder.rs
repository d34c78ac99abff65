//! The model on loopback that a copy is tried out with: it says one word, which nobody else can know.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use drover_shared::provider::sse::frame;
use drover_shared::schema::limits;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Serves until it is dropped.
pub(super) struct Responder {
    address: SocketAddr,
    word: String,
    _serving: JoinSet<()>,
}

impl Responder {
    /// Listens on a free port.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let word = uuid::Uuid::new_v4().simple().to_string();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, address, word.clone()));
        Ok(Self { address, word, _serving: serving })
    }

    /// Where.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The word.
    pub(super) fn answer(&self) -> &str {
        &self.word
    }
}

async fn serve(listener: TcpListener, address: SocketAddr, word: String) {
    let mut connections = JoinSet::new();
    // A listener that cannot accept ends the trial by its time limit.
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(converse(stream, address, word.clone()));
        while connections.len() > limits::RELAY_CONNECTIONS {
            connections.join_next().await;
        }
    }
}

/// Answers the calls of one connection. Old versions (1.0.67 is one, 1.0.124 is none) know no `NO_PROXY`: they
/// ask for a tunnel first, in which they call.
async fn converse(stream: TcpStream, address: SocketAddr, word: String) {
    let tunnel = Mutex::new(None);
    let service = service_fn(async |request: Request<Incoming>| {
        let authority = request.uri().authority().map(Authority::as_str);
        if request.method() == Method::CONNECT && authority == Some(&address.to_string()) {
            let upgrade = hyper::upgrade::on(request);
            *tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
            return Ok(Response::new(Full::default()));
        }
        answer(request, &word).await
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // A call that breaks off shows in what the CLI says.
    let _ = connection.with_upgrades().await;
    let tunnel = tunnel.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(upgrade) = tunnel
        && let Ok(inside) = upgrade.await
    {
        let service = service_fn(|request| answer(request, &word));
        let _ = http1::Builder::new().serve_connection(inside, service).await;
    }
}

async fn answer(request: Request<Incoming>, word: &str) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_call = request.method() == Method::POST && request.uri().path() == "/v1/messages";
    let body = Limited::new(request.into_body(), limits::RELAY_BODY_BYTES).collect().await;
    let asked: Option<Value> = body.ok().and_then(|body| serde_json::from_slice(&body.to_bytes()).ok());
    let Some(asked) = asked.filter(|_| is_call) else {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    };
    let (kind, body) = match asked["stream"].as_bool() {
        Some(true) => ("text/event-stream", stream(word)),
        _ => (
            "application/json",
            message(&json!([{ "type": "text", "text": word }]), "end_turn").to_string().into(),
        ),
    };
    let mut response = Response::new(Full::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

fn stream(word: &str) -> Vec<u8> {
    let events = [
        json!({ "type": "message_start", "message": message(&json!([]), Value::Null) }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": word } }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({
            "type": "message_delta",
            "delta": { "stop_reason": "end_turn", "stop_sequence": null },
            "usage": { "output_tokens": 1 },
        }),
        json!({ "type": "message_stop" }),
    ];
    events.iter().flat_map(|event| frame(event["type"].as_str().unwrap_or_default(), event)).collect()
}

fn message(content: &Value, stop_reason: impl Into<Value>) -> Value {
    json!({
        "id": "msg_trial",
        "type": "message",
        "role": "assistant",
        "model": "trial",
        "content": content,
        "stop_reason": stop_reason.into(),
        "stop_sequence": null,
        "usage": { "input_tokens": 1, "output_tokens": 1 },
    })
}
