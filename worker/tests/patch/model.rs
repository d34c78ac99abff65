//! A model on loopback that counts its calls, and a CLI that speaks to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::node;

/// What the model says.
pub(crate) const SAYS: &str = "pong";

/// Serves as long as the process lives.
pub(crate) struct Model {
    url: String,
    calls: Arc<AtomicUsize>,
}

impl Model {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counter = Arc::clone(&counter);
                thread::spawn(move || serve(&stream, &counter));
            }
        });
        Self { url, calls }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Lets a CLI run one turn, permissions skipped, without anything that tells it to trust the place.
    pub(crate) fn turn(&self, script: &Path) -> Output {
        let home = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(node());
        command.arg(script).args(["-p", "--dangerously-skip-permissions", "ping"]);
        command.env_clear().current_dir(home.path()).stdin(Stdio::null());
        let home = home.path().display().to_string();
        let environment = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("HOME", &home),
            ("TMPDIR", &home),
            ("ANTHROPIC_BASE_URL", &self.url),
            ("ANTHROPIC_API_KEY", "none"),
            ("HTTPS_PROXY", &self.url),
            ("NO_PROXY", "127.0.0.1"),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("DISABLE_AUTOUPDATER", "1"),
        ];
        command.envs(environment).output().expect("node runs")
    }
}

/// One call for each connection, in a tunnel if one is asked for first. Nobody minds when it breaks off.
fn serve(mut stream: &TcpStream, calls: &AtomicUsize) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut first = read(&mut reader)?;
    let own = format!("CONNECT {} ", stream.local_addr().ok()?);
    if first.starts_with(&own) {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
        first = read(&mut reader)?;
    }
    let answer = if first.starts_with("POST /v1/messages?") {
        calls.fetch_add(1, Ordering::SeqCst);
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{}", events())
    } else {
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
    };
    stream.write_all(answer.as_bytes()).ok()
}

/// Reads a request whole and returns its first line.
fn read(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    reader.take(length).read_to_end(&mut Vec::new()).ok()?;
    Some(first)
}

fn events() -> String {
    let delta = format!(r#"{{"type":"text_delta","text":"{SAYS}"}}"#);
    [
        event(
            "message_start",
            r#""message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}"#,
        ),
        event("content_block_start", r#""index":0,"content_block":{"type":"text","text":""}"#),
        event("content_block_delta", &format!(r#""index":0,"delta":{delta}"#)),
        event("content_block_stop", r#""index":0"#),
        event(
            "message_delta",
            r#""delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":1}"#,
        ),
        event("message_stop", r#""done":true"#),
    ]
    .concat()
}

fn event(name: &str, fields: &str) -> String {
    format!("event: {name}\ndata: {{\"type\":\"{name}\",{fields}}}\n\n")
}
