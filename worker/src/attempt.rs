//! One attempt of a job, as a pure state machine: (state, input) → actions. The shell in `work` does what
//! they say; no I/O and no clock in here.

use drover_shared::schema::{CancelReason, Class, Event, Failure, FailureKind, StopReason, limits};

/// Milliseconds since any one moment, by a clock that is never set.
type Millis = i64;

/// How long an attempt may take; all in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From start to end.
    pub wall_ms: i64,
    /// Without a sign of life, while no tool of the agent's is at work.
    pub stall_ms: i64,
    /// From start to the CLI's first line.
    pub ready_ms: i64,
}

/// What can happen to an attempt.
#[derive(Debug)]
pub enum Input {
    /// The CLI said something, however little it means.
    Line(Vec<Event>),
    /// The CLI ended its turn; `error` is its own account of what went wrong.
    TurnEnded {
        /// In the CLI's words.
        error: Option<String>,
        /// Why its last whole message stopped, if there was one.
        stop: Option<StopReason>,
    },
    /// The CLI printed a line longer than the limit.
    LineTooLong,
    /// The CLI is gone; `account` says how, for the client.
    Exited {
        /// Such as "it exited with code 1".
        account: String,
    },
    /// No CLI could be started; `account` says why.
    LaunchFailed {
        /// For the client.
        account: String,
    },
    /// The relay could not get an answer from the provider, or the CLI hung up on it
    /// ([`FailureKind::CliFailed`]).
    ProviderFailed(Failure),
    /// The model has called a tool of the agent's, which is not run before the job is known to have spoken.
    ToolCalled {
        /// Which call.
        id: String,
        /// Of which tool.
        name: String,
        /// What it does, for people.
        title: Option<String>,
    },
    /// What the job ran took more than a slot may; `account` says of what.
    Breached {
        /// Such as "it used more than 2048 MB of memory".
        account: String,
    },
    /// Time has passed.
    Tick,
    /// The job was called off.
    CalledOff(CancelReason),
    /// Somebody else holds the job now.
    LeaseLost,
    /// The worker has to stop at once.
    Stop,
}

/// What the shell is to do.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Publish these.
    Publish(Vec<Event>),
    /// The attempt is over; kill what still runs and do this.
    End(End),
}

/// How an attempt ends.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// The answer is whole.
    Completed {
        /// Why the model stopped.
        stop: StopReason,
        /// The stop sequence that was met.
        stop_sequence: Option<String>,
    },
    /// The job failed.
    Failed(Failure),
    /// The job was called off.
    Cancelled(CancelReason),
    /// The job goes back into the queue, to be taken up after so many milliseconds.
    Requeue {
        /// The pause.
        delay_ms: u64,
    },
    /// The job goes back into the queue as it came: the worker stops.
    Returned,
    /// The job is somebody else's: write nothing.
    Abandoned,
}

impl End {
    /// Whether the job ends with it.
    pub fn is_last(&self) -> bool {
        match self {
            Self::Completed { .. } | Self::Failed(_) | Self::Cancelled(_) => true,
            Self::Requeue { .. } | Self::Returned | Self::Abandoned => false,
        }
    }

    /// For logs, in `snake_case`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Completed { .. } => "completed",
            Self::Failed(failure) => failure.kind.code(),
            Self::Cancelled(_) => "cancelled",
            Self::Requeue { .. } => "requeued",
            Self::Returned => "returned",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The state of an attempt.
#[derive(Debug)]
pub struct Attempt {
    class: Class,
    limits: Limits,
    may_retry: bool,
    started_ms: Millis,
    /// When its job's time began to run.
    job_started_ms: Millis,
    last_life_ms: Millis,
    heard: bool,
    spoken: bool,
    /// Tools that the agent's latest message called and that are still at work, silently.
    at_work: usize,
    /// The call that was told of before the CLI did.
    told: Option<String>,
    provider_failure: Option<(Failure, Millis)>,
}

/// How long the CLI may take to hand over what it had read before the provider failed.
const FAREWELL_MS: i64 = 2_000;

impl Attempt {
    /// An attempt that begins at `now`. `attempt` counts from 1.
    pub fn new(class: Class, limits: Limits, attempt: u32, max_attempts: u32, now: Millis) -> Self {
        Self {
            class,
            limits,
            may_retry: attempt < max_attempts,
            started_ms: now,
            job_started_ms: now,
            last_life_ms: now,
            heard: false,
            spoken: false,
            at_work: 0,
            told: None,
            provider_failure: None,
        }
    }

    /// The same where the job's time has run since `started_ms` already: it wants several answers, and this is not the
    /// first of them.
    #[must_use]
    pub fn of_a_job_since(self, started_ms: Millis) -> Self {
        Self { job_started_ms: started_ms, ..self }
    }

    /// Whether the model has said anything.
    pub const fn has_spoken(&self) -> bool {
        self.spoken
    }

    /// What to do about `input` at `now`. Nothing may be put in any more once an [`Action::End`] came out.
    pub fn step(&mut self, input: Input, now: Millis) -> Vec<Action> {
        match input {
            Input::Line(events) => self.line(events, now),
            Input::TurnEnded { error, stop } => vec![Action::End(self.turn_ended(error, stop))],
            Input::LineTooLong => vec![fail(
                FailureKind::OutputTooLarge,
                format!("the Claude CLI printed a line of more than {} bytes", limits::CLI_LINE_BYTES),
            )],
            Input::Exited { account } => vec![Action::End(self.broken(FailureKind::CliFailed, &account))],
            Input::LaunchFailed { account } => {
                vec![Action::End(self.broken(FailureKind::CliUnavailable, &account))]
            }
            Input::ProviderFailed(failure) => {
                self.provider_failure.get_or_insert((failure, now));
                Vec::new()
            }
            Input::ToolCalled { id, name, title } => self.tool_called(id, name, title).into_iter().collect(),
            Input::Breached { account } => {
                vec![fail(FailureKind::ResourceLimit, format!("the job was stopped: {account}"))]
            }
            Input::Tick => self.tick(now).map(Action::End).into_iter().collect(),
            Input::CalledOff(reason) => vec![Action::End(End::Cancelled(reason))],
            Input::LeaseLost => vec![Action::End(End::Abandoned)],
            Input::Stop => vec![Action::End(self.stopped())],
        }
    }

    fn line(&mut self, mut events: Vec<Event>, now: Millis) -> Vec<Action> {
        self.heard = true;
        self.last_life_ms = now;
        self.spoken |= events.iter().any(Event::speaks);
        for event in &events {
            self.at_work = match event {
                Event::ToolStarted { .. } if self.class == Class::Agent => self.at_work + 1,
                Event::ToolFinished { .. } => self.at_work.saturating_sub(1),
                // The model has been asked again, so it waits for none.
                Event::MessageStarted { .. } => 0,
                _ => self.at_work,
            };
        }
        let end = events.iter().find_map(|event| match event {
            Event::MessageStopped { stop, stop_sequence } => {
                Some(self.answered(*stop, stop_sequence.clone()))
            }
            _ => None,
        });
        if let Some(told) = &self.told {
            events.retain(|event| !matches!(event, Event::ToolStarted { id, .. } if id == told));
        }
        let publish = (!events.is_empty()).then_some(Action::Publish(events));
        publish.into_iter().chain(end.map(Action::End)).collect()
    }

    /// Speaks for a turn that begins with a tool, so that the tool can run. The CLI tells of it too, once it does.
    fn tool_called(&mut self, id: String, name: String, title: Option<String>) -> Option<Action> {
        if std::mem::replace(&mut self.spoken, true) {
            return None;
        }
        self.told = Some(id.clone());
        Some(Action::Publish(vec![Event::ToolStarted { id, name, title }]))
    }

    /// A model may say nothing because a limit, a stop sequence or a classifier cut it off, but not by
    /// itself.
    fn answered(&self, stop: StopReason, stop_sequence: Option<String>) -> End {
        if stop == StopReason::EndTurn && !self.spoken {
            let message = "the model finished without an answer";
            return End::Failed(Failure::new(FailureKind::EmptyAnswer, message));
        }
        End::Completed { stop, stop_sequence }
    }

    /// What outranks the CLI's account. A CLI that hung up on its answer has failed by itself: its own
    /// account says more, and the job may be tried again.
    fn providers_failure(&mut self) -> Option<Failure> {
        let failure = self.provider_failure.take().map(|(failure, _)| failure);
        failure.filter(|failure| failure.kind != FailureKind::CliFailed)
    }

    /// A chat job is over with its message, before the turn; an agent's when the turn is.
    fn turn_ended(&mut self, error: Option<String>, stop: Option<StopReason>) -> End {
        if let Some(failure) = self.providers_failure() {
            return End::Failed(failure);
        }
        match (error, stop) {
            (Some(error), _) => {
                self.broken(FailureKind::CliFailed, &format!("it ended its turn with an error: {error}"))
            }
            (None, Some(stop)) if self.class == Class::Agent => self.answered(stop, None),
            (None, _) if self.spoken => End::Failed(Failure::new(
                FailureKind::StreamInterrupted,
                "the Claude CLI ended its turn before the answer was whole",
            )),
            (None, _) => End::Failed(Failure::new(FailureKind::EmptyAnswer, "the Claude CLI gave no answer")),
        }
    }

    fn tick(&mut self, now: Millis) -> Option<End> {
        if self.provider_failure.as_ref().is_some_and(|(_, since)| now - since >= FAREWELL_MS) {
            return Some(self.broken(FailureKind::CliFailed, "it did not wait for its answer"));
        }
        if now - self.job_started_ms >= self.limits.wall_ms {
            let message = format!("the job ran for more than {} s", self.limits.wall_ms / 1_000);
            return Some(End::Failed(Failure::new(FailureKind::JobTimeout, message)));
        }
        if !self.heard && now - self.started_ms >= self.limits.ready_ms {
            let account = format!("it said nothing for {} s after its start", self.limits.ready_ms / 1_000);
            return Some(self.broken(FailureKind::CliFailed, &account));
        }
        if self.at_work == 0 && now - self.last_life_ms >= self.limits.stall_ms {
            let message = format!("the model said nothing for {} s", self.limits.stall_ms / 1_000);
            return Some(End::Failed(Failure::new(FailureKind::JobStalled, message)));
        }
        None
    }

    /// The CLI let us down: once more, unless the job has spoken or has no attempts left.
    fn broken(&mut self, kind: FailureKind, account: &str) -> End {
        if let Some(failure) = self.providers_failure() {
            return End::Failed(failure);
        }
        if self.may_retry && !self.spoken {
            return End::Requeue { delay_ms: millis(limits::RETRY_DELAY) };
        }
        End::Failed(Failure::new(kind, format!("the Claude CLI failed: {account}")))
    }

    fn stopped(&self) -> End {
        if !self.spoken {
            return End::Returned;
        }
        End::Failed(Failure::new(FailureKind::WorkerLost, "the worker was stopped while the job ran"))
    }
}

fn fail(kind: FailureKind, message: String) -> Action {
    Action::End(End::Failed(Failure::new(kind, message)))
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
