//! A streamed answer. Its head is held back until it is clear that there is an answer, so that an early
//! failure still has a status of its own; but not longer than the client's proxies would wait.

use axum::response::Response;
use drover_shared::dialect::{Answer, Dialect};
use drover_shared::schema::{Event, SeqEvent};
use tokio::time::{Instant, timeout_at};

use super::route;
use super::whole::vanished;
use crate::error::Problem;
use crate::settings::Settings;
use crate::sse::{Encode, End, Stream};
use crate::tail::Reader;

pub(super) async fn answer(
    dialect: &'static dyn Dialect,
    settings: &Settings,
    answer: &Answer,
    reader: Reader,
) -> Result<Response, Problem> {
    let mut encoder = dialect.stream(answer);
    let encode: Encode = Box::new(move |event, out| encoder.encode(&event.event, out));
    let mut stream = Stream { reader, encode, heartbeat: settings.stream_heartbeat, first: Vec::new() };
    let commit_at = Instant::now() + settings.stream_hold;
    let mut held: Vec<SeqEvent> = Vec::new();
    loop {
        let Ok(batch) = timeout_at(commit_at, stream.reader.next()).await else {
            stream.push_ping();
            break;
        };
        let Some(batch) = batch else {
            return Err(vanished(answer));
        };
        match batch.iter().find_map(|event| verdict(&event.event)) {
            Some(Verdict::Speaks) => {
                stream.push(&batch);
                held.extend_from_slice(&batch);
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
    let mut response = stream.into_response(End::MustBeTold);
    response.headers_mut().extend(route::headers(&held));
    Ok(response)
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
        | Event::ToolStarted { .. }
        | Event::ToolFinished { .. }
        | Event::Completed { .. } => Some(Verdict::Speaks),
        Event::Failed { .. } | Event::Cancelled { .. } | Event::Expired => Some(Verdict::Refused),
        Event::AttemptStarted { .. }
        | Event::Routed { .. }
        | Event::FilesChanged(_)
        | Event::Notice { .. }
        | Event::Unrecognised { .. } => None,
        Event::Choice { event, .. } => verdict(event),
    }
}
