//! One HTTP/1.1 call to the relay, read line by line as it arrives.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

/// Where the relay is: a Unix socket, or a loopback port.
#[derive(Debug, Clone)]
pub(super) struct Relay {
    socket: Option<String>,
    host: String,
    key: String,
}

/// The connection of a running call, to be cut from another thread.
pub(super) enum Wire {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// An answer whose head was read.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) request_id: Option<String>,
    pub(super) body: Body,
}

/// A body, decoded from its chunks.
pub(super) struct Body {
    from: BufReader<Box<dyn Read + Send>>,
    left: Left,
}

enum Left {
    Bytes(u64),
    /// Bytes of the current chunk.
    Chunk(u64),
    UntilClose,
    Nothing,
}

impl Relay {
    /// As the CLI finds it: `ANTHROPIC_UNIX_SOCKET`, else the host of `ANTHROPIC_BASE_URL`.
    pub(super) fn from_env() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let url = variable("ANTHROPIC_BASE_URL").unwrap_or_else(|| "http://api.anthropic.com".to_owned());
        let host = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let key = variable("ANTHROPIC_API_KEY").unwrap_or_default();
        Self { socket: variable("ANTHROPIC_UNIX_SOCKET"), host, key }
    }

    pub(super) fn connect(&self) -> io::Result<Wire> {
        if let Some(path) = &self.socket {
            return UnixStream::connect(path).map(Wire::Unix);
        }
        let port = if self.host.contains(':') { "" } else { ":80" };
        let stream = TcpStream::connect(format!("{}{port}", self.host))?;
        stream.set_nodelay(true)?;
        Ok(Wire::Tcp(stream))
    }

    /// Sends a call and reads the answer's head.
    pub(super) fn post(&self, wire: &Wire, body: &str) -> io::Result<Answer> {
        let head = format!(
            "POST /v1/messages?beta=true HTTP/1.1\r\nhost: {}\r\nx-api-key: {}\r\naccept: application/json\r\n\
             content-type: application/json\r\nanthropic-version: 2023-06-01\r\nx-app: cli\r\n\
             user-agent: claude-cli/{} (external, sdk-cli)\r\nconnection: keep-alive\r\n\
             content-length: {}\r\n\r\n",
            self.host,
            self.key,
            super::VERSION,
            body.len()
        );
        wire.write(&[head.as_bytes(), body.as_bytes()].concat())?;
        read_head(BufReader::new(wire.reader()?))
    }
}

impl Wire {
    /// The same connection for another thread.
    pub(super) fn another(&self) -> io::Result<Self> {
        match self {
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
        }
    }

    pub(super) fn cut(&self) {
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(stream) => (&*stream).write_all(bytes),
            Self::Tcp(stream) => (&*stream).write_all(bytes),
        }
    }

    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self.another()? {
            Self::Unix(stream) => Box::new(stream),
            Self::Tcp(stream) => Box::new(stream),
        })
    }
}

fn read_head(mut from: BufReader<Box<dyn Read + Send>>) -> io::Result<Answer> {
    let first = read_line(&mut from)?.ok_or(io::ErrorKind::ConnectionReset)?;
    let status =
        first.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let mut left = Left::UntilClose;
    let mut request_id = None;
    while let Some(line) = read_line(&mut from)?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => left = Left::Bytes(value.parse().map_err(|_| io::ErrorKind::InvalidData)?),
            "transfer-encoding" => left = Left::Chunk(0),
            "request-id" => request_id = Some(value.to_owned()),
            _ => {}
        }
    }
    Ok(Answer { status, request_id, body: Body { from, left } })
}

/// A line without its end, or `None` at the end of the connection.
fn read_line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = from.read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Left::Chunk(0) = self.left {
            self.left = self.next_chunk()?;
        }
        let left = match self.left {
            Left::Nothing | Left::Bytes(0) => return Ok(0),
            Left::UntilClose => return self.from.read(buffer),
            Left::Bytes(left) | Left::Chunk(left) => left,
        };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.from.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let rest = left - read as u64;
        self.left = match self.left {
            Left::Chunk(_) if rest == 0 => {
                read_line(&mut self.from)?;
                Left::Chunk(0)
            }
            Left::Chunk(_) => Left::Chunk(rest),
            _ => Left::Bytes(rest),
        };
        Ok(read)
    }
}

impl Body {
    fn next_chunk(&mut self) -> io::Result<Left> {
        let line = read_line(&mut self.from)?.ok_or(io::ErrorKind::ConnectionReset)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        match u64::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)? {
            0 => Ok(Left::Nothing),
            size => Ok(Left::Chunk(size)),
        }
    }
}

/// Calls `each` with the data of every server-sent event.
pub(super) fn each_event(body: Body, mut each: impl FnMut(&str)) -> io::Result<()> {
    let mut lines = BufReader::with_capacity(16 << 10, body);
    let mut data = String::new();
    while let Some(line) = read_line(&mut lines)? {
        if let Some(rest) = line.strip_prefix("data:") {
            data.push_str(rest.trim_start());
        } else if line.is_empty() && !data.is_empty() {
            each(&data);
            data.clear();
        }
    }
    Ok(())
}
