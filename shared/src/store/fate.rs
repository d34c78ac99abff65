//! What becomes of a job whose attempt ended without an outcome.

use crate::schema::{CancelReason, Event, Failure, FailureKind, Usage};

/// What is known of such a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    /// Whether it was called off, and why.
    pub(super) cancel: Option<CancelReason>,
    /// Whether the model has said anything.
    pub(super) spoken: bool,
    /// How many attempts were begun, this one included.
    pub(super) attempts: u32,
    /// How many it has.
    pub(super) max_attempts: u32,
}

/// What to do with it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fate {
    /// Back into the queue.
    Requeue,
    /// It ends with this event.
    End(Event),
}

/// Decides. Who called a job off wants no second attempt, and what a client has read of one answer must
/// not be followed by another.
pub(super) fn decide(left: Left) -> Fate {
    let usage = Usage::default();
    let fail = |kind, message| Fate::End(Event::Failed { failure: Failure::new(kind, message), usage });
    if let Some(reason) = left.cancel {
        Fate::End(Event::Cancelled { reason, usage })
    } else if left.spoken {
        fail(FailureKind::WorkerLost, "The worker was lost after the answer had begun.")
    } else if left.attempts >= left.max_attempts {
        fail(FailureKind::AttemptsExhausted, "The job failed as often as it may be tried.")
    } else {
        Fate::Requeue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: Left = Left { cancel: None, spoken: false, attempts: 1, max_attempts: 3 };

    fn failure(left: Left) -> Option<FailureKind> {
        match decide(left) {
            Fate::End(Event::Failed { failure, .. }) => Some(failure.kind),
            _ => None,
        }
    }

    #[test]
    fn only_a_silent_job_with_attempts_left_goes_back() {
        assert_eq!(decide(SILENT), Fate::Requeue);
        assert_eq!(failure(Left { attempts: 3, ..SILENT }), Some(FailureKind::AttemptsExhausted));
        assert_eq!(failure(Left { spoken: true, ..SILENT }), Some(FailureKind::WorkerLost));
    }

    #[test]
    fn calling_off_comes_first() {
        let reason = CancelReason::ClientGone;
        let left = Left { cancel: Some(reason), spoken: true, attempts: 3, ..SILENT };
        assert_eq!(decide(left), Fate::End(Event::Cancelled { reason, usage: Usage::default() }));
    }
}
