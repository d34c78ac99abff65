//! The job that is bound to a relay: what it still expects, and what came of it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drover_shared::schema::{Failure, FailureKind, JobId, JobSpec, Usage};
use hyper::StatusCode;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A job to be let through. Its `Debug` form names the job and shows nothing of the conversation.
#[derive(Clone)]
pub struct Bound {
    /// Which job.
    pub job: JobId,
    /// What to ask the provider.
    pub spec: Arc<JobSpec>,
    /// The text of the user's message that the CLI was given in place of the conversation. Its own for
    /// every job, without white space at its ends.
    pub placeholder: String,
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("job", &self.job).finish_non_exhaustive()
    }
}

/// What came of a binding so far. It is up to date before the CLI sees what it tells of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many calls have gone to the provider.
    pub forwarded: u32,
    /// Whether the provider has begun to answer with an event stream.
    pub upstream_started: bool,
    /// Whether the first bytes of the stream are here.
    pub first_byte: bool,
    /// Whether the answer is whole.
    pub answered: bool,
    /// How many calls got no answer because the job expects none any more: the CLI wants to go on.
    pub held: u32,
    /// Why there will be no whole answer.
    pub failure: Option<Failure>,
    /// What the provider has billed, as far as it has told.
    pub usage: Usage,
}

/// A job's right to the relay. Dropping it takes the right away: the call under way is broken off, the
/// provider's connection with it, and so the model stops.
#[derive(Debug)]
pub struct Binding {
    gate: Arc<Gate>,
    report: watch::Receiver<Report>,
}

impl Binding {
    /// What came of it so far.
    pub fn report(&self) -> Report {
        self.report.borrow().clone()
    }

    /// The report, to be awaited; `changed` fails once the binding is gone and all its calls have ended.
    pub fn watch(&self) -> watch::Receiver<Report> {
        self.report.clone()
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        self.gate.end();
    }
}

/// Decides which calls go up. One for each binding.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) bound: Bound,
    phase: Mutex<Phase>,
    report: watch::Sender<Report>,
    ended: CancellationToken,
}

#[derive(Clone, Debug)]
enum Phase {
    /// No call has come yet.
    Expecting,
    /// The job's call is under way.
    Forwarding,
    /// The answer was whole; the job expects nothing more.
    Answered,
    /// The call failed; the CLI may ask again and is told the same.
    Failed(StatusCode, Failure),
}

/// What becomes of a call that carries the placeholder.
#[derive(Debug)]
pub(super) enum Admission {
    /// It goes to the provider.
    Forward(Call),
    /// It gets no answer until the job is gone, so that the CLI does not speak again.
    Hold,
    /// It is answered as the one before.
    Repeat(StatusCode, Failure),
}

impl Gate {
    pub(super) fn bind(bound: Bound) -> (Arc<Self>, Binding) {
        let (sender, report) = watch::channel(Report::default());
        let phase = Mutex::new(Phase::Expecting);
        let gate = Arc::new(Self { bound, phase, report: sender, ended: CancellationToken::new() });
        (Arc::clone(&gate), Binding { gate, report })
    }

    /// Takes the job's right away.
    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Gives no answer as long as the job is there.
    pub(super) async fn hold(&self) {
        self.report.send_modify(|report| report.held += 1);
        self.ended().await;
    }

    /// Waits for the binding to be gone.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    pub(super) fn is_answered(&self) -> bool {
        matches!(*self.phase(), Phase::Answered)
    }

    pub(super) fn admit(self: &Arc<Self>) -> Admission {
        let mut phase = self.phase();
        match &*phase {
            // The job may have gone while the call's body was read.
            _ if self.has_ended() => Admission::Hold,
            Phase::Expecting => {
                *phase = Phase::Forwarding;
                self.report.send_modify(|report| report.forwarded += 1);
                Admission::Forward(Call { gate: Arc::clone(self), open: true })
            }
            Phase::Forwarding | Phase::Answered => Admission::Hold,
            Phase::Failed(status, failure) => Admission::Repeat(*status, failure.clone()),
        }
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The call that goes to the provider. Someone owns it until it is answered or has failed; dropped before
/// that, it has failed because the CLI did not wait for it.
#[derive(Debug)]
pub(super) struct Call {
    gate: Arc<Gate>,
    open: bool,
}

impl Call {
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Is cancelled when the binding is gone.
    pub(super) fn ended(&self) -> CancellationToken {
        self.gate.ended.clone()
    }

    pub(super) fn started(&self) {
        self.gate.report.send_modify(|report| report.upstream_started = true);
    }

    pub(super) fn first_byte(&self) {
        self.gate.report.send_modify(|report| report.first_byte = true);
    }

    pub(super) fn metered(&self, usage: Usage) {
        self.gate.report.send_modify(|report| report.usage = usage);
    }

    pub(super) fn answered(&mut self) {
        self.close(Phase::Answered);
        self.gate.report.send_modify(|report| report.answered = true);
    }

    /// `status` is what the CLI gets, should it ask again.
    pub(super) fn failed(&mut self, status: StatusCode, failure: Failure) {
        self.close(Phase::Failed(status, failure.clone()));
        self.gate.report.send_modify(|report| report.failure = Some(failure));
    }

    fn close(&mut self, phase: Phase) {
        self.open = false;
        *self.gate.phase() = phase;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.open && !self.gate.has_ended() {
            let failure = Failure::new(FailureKind::CliFailed, "The Claude CLI did not wait for its answer.");
            self.failed(StatusCode::BAD_GATEWAY, failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::job;
    use super::*;

    #[test]
    fn a_call_that_comes_after_its_job_is_not_forwarded() {
        let (gate, binding) = Gate::bind(job());
        drop(binding);
        assert!(matches!(gate.admit(), Admission::Hold));
    }
}
