//! The handler that makes a job of a request and answers with what becomes of it, in any dialect.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::Response;
use drover_shared::dialect::{self, Answer, Dialect, Rejection};
use drover_shared::schema::{Event, JobId, JobSpec, NewJob, Owner, SeqEvent, limits};

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use crate::admission;
use crate::app::App;
use crate::envelope::Ticket;
use crate::error::Problem;
use crate::sse::{Encode, End, Stream};
use crate::tail::Reader;

const IGNORED: HeaderName = HeaderName::from_static("x-drover-ignored-parameters");

/// `POST` with a request in `dialect`.
pub(crate) async fn answer(
    dialect: &'static dyn Dialect,
    app: &Arc<App>,
    ticket: &Ticket,
    request: Request,
) -> Result<Response, Problem> {
    let owner = app.keys.owner(request.headers())?;
    if app.shutdown.is_cancelled() {
        return Err(Problem::leaving());
    }
    let body = read_body(app, request).await?;
    let fleet = app.fleet.get().await?;
    let dialect::Request { spec, stream, include_usage, ignored } =
        parse(dialect, body, fleet.default_model.clone()).await?;
    admission::model(&fleet, &spec.model)?;

    let model = spec.model.clone();
    let now = app.clock.now_ms();
    let (job, reader) = enqueue(app, ticket, owner, spec, now).await?;
    let answer = Answer { job, model, created_s: now.div_euclid(1_000), include_usage };
    let mut response = if stream {
        streamed(dialect, app, &answer, reader).await?
    } else {
        whole(dialect, &answer, reader).await?
    };
    if let Some(names) = ignored_header(&ignored) {
        response.headers_mut().insert(IGNORED, names);
    }
    Ok(response)
}

async fn read_body(app: &App, request: Request) -> Result<Bytes, Problem> {
    let limit = app.settings.body_limit_bytes;
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if declared.is_some_and(|bytes: u64| bytes > limit as u64) {
        return Err(too_large(limit));
    }
    let reading = Limited::new(request.into_body(), limit).collect();
    match timeout(app.settings.body_timeout, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(limit)),
        Ok(Err(_)) => {
            Err(Rejection::new(400, "body_unreadable", "The request body ended before it was whole.").into())
        }
        Err(_) => {
            Err(Rejection::new(408, "request_timeout", "The request body took too long to arrive.").into())
        }
    }
}

fn too_large(limit: usize) -> Problem {
    let message = format!("The request body is larger than {limit} bytes, which is the limit.");
    Problem(Rejection::new(413, "request_too_large", message))
}

/// Large bodies are parsed elsewhere: a thread that parses serves no stream.
async fn parse(
    dialect: &'static dyn Dialect,
    body: Bytes,
    default_model: Option<String>,
) -> Result<dialect::Request, Problem> {
    let small = body.len() <= limits::PARSE_INLINE_BYTES;
    let parse = move || dialect.parse(&body, default_model.as_deref());
    let parsed = if small {
        parse()
    } else {
        tokio::task::spawn_blocking(parse).await.map_err(|_panicked| Problem::internal())?
    };
    Ok(parsed?)
}

/// Adds the job. It runs to its end even when the client leaves meanwhile: the reader travels with it,
/// and is dropped, which calls the job off, only when it is known to exist.
async fn enqueue(
    app: &Arc<App>,
    ticket: &Ticket,
    owner: Owner,
    spec: JobSpec,
    now: i64,
) -> Result<(JobId, Reader), Problem> {
    let id = JobId::from_uuid(Uuid::now_v7());
    let job = NewJob {
        id,
        owner,
        spec,
        created_at_ms: now,
        deadline_at_ms: now
            .saturating_add_unsigned(limits::QUEUE_DEADLINE.as_millis().try_into().unwrap_or(u64::MAX)),
        max_attempts: limits::ATTEMPTS,
    };
    // Before the job exists, so that nothing of it can be missed.
    let reader = app.tail.open_new(id);
    let max_queued = app.settings.max_queued;
    let store = Arc::clone(&app.store);
    let adding = tokio::spawn(async move {
        let added = store.enqueue(&job, max_queued).await;
        if !matches!(added, Ok(true)) {
            reader.disown();
        }
        (added, reader)
    });
    let (added, reader) = adding.await.map_err(|_panicked| Problem::internal())?;
    if !added? {
        return Err(admission::queue_full(max_queued).into());
    }
    ticket.concerns(id);
    Ok((id, reader))
}

/// Waits for the end, then answers in one piece.
async fn whole(
    dialect: &'static dyn Dialect,
    answer: &Answer,
    mut reader: Reader,
) -> Result<Response, Problem> {
    let mut events: Vec<SeqEvent> = Vec::new();
    while let Some(batch) = reader.next().await {
        events.extend_from_slice(&batch);
    }
    if !reader.saw_the_end() {
        tracing::error!(job = %answer.job, "a job has gone without an end");
        return Err(Problem::internal());
    }
    let mut response = Response::new(Body::from(dialect.whole(answer, &events)?));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Streams. The head is held back until it is clear that there is an answer, so that an early failure
/// still has a status of its own; but not longer than the client's proxies would wait.
async fn streamed(
    dialect: &'static dyn Dialect,
    app: &App,
    answer: &Answer,
    reader: Reader,
) -> Result<Response, Problem> {
    let mut encoder = dialect.stream(answer);
    let encode: Encode = Box::new(move |event, out| encoder.encode(&event.event, out));
    let mut stream = Stream { reader, encode, heartbeat: app.settings.stream_heartbeat, first: Vec::new() };
    let commit_at = Instant::now() + app.settings.stream_hold;
    let mut held: Vec<SeqEvent> = Vec::new();
    loop {
        let Ok(batch) = timeout_at(commit_at, stream.reader.next()).await else {
            stream.push_ping();
            break;
        };
        let Some(batch) = batch else {
            tracing::error!(job = %answer.job, "a job has gone without an end");
            return Err(Problem::internal());
        };
        match batch.iter().find_map(|event| verdict(&event.event)) {
            Some(Verdict::Speaks) => {
                stream.push(&batch);
                break;
            }
            Some(Verdict::Refused) => {
                held.extend_from_slice(&batch);
                return Err(refused(dialect, answer, &held));
            }
            None => {
                stream.push(&batch);
                held.extend_from_slice(&batch);
            }
        }
    }
    Ok(stream.into_response(End::MustBeTold))
}

fn refused(dialect: &dyn Dialect, answer: &Answer, events: &[SeqEvent]) -> Problem {
    if let Err(rejection) = dialect.whole(answer, events) {
        return rejection.into();
    }
    tracing::error!(job = %answer.job, dialect = dialect.name(), "a failure was taken for an answer");
    Problem::internal()
}

/// What an event says about the status of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// There is an answer: 200.
    Speaks,
    /// There will be none.
    Refused,
}

fn verdict(event: &Event) -> Option<Verdict> {
    match event {
        Event::MessageStarted { .. }
        | Event::BlockStarted { .. }
        | Event::TextDelta { .. }
        | Event::ThinkingDelta { .. }
        | Event::SignatureDelta { .. }
        | Event::ToolInputDelta { .. }
        | Event::BlockStopped { .. }
        | Event::MessageStopped { .. }
        | Event::Completed { .. } => Some(Verdict::Speaks),
        Event::Failed { .. } | Event::Cancelled { .. } | Event::Expired => Some(Verdict::Refused),
        Event::AttemptStarted { .. } | Event::Notice { .. } | Event::Unrecognised { .. } => None,
    }
}

/// The names as a header may hold them; they come from the client's body.
fn ignored_header(names: &[String]) -> Option<HeaderValue> {
    let mut list = String::new();
    for name in names {
        let safe: String =
            name.chars().map(|c| if c.is_ascii_graphic() && c != ',' { c } else { '?' }).collect();
        if list.len() + safe.len() + 2 > limits::IGNORED_HEADER_BYTES {
            list.push_str(if list.is_empty() { "..." } else { ", ..." });
            break;
        }
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(&safe);
    }
    (!list.is_empty()).then(|| HeaderValue::try_from(list).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_names_fit_into_a_header() {
        let long = "x".repeat(limits::IGNORED_HEADER_BYTES);
        for (names, expected) in [
            (&[][..], None),
            (&["seed"], Some("seed")),
            (&["seed", "a b"], Some("seed, a?b")),
            (&["a,b\r\nset-cookie: c", "é"], Some("a?b??set-cookie:?c, ?")),
            (&["seed", &long], Some("seed, ...")),
            (&[&long], Some("...")),
        ] {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let header = ignored_header(&names);
            assert_eq!(header.as_ref().map(|value| value.to_str().expect("text")), expected);
        }
    }
}
