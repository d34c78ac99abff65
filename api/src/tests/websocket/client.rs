//! A client that can send any bytes, and holds every frame against the schema.

use std::net::SocketAddr;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::tests::within;

pub(super) const TEXT: u8 = 0x81;
pub(super) const BINARY: u8 = 0x82;
pub(super) const CLOSE: u8 = 0x88;
pub(super) const PING: u8 = 0x89;
pub(super) const PONG: u8 = 0x8a;

const MASK: [u8; 4] = [0x12, 0xa4, 0x00, 0xff];

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../websocket.schema.json")).expect("a schema in JSON")
});

static SIDES: LazyLock<[(&str, Validator); 2]> = LazyLock::new(|| {
    ["client", "server"].map(|side| {
        let mut schema = SCHEMA.clone();
        schema["oneOf"] = json!([{ "$ref": format!("#/$defs/{side}") }]);
        (side, jsonschema::validator_for(&schema).expect("a schema"))
    })
});

fn validator(side: &str) -> &'static Validator {
    &SIDES.iter().find(|(name, _)| *name == side).expect("a side").1
}

/// Whether a side may send the frame.
pub(super) fn allows(side: &str, frame: &Value) -> bool {
    validator(side).is_valid(frame)
}

/// Fails unless the frame is one that this side may send.
fn check(side: &str, frame: &Value) {
    if let Err(error) = validator(side).validate(frame) {
        panic!("{error}: {frame}");
    }
}

/// How a kind of frame is described.
pub(super) fn definition(name: &str) -> &'static Value {
    &SCHEMA["$defs"][name]
}

/// The names of what one side may send.
pub(super) fn names(side: &str) -> Vec<String> {
    let refs = SCHEMA["$defs"][side]["oneOf"].as_array().expect("a list");
    let names = refs.iter().map(|one| one["$ref"].as_str().expect("a reference"));
    names.map(|one| one.rsplit('/').next().unwrap_or_default().to_owned()).collect()
}

/// The bytes of a frame of a client.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | u8::try_from(short).expect("short")),
        middling @ 126..65_536 => {
            frame.push(0xfe);
            frame.extend(u16::try_from(middling).expect("middling").to_be_bytes());
        }
        long => {
            frame.push(0xff);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

pub(super) struct Socket {
    pub(super) stream: TcpStream,
    read: Vec<u8>,
}

impl Socket {
    pub(super) async fn open(address: SocketAddr) -> Self {
        let (status, socket) = Self::with(address, "").await;
        assert_eq!(status, 101);
        socket
    }

    /// With more header lines, each with its end.
    pub(super) async fn with(address: SocketAddr, headers: &str) -> (u16, Self) {
        let (head, socket) = Self::ask(address, "/v1/ws", headers).await;
        (head.split(' ').nth(1).expect("a status").parse().expect("a number"), socket)
    }

    /// The head of the answer, and what comes after it.
    pub(super) async fn ask(address: SocketAddr, path: &str, headers: &str) -> (String, Self) {
        Self::ask_over("1.1", address, path, headers).await
    }

    pub(super) async fn ask_over(
        version: &str,
        address: SocketAddr,
        path: &str,
        headers: &str,
    ) -> (String, Self) {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let mut socket = Self { stream, read: Vec::new() };
        let request = format!(
            "GET {path} HTTP/{version}\r\nhost: drover\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        socket.send(request.as_bytes()).await;
        let end = loop {
            if let Some(end) = socket.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            assert!(socket.more().await, "a head");
        };
        let head: Vec<u8> = socket.read.drain(..end + 4).collect();
        (String::from_utf8(head).expect("text"), socket)
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        within("sending", self.stream.write_all(bytes)).await.expect("sent");
    }

    /// A request.
    pub(super) async fn say(&mut self, request: Value) {
        check("client", &request);
        self.send(&frame(TEXT, request.to_string().as_bytes())).await;
    }

    /// A text that need not be a good request.
    pub(super) async fn say_text(&mut self, text: &str) {
        self.send(&frame(TEXT, text.as_bytes())).await;
    }

    /// The next frame that the server has to say.
    pub(super) async fn hear(&mut self) -> Value {
        loop {
            let (first, payload) = self.frame().await.expect("a frame");
            match first {
                TEXT => {
                    let frame: Value = serde_json::from_slice(&payload).expect("JSON");
                    check("server", &frame);
                    return frame;
                }
                PING => self.send(&frame(PONG, &payload)).await,
                _ => panic!("{first:#x} {payload:?}"),
            }
        }
    }

    pub(super) async fn answer(&mut self, request: Value) -> Value {
        self.say(request).await;
        self.hear().await
    }

    /// First byte and payload; `None` at the end.
    pub(super) async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((frame, rest)) = split(&self.read) {
                let frame = (self.read[0], frame.to_vec());
                self.read = rest.to_vec();
                return Some(frame);
            }
            if !self.more().await {
                assert!(self.read.is_empty(), "{} bytes of half a frame", self.read.len());
                return None;
            }
        }
    }

    /// The close code that comes next, and the end.
    pub(super) async fn closed(&mut self) -> Option<u16> {
        let (first, payload) = loop {
            let (first, payload) = self.frame().await?;
            if first != PING {
                break (first, payload);
            }
        };
        assert_eq!(first, CLOSE, "{}", String::from_utf8_lossy(&payload));
        self.send(&frame(CLOSE, &payload)).await;
        assert_eq!(self.frame().await, None, "nothing comes after the close");
        let code: [u8; 2] = payload.get(..2)?.try_into().ok()?;
        Some(u16::from_be_bytes(code))
    }

    async fn more(&mut self) -> bool {
        within("more", self.stream.read_buf(&mut self.read)).await.is_ok_and(|read| read > 0)
    }
}

/// The payload of the first frame, and what follows it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match bytes.get(1)? {
        126 => (u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into(), &bytes[4..]),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), &bytes[10..]),
        short => (u64::from(*short), &bytes[2..]),
    };
    rest.split_at_checked(usize::try_from(length).ok()?)
}
