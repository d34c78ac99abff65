//! A client that hides nothing: statuses, headers, and every server-sent event with its time of arrival.

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How long anything may take that a test waits for, when the test gives no time of its own: long enough for
/// a loaded machine, since no test measures by it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: Option<String>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body as it came.
    pub body: Bytes,
}

/// One server-sent event, or a comment.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// When its last byte was read.
    pub at: Instant,
    /// Its `id`.
    pub id: Option<String>,
    /// Its `event`.
    pub event: Option<String>,
    /// Its `data`, lines joined by a line feed; empty in a comment.
    pub data: String,
    /// The comment, when it is one.
    pub comment: Option<String>,
}

/// An open stream of server-sent events. The connection is cut when this is dropped.
pub struct Events {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// When the request was sent.
    pub sent: Instant,
    bytes: BoxStream<'static, reqwest::Result<Bytes>>,
    buffer: Vec<u8>,
}

static PROVIDER: LazyLock<()> = LazyLock::new(|| {
    // An error means that another part of the process chose first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
});

impl Client {
    /// Where its server is.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// A client of the server at this base URL.
    pub fn new(base: impl Into<String>) -> Self {
        LazyLock::force(&PROVIDER);
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without options that can fail");
        Self { http, base: base.into(), key: None }
    }

    /// The same client, with a bearer key.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// A request to a path, for what the other methods do not cover.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Gets a path.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body)).await
    }

    /// Posts JSON and opens the answer as a stream.
    pub async fn stream(&self, path: &str, body: &Value) -> Events {
        Events::open(self.request(Method::POST, path).json(body)).await
    }
}

impl Answer {
    /// Sends a request and reads its answer.
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        Self::try_of(request).await.expect("the server answers")
    }

    /// The same, where the server may be gone.
    pub async fn try_of(request: reqwest::RequestBuilder) -> reqwest::Result<Self> {
        let response = request.timeout(2 * PATIENCE).send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Self { status, headers, body: response.bytes().await? })
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}), status {}: {}", self.status, self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Frame {
    /// The data as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.data))
    }
}

impl Events {
    /// Sends a request and reads the head of its answer.
    pub async fn open(request: reqwest::RequestBuilder) -> Self {
        Self::try_open(request).await.expect("the server answers")
    }

    /// The same, where the server may be gone.
    pub async fn try_open(request: reqwest::RequestBuilder) -> reqwest::Result<Self> {
        let sent = Instant::now();
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Self { status, headers, sent, bytes: response.bytes_stream().boxed(), buffer: Vec::new() })
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The next event or comment. `Ok(None)` is a clean end, an error a connection that broke.
    pub async fn try_next(&mut self) -> reqwest::Result<Option<Frame>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let text: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(Some(Frame::parse(&String::from_utf8_lossy(&text))));
            }
            match self.bytes.next().await {
                Some(bytes) => self.buffer.extend_from_slice(&bytes?),
                None => return Ok(None),
            }
        }
    }

    /// The next event, without comments. Panics when none comes in time or the connection breaks.
    pub async fn next(&mut self) -> Option<Frame> {
        let next = tokio::time::timeout(PATIENCE, async {
            loop {
                let frame = self.try_next().await.expect("the stream stays whole");
                if frame.as_ref().is_none_or(|frame| frame.comment.is_none()) {
                    return frame;
                }
            }
        });
        next.await.expect("an event within a patient wait")
    }

    /// Every event to the end of the stream, without comments.
    pub async fn all(mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    /// The rest as a whole answer, for where an error came instead of a stream.
    pub async fn into_answer(mut self) -> Answer {
        let mut body = self.buffer;
        while let Some(bytes) = self.bytes.next().await {
            body.extend_from_slice(&bytes.expect("the answer stays whole"));
        }
        Answer { status: self.status, headers: self.headers, body: body.into() }
    }

    /// What came that is no event, once the stream is over.
    pub fn leftover(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }
}

impl Frame {
    fn parse(text: &str) -> Self {
        let mut frame =
            Self { at: Instant::now(), id: None, event: None, data: String::new(), comment: None };
        let mut data = Vec::new();
        for line in text.lines() {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "" if !line.is_empty() => frame.comment = Some(value.to_owned()),
                "id" => frame.id = Some(value.to_owned()),
                "event" => frame.event = Some(value.to_owned()),
                "data" => data.push(value),
                _ => {}
            }
        }
        if frame.event.is_some() || frame.id.is_some() || !data.is_empty() {
            frame.comment = None;
        }
        frame.data = data.join("\n");
        frame
    }
}
