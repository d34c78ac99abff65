//! The CLI's side of the socket, by hand.

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::super::{Address, Relay};
use super::{PLACEHOLDER, soon};

/// One connection to the relay, with one call on it.
pub(super) struct Cli {
    pipe: Box<dyn Pipe>,
    seen: Vec<u8>,
}

pub(super) trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

/// The body of the CLI's call for the bound job.
pub(super) fn body() -> Value {
    let said = json!([{ "type": "text", "text": PLACEHOLDER, "cache_control": { "type": "ephemeral" } }]);
    json!({
        "model": "claude-sonnet-4-5",
        "messages": [{ "role": "user", "content": said }],
        "metadata": { "user_id": "a device of the slot" },
        "stream": true,
    })
}

impl Cli {
    /// Makes the call of the bound job.
    pub(super) async fn ask(relay: &Relay) -> Self {
        Self::call(relay, "POST /v1/messages?beta=true", relay.token().expose(), &body()).await
    }

    pub(super) async fn call(relay: &Relay, line: &str, token: &str, body: &Value) -> Self {
        let mut pipe: Box<dyn Pipe> = match relay.address() {
            Address::Unix(path) => Box::new(UnixStream::connect(path).await.expect("the relay listens")),
            Address::Loopback(at) => Box::new(TcpStream::connect(at).await.expect("the relay listens")),
        };
        let body = body.to_string();
        let head = format!(
            "{line} HTTP/1.1\r\nhost: relay.invalid\r\nx-api-key: {token}\r\nx-cli: yes\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n",
            body.len(),
        );
        pipe.write_all((head + &body).as_bytes()).await.expect("the relay reads");
        Self { pipe, seen: Vec::new() }
    }

    /// Reads on until `text` has come, whatever comes with it. Everything seen so far.
    pub(super) async fn until(&mut self, text: &[u8]) -> String {
        while !self.seen.windows(text.len()).any(|window| window == text) {
            let read = soon(self.pipe.read_buf(&mut self.seen)).await.expect("a connection");
            assert!(read > 0, "closed before {:?}: {:?}", String::from_utf8_lossy(text), self.text());
        }
        self.text()
    }

    /// Reads to the end. Status (0 for none) and body, as it is without chunking.
    pub(super) async fn rest(mut self) -> (u16, String) {
        // A connection that breaks has ended as well.
        soon(self.pipe.read_to_end(&mut self.seen)).await.ok();
        let text = self.text();
        let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        let chunked = head.contains("transfer-encoding: chunked");
        (status, if chunked { unchunked(body) } else { body.to_owned() })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a chunk's length");
        whole.push_str(&rest[..length]);
        body = &rest[length + 2..];
    }
    whole
}
