//! The job that is bound to a relay: what it still expects, and what came of it.

use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drover_shared::provider::tool::ToolCall;
use drover_shared::schema::{Call as Row, Class, Failure, JobId, JobSpec, Owner, Usage, limits};
use hyper::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::account::{Account, Allowance};
use super::call::Call;
use super::tab::Tab;

/// What the CLI is told when the job has used up what it may: both builds end their turn with it, and ask
/// no second time.
const USED_UP: StatusCode = StatusCode::FORBIDDEN;

/// A job to be let through. Its `Debug` form names the job and shows nothing of the conversation.
#[derive(Clone)]
pub struct Bound {
    /// Which job.
    pub job: JobId,
    /// Which of its attempts; counts from 1.
    pub attempt: u32,
    /// Whose it is.
    pub owner: Owner,
    /// What to ask the provider.
    pub spec: Arc<JobSpec>,
    /// The text of the user's message that the CLI was given in place of the conversation. Its own for
    /// every job, without white space at its ends. An agent's calls carry none.
    pub placeholder: String,
    /// What the worker lets any job use up.
    pub allowance: Allowance,
    /// How many calls to providers were made in the attempt, by which they are numbered.
    pub calls: Arc<AtomicU32>,
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("job", &self.job).finish_non_exhaustive()
    }
}

/// Who answers a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The provider's identifier.
    pub provider: String,
    /// What it calls the model.
    pub model: String,
    /// How many providers were asked, this one included; the same one may have been asked several times.
    pub attempts: u32,
    /// Those that were asked before and failed, each with the failure's code, in order.
    pub passed_over: Vec<(String, &'static str)>,
}

/// What came of a binding so far. It is up to date before the CLI sees what it tells of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many calls have gone to the provider.
    pub forwarded: u32,
    /// Who has begun to answer the latest call that is answered.
    pub routed: Option<Routed>,
    /// Whether the first bytes of the stream are here.
    pub first_byte: bool,
    /// Whether the answer is whole. Nobody but the CLI knows that of an agent's.
    pub answered: bool,
    /// How many calls got no answer because the job expects none any more: the CLI wants to go on.
    pub held: u32,
    /// Why there will be no whole answer.
    pub failure: Option<Failure>,
    /// Why the agent's latest call that is over has failed. The agent may get over it, so this explains an
    /// end that the CLI calls an error, and nothing else.
    pub trouble: Option<Failure>,
    /// What the provider has billed for all calls, as far as it has told.
    pub usage: Usage,
    /// The call of an agent's tool that waits until the store knows that the job has spoken.
    pub tool: Option<ToolCall>,
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

    /// The calls to providers that are over and were not told of before.
    pub fn calls(&self) -> Vec<Row> {
        self.gate.course().tab.take()
    }

    /// The same where the job is over: what is under way counts as broken off.
    pub fn settle(&self) -> Vec<Row> {
        self.gate.course().tab.settle()
    }

    /// The report, to be awaited; `changed` fails once the binding is gone and all its calls have ended.
    pub fn watch(&self) -> watch::Receiver<Report> {
        self.report.clone()
    }

    /// The store knows now that the job has spoken, so that it will not be run again: its agent's tools may run.
    pub fn let_tools_run(&self) {
        self.gate.tools_run.cancel();
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
    pub(super) report: watch::Sender<Report>,
    pub(super) ended: CancellationToken,
    tools_run: CancellationToken,
    course: Mutex<Course>,
    room: Arc<Semaphore>,
    /// The attempt that it was bound for: what is logged of its calls belongs there.
    pub(super) span: Span,
}

/// How far the job has come.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) phase: Phase,
    pub(super) account: Account,
    pub(super) tab: Tab,
}

#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// A call may come: the first of a chat job, or any of an agent's.
    Expecting,
    /// The chat job's call is under way.
    Forwarding,
    /// The answer was whole; the chat job expects nothing more.
    Answered,
    /// The job has failed; the CLI may ask again and is told the same.
    Failed(StatusCode, Failure),
}

/// What becomes of a call of the job's.
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
        let account = Account::open(&bound.spec, bound.allowance);
        let gate = Arc::new(Self {
            bound,
            report: sender,
            ended: CancellationToken::new(),
            tools_run: CancellationToken::new(),
            course: Mutex::new(Course { phase: Phase::Expecting, account, tab: Tab::default() }),
            room: Arc::new(Semaphore::new(limits::RELAY_CALLS)),
            span: Span::current(),
        });
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
        matches!(self.course().phase, Phase::Answered)
    }

    pub(super) fn is_agent(&self) -> bool {
        self.bound.spec.class() == Class::Agent
    }

    /// Whether an agent's tools have to wait.
    pub(super) fn holds_tools(&self) -> bool {
        self.is_agent() && !self.tools_run.is_cancelled()
    }

    /// Reports a tool that waits, until it may run.
    pub(super) async fn hold_tool(&self, call: ToolCall) {
        self.report.send_modify(|report| report.tool = Some(call));
        self.tools_run.cancelled().await;
    }

    /// What becomes of a call, once the calls beside it leave room.
    pub(super) async fn admit(self: &Arc<Self>) -> Admission {
        let room = Arc::clone(&self.room).acquire_owned();
        match self.ended.run_until_cancelled(room).await {
            Some(Ok(place)) => self.decide(place),
            // The job has gone while the call waited.
            Some(Err(_)) | None => Admission::Hold,
        }
    }

    fn decide(self: &Arc<Self>, place: OwnedSemaphorePermit) -> Admission {
        let mut course = self.course();
        match &course.phase {
            // The job may have gone while the call's body was read.
            _ if self.has_ended() => Admission::Hold,
            Phase::Forwarding | Phase::Answered => Admission::Hold,
            Phase::Failed(status, failure) => Admission::Repeat(*status, failure.clone()),
            Phase::Expecting => match course.account.call() {
                Ok(()) => {
                    if !self.is_agent() {
                        course.phase = Phase::Forwarding;
                    }
                    self.report.send_modify(|report| report.forwarded += 1);
                    Admission::Forward(Call::new(Arc::clone(self), place))
                }
                Err(failure) => {
                    course.phase = Phase::Failed(USED_UP, failure.clone());
                    self.report.send_modify(|report| report.failure = Some(failure.clone()));
                    Admission::Repeat(USED_UP, failure)
                }
            },
        }
    }

    pub(super) fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::job;
    use super::*;

    #[tokio::test]
    async fn a_call_that_comes_after_its_job_is_not_forwarded() {
        let (gate, binding) = Gate::bind(job());
        drop(binding);
        assert!(matches!(gate.admit().await, Admission::Hold));
    }
}
