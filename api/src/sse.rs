//! Events as a stream of server-sent events, with heartbeats while it is quiet.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use drover_shared::schema::SeqEvent;
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

use crate::metrics::{Open, Over};
use crate::tail::{Batch, Reader};

/// A comment, which every client skips.
const PING: &[u8] = b": ping\n\n";
/// Room made for one event's frames, in bytes; a chat chunk with one token takes about 250.
const FRAME_BYTES: usize = 320;
/// nginx and its like are not to collect what is meant to flow.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Appends the frames of one event.
pub(crate) type Encode = Box<dyn FnMut(&SeqEvent, &mut Vec<u8>) + Send>;

/// A stream before its head is sent.
pub(crate) struct Stream {
    pub(crate) reader: Reader,
    pub(crate) encode: Encode,
    pub(crate) heartbeat: Duration,
    /// Sent first.
    pub(crate) first: Vec<u8>,
}

/// The job went away under the stream: the connection is broken off, since an orderly end would make a
/// part look whole.
#[derive(Debug, thiserror::Error)]
#[error("the job's events have ended without a last one")]
struct BrokenOff;

impl Stream {
    /// Encodes into what is sent first.
    pub(crate) fn push(&mut self, batch: &Batch) {
        self.first.reserve(batch.len() * FRAME_BYTES);
        batch.iter().for_each(|event| (self.encode)(event, &mut self.first));
    }

    /// A heartbeat into what is sent first.
    pub(crate) fn push_ping(&mut self) {
        self.first.extend_from_slice(PING);
    }

    /// The 200.
    pub(crate) fn into_response(self, end: End) -> Response {
        let ping_at = Instant::now() + self.heartbeat;
        let flow = Flow { stream: self, ping_at, end, _open: Open::over(Over::Sse) };
        let frames = stream::unfold(flow, |mut flow| async { Some((flow.next().await?, flow)) });
        let mut response = Response::new(Body::from_stream(frames.fuse()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
        response
    }
}

/// What the end of the events means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Without a terminal event the stream is broken off.
    MustBeTold,
    /// The client may have asked for what comes after the last event.
    MayBeSilent,
}

struct Flow {
    stream: Stream,
    ping_at: Instant,
    end: End,
    _open: Open,
}

impl Flow {
    async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        let first = std::mem::take(&mut self.stream.first);
        if !first.is_empty() {
            return Some(Ok(first.into()));
        }
        loop {
            match timeout_at(self.ping_at, self.stream.reader.next()).await {
                Ok(Some(batch)) => {
                    self.stream.push(&batch);
                    let frames = std::mem::take(&mut self.stream.first);
                    if !frames.is_empty() {
                        self.ping_at = Instant::now() + self.stream.heartbeat;
                        return Some(Ok(frames.into()));
                    }
                }
                Ok(None) if self.stream.reader.saw_the_end() || self.end == End::MayBeSilent => return None,
                Ok(None) => return Some(Err(BrokenOff)),
                Err(_quiet) => {
                    self.ping_at = Instant::now() + self.stream.heartbeat;
                    return Some(Ok(Bytes::from_static(PING)));
                }
            }
        }
    }
}
