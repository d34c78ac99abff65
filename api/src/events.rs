//! `GET /v1/jobs/{id}/events`: a job's canonical events as server-sent events, live or from the past.
//! Ids are sequence numbers, so a client that was cut off goes on where it was.

use std::sync::Arc;

use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use drover_shared::dialect::Rejection;
use drover_shared::schema::{Event, Seq, SeqEvent};

use crate::app::App;
use crate::auth::Caller;
use crate::envelope::Ticket;
use crate::error::Problem;
use crate::jobs;
use crate::sse::{End, Stream};

pub(crate) async fn stream(
    State(app): State<Arc<App>>,
    Extension(ticket): Extension<Arc<Ticket>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    Caller { owner, .. }: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = jobs::find(&app, &ticket, &owner, &id).await?;
    let after = start(&headers, query.as_deref())?;
    let reader = app.tail.open(job.id, after, job.state.is_terminal());
    let heartbeat = app.settings.stream_heartbeat;
    let stream = Stream { reader, encode: Box::new(encode), heartbeat, first: Vec::new() };
    Ok(stream.into_response(End::MayBeSilent))
}

/// Where to start. `Last-Event-ID` wins: a browser that reconnects sends it along with the address that
/// it was first given.
fn start(headers: &HeaderMap, query: Option<&str>) -> Result<Seq, Rejection> {
    let from_query =
        query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("starting_after="));
    let (param, value) = match headers.get("last-event-id").filter(|value| !value.is_empty()) {
        Some(value) => ("Last-Event-ID", value.to_str().unwrap_or_default()),
        None => match from_query {
            Some(value) => ("starting_after", value),
            None => return Ok(0),
        },
    };
    // The store counts in signed numbers; no job comes near.
    value.parse().ok().filter(|seq| i64::try_from(*seq).is_ok()).ok_or_else(|| {
        Rejection::invalid("invalid_value", param, format!("{param} must be a sequence number, 0 or above."))
    })
}

/// `id`, `event` and `data`, the last being the event as it is stored.
fn encode(event: &SeqEvent, out: &mut Vec<u8>) {
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(event.seq.to_string().as_bytes());
    out.extend_from_slice(b"\nevent: ");
    out.extend_from_slice(name(&event.event).as_bytes());
    out.extend_from_slice(b"\ndata: ");
    data(event, out);
    out.extend_from_slice(b"\n\n");
}

/// `seq` and `attempt`, which of several answers it belongs to, and the event's own fields. One event has an
/// `attempt` of its own, which is the same number; JSON must not say it twice.
pub(crate) fn data(SeqEvent { seq, attempt, event }: &SeqEvent, out: &mut Vec<u8>) {
    let place = match event.split() {
        (None, Event::AttemptStarted { .. }) => format!("{{\"seq\":{seq}"),
        (None, _) => format!("{{\"seq\":{seq},\"attempt\":{attempt}"),
        (Some(choice), _) => format!("{{\"seq\":{seq},\"attempt\":{attempt},\"choice\":{choice}"),
    };
    out.extend_from_slice(place.as_bytes());
    let brace = out.len();
    // Neither an event nor a vector can fail to be written; JSON text has no line breaks.
    let _ = serde_json::to_writer(&mut *out, event.split().1);
    // The event's fields go on where its object would have begun.
    if let Some(brace) = out.get_mut(brace) {
        *brace = b',';
    }
}

/// The event's `type`.
fn name(event: &Event) -> &'static str {
    match event {
        Event::AttemptStarted { .. } => "attempt_started",
        Event::Routed { .. } => "routed",
        Event::MessageStarted { .. } => "message_started",
        Event::BlockStarted { .. } => "block_started",
        Event::TextDelta { .. } => "text_delta",
        Event::ThinkingDelta { .. } => "thinking_delta",
        Event::SignatureDelta { .. } => "signature_delta",
        Event::ToolInputDelta { .. } => "tool_input_delta",
        Event::BlockStopped { .. } => "block_stopped",
        Event::MessageStopped { .. } => "message_stopped",
        Event::ToolStarted { .. } => "tool_started",
        Event::ToolFinished { .. } => "tool_finished",
        Event::FilesChanged(_) => "files_changed",
        Event::Notice { .. } => "notice",
        Event::Unrecognised { .. } => "unrecognised",
        Event::Choice { event, .. } => name(event),
        Event::Completed { .. } => "completed",
        Event::Failed { .. } => "failed",
        Event::Cancelled { .. } => "cancelled",
        Event::Expired => "expired",
    }
}

#[cfg(test)]
mod tests {
    use drover_shared::schema::{Block, CancelReason, Changes, Failure, FailureKind, StopReason, Usage};

    use super::*;

    #[test]
    fn frames_are_named_by_the_type_in_their_data() {
        let s = String::new;
        let usage = Usage::default();
        let stop = StopReason::EndTurn;
        for event in [
            Event::AttemptStarted { attempt: 2 },
            Event::Routed { provider: s(), model: s(), attempts: 1 },
            Event::MessageStarted { message_id: s(), model: s() },
            Event::BlockStarted { index: 0, block: Block::Text },
            Event::TextDelta { index: 0, text: "a\nb".to_owned() },
            Event::ThinkingDelta { index: 0, thinking: s() },
            Event::SignatureDelta { index: 0, signature: s() },
            Event::ToolInputDelta { index: 0, partial_json: s() },
            Event::BlockStopped { index: 0 },
            Event::MessageStopped { stop, stop_sequence: None },
            Event::ToolStarted { id: s(), name: s(), title: Some(s()) },
            Event::ToolFinished { id: s(), failed: false },
            Event::FilesChanged(Changes::default()),
            Event::Notice { code: s(), message: s() },
            Event::Unrecognised { kind: s() },
            Event::Completed { stop, stop_sequence: None, usage },
            Event::Failed { failure: Failure::new(FailureKind::CliFailed, ""), usage },
            Event::Cancelled { reason: CancelReason::Requested, usage },
            Event::Expired,
        ] {
            let mut frame = Vec::new();
            encode(&SeqEvent { seq: 7, attempt: 2, event }, &mut frame);
            let frame = String::from_utf8(frame).expect("text");
            let (head, data) = frame.split_once("\ndata: ").expect("data");
            let data: serde_json::Value = serde_json::from_str(data).expect("json");
            assert_eq!(head, format!("id: 7\nevent: {}", data["type"].as_str().expect("a type")));
            assert_eq!((&data["seq"], &data["attempt"]), (&7.into(), &2.into()));
            assert_eq!(frame.matches('\n').count(), 4, "{frame}");
            assert_eq!(frame.matches("\"attempt\":").count(), 1, "{frame}");
        }
    }

    #[test]
    fn an_event_of_one_of_several_answers_says_of_which() {
        let event = Event::TextDelta { index: 0, text: "a".to_owned() }.of(Some(2));
        let mut frame = Vec::new();
        encode(&SeqEvent { seq: 7, attempt: 1, event }, &mut frame);
        let expected = "id: 7\nevent: text_delta\n\
                        data: {\"seq\":7,\"attempt\":1,\"choice\":2,\"type\":\"text_delta\",\"index\":0,\"text\":\"a\"}\n\n";
        assert_eq!(String::from_utf8(frame).expect("text"), expected);
    }

    #[test]
    fn a_start_is_a_sequence_number() {
        let headers = |value: &str| {
            HeaderMap::from_iter([("last-event-id".parse().expect("name"), value.parse().expect("value"))])
        };
        assert_eq!(start(&HeaderMap::new(), None), Ok(0));
        assert_eq!(start(&HeaderMap::new(), Some("a=b&starting_after=3")), Ok(3));
        assert_eq!(start(&headers("5"), Some("starting_after=3")), Ok(5));
        assert_eq!(start(&headers(""), Some("starting_after=3")), Ok(3));
        for bad in ["-1", "x", "1.5", "", "18446744073709551615"] {
            let rejection = start(&HeaderMap::new(), Some(&format!("starting_after={bad}"))).expect_err(bad);
            assert_eq!((rejection.status, rejection.param.as_deref()), (400, Some("starting_after")));
        }
        assert_eq!(
            start(&headers("x"), None).expect_err("no number").param.as_deref(),
            Some("Last-Event-ID")
        );
    }
}
