//! What a client is told over a WebSocket: one JSON object in a text frame.

use drover_shared::dialect::{Dialect, Rejection};
use drover_shared::schema::{JobId, ProjectId, Seq, SeqEvent, SessionId};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::events;
use crate::jobs::JobBody;

/// An answer to a request, with the request's identifier, or news of a job.
#[derive(Serialize)]
#[serde(tag = "type")]
pub(super) enum Frame<'a> {
    #[serde(rename = "job.submitted")]
    Submitted {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        job: &'a JobBody,
        #[serde(skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        project_id: Option<ProjectId>,
        /// Fields of the request that mean nothing here.
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        ignored: &'a [String],
        subscribed: bool,
        /// Whether the job was there already, under the request's key.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        replayed: bool,
    },
    #[serde(rename = "job.subscribed")]
    Subscribed {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        job: JobId,
        after: Seq,
    },
    #[serde(rename = "job.unsubscribed")]
    Unsubscribed {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        job: JobId,
    },
    #[serde(rename = "job")]
    Job {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        job: &'a JobBody,
    },
    #[serde(rename = "job.listed")]
    Listed {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        /// What `GET /v1/jobs` answers.
        list: &'a Value,
    },
    #[serde(rename = "pong")]
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
    },
    #[serde(rename = "error")]
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        /// What HTTP would have answered.
        status: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
        error: &'a RawValue,
    },
    #[serde(rename = "job.event")]
    Event { job: JobId, event: &'a RawValue },
    /// All chunks of one event, so that whoever goes on after it has had all of it or nothing.
    #[serde(rename = "job.chunks")]
    Chunks { job: JobId, seq: Seq, chunks: Vec<&'a RawValue> },
    /// No more is coming of the job.
    #[serde(rename = "job.ended")]
    Ended { job: JobId },
}

impl Frame<'_> {
    /// As it goes over the wire.
    pub(super) fn text(&self) -> Utf8Bytes {
        // It holds no map with odd keys, so it can be written.
        serde_json::to_string(self).unwrap_or_default().into()
    }
}

/// The frame of an error, in which it has the dialect's shape.
pub(super) fn error(dialect: &dyn Dialect, id: Option<&str>, rejection: &Rejection) -> Utf8Bytes {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        error: &'a RawValue,
    }
    let body = dialect.error(rejection);
    let error = serde_json::from_slice(&body).map_or(RawValue::NULL, |body: Body| body.error);
    let (status, retry_after_ms) = (rejection.status, rejection.retry_after_ms);
    Frame::Error { id, status, retry_after_ms, error }.text()
}

/// The frame of a canonical event.
pub(super) fn event(job: JobId, event: &SeqEvent) -> Utf8Bytes {
    let mut data = Vec::new();
    events::data(event, &mut data);
    let event = serde_json::from_slice(&data).unwrap_or(RawValue::NULL);
    Frame::Event { job, event }.text()
}

/// The frame of one event's chunks, which stand in `stream` as server-sent events; none where there are none.
pub(super) fn chunks(job: JobId, seq: Seq, stream: &[u8]) -> Option<Utf8Bytes> {
    let text = std::str::from_utf8(stream).unwrap_or_default();
    let data = text.split("\n\n").filter_map(|frame| frame.strip_prefix("data: "));
    let chunks: Vec<&RawValue> =
        data.filter(|data| *data != "[DONE]").filter_map(|chunk| serde_json::from_str(chunk).ok()).collect();
    (!chunks.is_empty()).then(|| Frame::Chunks { job, seq, chunks }.text())
}
