//! An HTTP client that shows everything and leaves when it is dropped.

use std::net::SocketAddr;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use super::within;

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Call {
    pub(super) fn new(method: &str, path: &str) -> Self {
        let method = method.parse().expect("a method");
        Self { method, path: path.to_owned(), headers: Vec::new(), body: String::new() }
    }

    pub(super) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub(super) fn chat(body: &str) -> Self {
        Self { body: body.to_owned(), ..Self::new("POST", "/v1/chat/completions") }
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn body(self, body: impl Into<String>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Sends it on a connection of its own and waits for the head of the answer.
    pub(super) async fn send(self, address: SocketAddr) -> Answer {
        let socket = TcpStream::connect(address).await.expect("a connection");
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.expect("a handshake");
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // What goes wrong is seen by whoever reads the answer.
            let _ = connection.await;
        }));
        let mut request = Request::builder().method(self.method).uri(&self.path);
        if self.headers.iter().all(|(name, _)| name != "host") {
            request = request.header("host", "test");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(self.body)).expect("a request");
        let response = within("an answer", sender.send_request(request)).await.expect("an answer");
        let (head, body) = response.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body,
            text: String::new(),
            _connection: connection,
        }
    }
}

/// An answer whose body may not have ended. Dropping it is leaving.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Incoming,
    text: String,
    _connection: AbortOnDropHandle<()>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text header"))
    }

    /// Reads until the body holds `needle`, and gives all that was read so far.
    pub(super) async fn until(&mut self, needle: &str) -> &str {
        while !self.text.contains(needle) {
            let seen = self.text.clone();
            assert!(self.more().await.expect("an orderly body"), "{needle} is missing: {seen}");
        }
        &self.text
    }

    /// Reads to the end; fails when the connection breaks off.
    pub(super) async fn rest(&mut self) -> Result<&str, hyper::Error> {
        while self.more().await? {}
        Ok(&self.text)
    }

    pub(super) async fn json(mut self) -> Value {
        let text = self.rest().await.expect("a whole body");
        serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}"))
    }

    async fn more(&mut self) -> Result<bool, hyper::Error> {
        let Some(frame) = within("more of the body", self.body.frame()).await else { return Ok(false) };
        if let Ok(data) = frame?.into_data() {
            self.text.push_str(std::str::from_utf8(&data).expect("text"));
        }
        Ok(true)
    }
}
