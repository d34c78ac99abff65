//! A provider on loopback whose every byte the test writes itself.

use std::sync::Arc;
use std::time::Duration;

use drover_shared::provider::registry::Registry;
use drover_shared::provider::sse;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::super::{Catalog, Credential, EndpointConfig, Secret, Upstream};
use super::soon;

/// The key of the tests' account.
pub(super) const KEY: &str = "sk-test-0123456789abcdef";

/// Hands each request to the test.
pub(super) struct Provider {
    pub(super) base_url: String,
    exchanges: mpsc::Receiver<Exchange>,
}

impl Provider {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base_url = format!("http://{}/base", listener.local_addr().expect("an address"));
        let (sender, exchanges) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    if let Some(exchange) = Exchange::read(stream).await {
                        sender.send(exchange).await.ok();
                    }
                });
            }
        });
        Self { base_url, exchanges }
    }

    /// The upstream that this provider serves.
    pub(super) fn upstream(&self) -> Arc<Upstream> {
        upstream(&self.base_url, Credential::ApiKey(Secret::new(KEY)))
    }

    /// The next request.
    pub(super) async fn asked(&mut self) -> Exchange {
        soon(self.exchanges.recv()).await.expect("the provider runs")
    }

    /// Whether no request is waiting to be answered.
    pub(super) fn is_idle(&mut self) -> bool {
        self.exchanges.try_recv().is_err()
    }
}

pub(super) fn upstream(base_url: &str, credential: Credential) -> Arc<Upstream> {
    Upstream::new(catalog(&[("anthropic", base_url)], credential), "1.2.3", 1).expect("a sound configuration")
}

/// Providers of the registry, by where they are; each takes the key, and spare ones for when it is left out.
pub(super) fn catalog(providers: &[(&str, &str)], key: Credential) -> Catalog {
    let spare = |n| Credential::ApiKey(Secret::new(format!("{KEY}-{n}")));
    let keys: Vec<Credential> = std::iter::once(key).chain((1..16).map(spare)).collect();
    let endpoint = |(id, base_url): &(&str, &str)| EndpointConfig {
        id: (*id).to_owned(),
        base_url: (*base_url).to_owned(),
        keys: keys.clone(),
        headers: vec![],
        betas: *id == "anthropic",
        login: false,
        max_calls: 16,
        first_byte: Duration::from_secs(15),
    };
    let endpoints: Vec<_> = providers.iter().map(endpoint).collect();
    let has_key = |id: &str| u32::from(endpoints.iter().any(|endpoint| endpoint.id == id));
    Catalog { offer: Registry::shipped().offer(has_key, None), endpoints }
}

/// Nobody has a key.
pub(super) fn demo() -> Arc<Upstream> {
    let catalog = Catalog { offer: Registry::shipped().offer(|_| 0, None), endpoints: vec![] };
    Upstream::new(catalog, "1.2.3", 1).expect("the demo model")
}

/// A request, and the connection it is to be answered on.
pub(super) struct Exchange {
    /// Request line and headers, in lower case.
    pub(super) head: String,
    pub(super) body: Value,
    stream: TcpStream,
}

impl Exchange {
    async fn read(mut stream: TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            (stream.read_buf(&mut bytes).await.ok()? > 0).then_some(())?;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        while bytes.len() < end + length {
            (stream.read_buf(&mut bytes).await.ok()? > 0).then_some(())?;
        }
        let body = serde_json::from_slice(&bytes[end..]).unwrap_or_default();
        Some(Self { head, body, stream })
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the relay listens");
    }

    /// Answers in one piece.
    pub(super) async fn reply(mut self, status: u16, headers: &str, body: &str) {
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n{body}");
        self.write(answer.as_bytes()).await;
    }

    /// Begins an event stream.
    pub(super) async fn begin(&mut self) {
        self.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
              transfer-encoding: chunked\r\n\r\n",
        )
        .await;
    }

    /// Sends a piece of the stream.
    pub(super) async fn send(&mut self, piece: &[u8]) {
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        chunk.extend_from_slice(b"\r\n");
        self.write(&chunk).await;
    }

    /// Ends the stream as it should be ended; the connection can be used again.
    pub(super) async fn finish(mut self) -> TcpStream {
        self.write(b"0\r\n\r\n").await;
        self.stream
    }

    /// Sends a whole answer that says `text`.
    pub(super) async fn answer(self, text: &str) -> TcpStream {
        self.answer_from(started(), text).await
    }

    /// The same, with another beginning.
    pub(super) async fn answer_from(mut self, started: sse::Frame, text: &str) -> TcpStream {
        self.begin().await;
        for frame in [started, opened(), delta(text), closed(), ended("end_turn"), stop()] {
            self.send(&frame).await;
        }
        self.finish().await
    }

    /// Breaks the connection with a reset.
    pub(super) fn reset(self) {
        let socket = self.stream.into_std().expect("a socket");
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::Linger, &linger).expect("linger");
    }

    /// Waits until the relay has closed the connection.
    pub(super) async fn closed(mut self) {
        let mut rest = Vec::new();
        // A reset is as good as an end.
        soon(self.stream.read_to_end(&mut rest)).await.ok();
    }

    /// Writes until the relay takes no more, because the CLI reads nothing.
    pub(super) async fn fill(&mut self) {
        let piece = delta(&"x".repeat(100_000));
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(&piece);
        chunk.extend_from_slice(b"\r\n");
        let patience = std::time::Duration::from_millis(300);
        while tokio::time::timeout(patience, self.stream.write_all(&chunk)).await.is_ok() {}
    }
}

pub(super) fn reread(stream: TcpStream) -> impl Future<Output = Option<Exchange>> {
    soon(Exchange::read(stream))
}

pub(super) fn started() -> sse::Frame {
    started_with(250_000)
}

/// The beginning of an answer to a prompt of so many tokens.
pub(super) fn started_with(input_tokens: u64) -> sse::Frame {
    let usage = json!({
        "input_tokens": input_tokens, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 5,
        "output_tokens": 1,
    });
    let id = format!("msg_{}", Uuid::new_v4().simple());
    let message = json!({ "id": id, "type": "message", "role": "assistant", "content": [], "model": "claude-opus-5-5", "usage": usage });
    sse::frame("message_start", &json!({ "type": "message_start", "message": message }))
}

pub(super) fn delta(text: &str) -> sse::Frame {
    let delta = json!({ "type": "text_delta", "text": text });
    sse::frame("content_block_delta", &json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
}

pub(super) fn opened() -> sse::Frame {
    let block = json!({ "type": "text", "text": "" });
    sse::frame(
        "content_block_start",
        &json!({ "type": "content_block_start", "index": 0, "content_block": block }),
    )
}

pub(super) fn closed() -> sse::Frame {
    sse::frame("content_block_stop", &json!({ "type": "content_block_stop", "index": 0 }))
}

pub(super) fn ended(reason: &str) -> sse::Frame {
    let delta = json!({ "stop_reason": reason, "stop_sequence": null });
    let usage = json!({ "output_tokens": 40 });
    sse::frame("message_delta", &json!({ "type": "message_delta", "delta": delta, "usage": usage }))
}

pub(super) fn stop() -> sse::Frame {
    sse::frame("message_stop", &json!({ "type": "message_stop" }))
}

/// The whole block of a tool call.
pub(super) fn tool(name: &str, input: &Value) -> Vec<u8> {
    let id = format!("toolu_{}", Uuid::new_v4().simple());
    let block = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
    let opened = json!({ "type": "content_block_start", "index": 1, "content_block": block });
    let delta = json!({ "type": "input_json_delta", "partial_json": input.to_string() });
    let delta = json!({ "type": "content_block_delta", "index": 1, "delta": delta });
    let closed = json!({ "type": "content_block_stop", "index": 1 });
    [
        sse::frame("content_block_start", &opened),
        sse::frame("content_block_delta", &delta),
        sse::frame("content_block_stop", &closed),
    ]
    .concat()
}
