//! How a job ended, in this dialect's terms.

use crate::dialect::{Form, Rejection};
use crate::schema::{CancelReason, Event, StopReason, Usage};

/// The end of a job.
pub(super) enum Ending {
    /// A whole answer.
    Answer {
        /// Why the model stopped.
        stop: StopReason,
        /// What the provider billed.
        usage: Usage,
    },
    /// No answer, or only a part of one.
    Error(Rejection),
}

/// What a terminal event means; `None` for any other event.
pub(super) fn of(event: &Event) -> Option<Ending> {
    match event {
        Event::Completed { stop, stop_sequence: _, usage } => {
            Some(Ending::Answer { stop: *stop, usage: *usage })
        }
        Event::Failed { failure, usage: _ } => Some(Ending::Error(failure.into())),
        Event::Cancelled { reason, usage: _ } => Some(Ending::Error(cancelled(*reason))),
        Event::Expired => Some(Ending::Error(expired())),
        Event::AttemptStarted { .. }
        | Event::Routed { .. }
        | Event::MessageStarted { .. }
        | Event::BlockStarted { .. }
        | Event::TextDelta { .. }
        | Event::ThinkingDelta { .. }
        | Event::SignatureDelta { .. }
        | Event::ToolInputDelta { .. }
        | Event::BlockStopped { .. }
        | Event::MessageStopped { .. }
        | Event::ToolStarted { .. }
        | Event::ToolFinished { .. }
        | Event::FilesChanged(_)
        | Event::Notice { .. }
        | Event::Unrecognised { .. }
        | Event::Choice { .. } => None,
    }
}

/// 400 although the request was fine: the SDKs retry 409 and everything from 500 up by themselves, and
/// what was called off must not come back.
fn cancelled(reason: CancelReason) -> Rejection {
    let message = match reason {
        CancelReason::Requested => "The job was cancelled.",
        CancelReason::ClientGone => "The job was cancelled because its last reader went away.",
    };
    Rejection::new(400, "job_cancelled", message).final_()
}

fn expired() -> Rejection {
    Rejection::new(504, "job_expired", "No worker took the job before its deadline.")
}

/// `finish_reason`.
pub(super) fn finish_reason(stop: StopReason, form: &Form) -> &'static str {
    match stop {
        StopReason::EndTurn | StopReason::StopSequence | StopReason::PauseTurn => "stop",
        StopReason::MaxTokens | StopReason::ContextWindowExceeded => "length",
        StopReason::ToolUse if form.older_calls => "function_call",
        StopReason::ToolUse => "tool_calls",
        StopReason::Refusal => "content_filter",
    }
}
