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
    /// Without a sign of life.
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
    /// The job is somebody else's: write nothing.
    Abandoned,
}

impl End {
    /// For logs, in `snake_case`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Completed { .. } => "completed",
            Self::Failed(failure) => failure.kind.code(),
            Self::Cancelled(_) => "cancelled",
            Self::Requeue { .. } => "requeued",
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
    last_life_ms: Millis,
    heard: bool,
    spoken: bool,
    /// How the message before ended: an agent's turn has many.
    stopped: Option<(StopReason, Option<String>)>,
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
            last_life_ms: now,
            heard: false,
            spoken: false,
            stopped: None,
            provider_failure: None,
        }
    }

    /// Whether the model has said anything.
    pub const fn has_spoken(&self) -> bool {
        self.spoken
    }

    /// What to do about `input` at `now`. Nothing may be put in any more once an [`Action::End`] came out.
    pub fn step(&mut self, input: Input, now: Millis) -> Vec<Action> {
        match input {
            Input::Line(events) => self.line(events, now),
            Input::TurnEnded { error } => vec![Action::End(self.turn_ended(error))],
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
            Input::Breached { account } => {
                vec![fail(FailureKind::ResourceLimit, format!("the job was stopped: {account}"))]
            }
            Input::Tick => self.tick(now).map(Action::End).into_iter().collect(),
            Input::CalledOff(reason) => vec![Action::End(End::Cancelled(reason))],
            Input::LeaseLost => vec![Action::End(End::Abandoned)],
            Input::Stop => vec![Action::End(self.stopped())],
        }
    }

    fn line(&mut self, events: Vec<Event>, now: Millis) -> Vec<Action> {
        self.heard = true;
        self.last_life_ms = now;
        self.spoken |= events.iter().any(Event::speaks);
        let stopped = events.iter().rev().find_map(|event| match event {
            Event::MessageStopped { stop, stop_sequence } => Some((*stop, stop_sequence.clone())),
            _ => None,
        });
        self.stopped = stopped.or(self.stopped.take());
        // A chat job is over with its message, an agent's when the CLI says so.
        let end = (self.class == Class::Chat).then(|| self.answered()).flatten();
        let publish = (!events.is_empty()).then_some(Action::Publish(events));
        publish.into_iter().chain(end.map(Action::End)).collect()
    }

    /// The end that the last message makes, if there was one. A model may say nothing because a limit, a
    /// stop sequence or a classifier cut it off, but not by itself.
    fn answered(&mut self) -> Option<End> {
        let (stop, stop_sequence) = self.stopped.take()?;
        if stop == StopReason::EndTurn && !self.spoken {
            let message = "the model finished without an answer";
            return Some(End::Failed(Failure::new(FailureKind::EmptyAnswer, message)));
        }
        Some(End::Completed { stop, stop_sequence })
    }

    /// What outranks the CLI's account. A CLI that hung up on its answer has failed by itself: its own
    /// account says more, and the job may be tried again.
    fn providers_failure(&mut self) -> Option<Failure> {
        let failure = self.provider_failure.take().map(|(failure, _)| failure);
        failure.filter(|failure| failure.kind != FailureKind::CliFailed)
    }

    fn turn_ended(&mut self, error: Option<String>) -> End {
        if let Some(failure) = self.providers_failure() {
            return End::Failed(failure);
        }
        if error.is_none()
            && let Some(end) = self.answered()
        {
            return end;
        }
        match error {
            Some(error) => {
                self.broken(FailureKind::CliFailed, &format!("it ended its turn with an error: {error}"))
            }
            None if self.spoken => End::Failed(Failure::new(
                FailureKind::StreamInterrupted,
                "the Claude CLI ended its turn before the answer was whole",
            )),
            None => End::Failed(Failure::new(FailureKind::EmptyAnswer, "the Claude CLI gave no answer")),
        }
    }

    fn tick(&mut self, now: Millis) -> Option<End> {
        if self.provider_failure.as_ref().is_some_and(|(_, since)| now - since >= FAREWELL_MS) {
            return Some(self.broken(FailureKind::CliFailed, "it did not wait for its answer"));
        }
        if now - self.started_ms >= self.limits.wall_ms {
            let message = format!("the job ran for more than {} s", self.limits.wall_ms / 1_000);
            return Some(End::Failed(Failure::new(FailureKind::JobTimeout, message)));
        }
        if !self.heard && now - self.started_ms >= self.limits.ready_ms {
            let account = format!("it said nothing for {} s after its start", self.limits.ready_ms / 1_000);
            return Some(self.broken(FailureKind::CliFailed, &account));
        }
        if now - self.last_life_ms >= self.limits.stall_ms {
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
        if self.may_retry && !self.spoken {
            return End::Requeue { delay_ms: 0 };
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
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { wall_ms: 60_000, stall_ms: 10_000, ready_ms: 5_000 };

    fn attempt() -> Attempt {
        Attempt::new(Class::Chat, LIMITS, 1, 3, 0)
    }

    fn text() -> Vec<Event> {
        vec![Event::TextDelta { index: 0, text: "hi".to_owned() }]
    }

    fn stopped(stop: StopReason) -> Vec<Event> {
        vec![Event::MessageStopped { stop, stop_sequence: None }]
    }

    fn end(actions: Vec<Action>) -> End {
        match actions.into_iter().next_back() {
            Some(Action::End(end)) => end,
            other => panic!("no end: {other:?}"),
        }
    }

    fn failure(actions: Vec<Action>) -> FailureKind {
        match end(actions) {
            End::Failed(failure) => failure.kind,
            other => panic!("no failure: {other:?}"),
        }
    }

    #[test]
    fn an_answer_is_whole_when_its_message_stops() {
        let mut attempt = attempt();
        assert_eq!(attempt.step(Input::Line(text()), 1), [Action::Publish(text())]);
        let actions = attempt.step(Input::Line(stopped(StopReason::EndTurn)), 2);
        assert_eq!(end(actions), End::Completed { stop: StopReason::EndTurn, stop_sequence: None });
    }

    #[test]
    fn an_agents_job_is_over_when_its_turn_is() {
        let agent = || Attempt::new(Class::Agent, LIMITS, 1, 3, 0);
        let used = || vec![Event::ToolFinished { id: "t".to_owned(), failed: false }];
        let mut done = agent();
        for events in [text(), stopped(StopReason::ToolUse), used(), stopped(StopReason::EndTurn)] {
            assert_eq!(done.step(Input::Line(events.clone()), 1), [Action::Publish(events)]);
        }
        let ended = Input::TurnEnded { error: None };
        assert_eq!(
            end(done.step(ended, 2)),
            End::Completed { stop: StopReason::EndTurn, stop_sequence: None }
        );

        let mut bounded = agent();
        bounded.step(Input::Line(stopped(StopReason::ToolUse)), 1);
        bounded.step(Input::ProviderFailed(Failure::new(FailureKind::TurnsExceeded, "enough")), 2);
        assert_eq!(failure(bounded.step(Input::TurnEnded { error: None }, 3)), FailureKind::TurnsExceeded);

        let mut broken = agent();
        broken.step(Input::Line(used()), 1);
        let ended = || Input::TurnEnded { error: Some("API Error".to_owned()) };
        assert_eq!(failure(broken.step(ended(), 2)), FailureKind::CliFailed, "a tool has been used");
        assert!(matches!(end(agent().step(ended(), 2)), End::Requeue { .. }));
        let silent = agent().step(Input::TurnEnded { error: None }, 1);
        assert_eq!(failure(silent), FailureKind::EmptyAnswer);
    }

    #[test]
    fn silence_is_an_answer_only_where_something_cut_it_off() {
        assert_eq!(
            failure(attempt().step(Input::Line(stopped(StopReason::EndTurn)), 1)),
            FailureKind::EmptyAnswer
        );
        assert!(matches!(
            end(attempt().step(Input::Line(stopped(StopReason::MaxTokens)), 1)),
            End::Completed { .. }
        ));
    }

    #[test]
    fn a_broken_cli_is_tried_again_until_the_job_has_spoken() {
        let exit = || Input::Exited { account: "it exited with code 1".to_owned() };
        assert!(matches!(end(attempt().step(exit(), 1)), End::Requeue { .. }));
        let mut last = Attempt::new(Class::Chat, LIMITS, 3, 3, 0);
        assert_eq!(failure(last.step(exit(), 1)), FailureKind::CliFailed);
        let mut speaking = attempt();
        speaking.step(Input::Line(text()), 1);
        assert_eq!(failure(speaking.step(exit(), 2)), FailureKind::CliFailed);
    }

    #[test]
    fn the_providers_failure_outranks_the_clis_account_of_it() {
        let overloaded = || Failure::new(FailureKind::ProviderOverloaded, "overloaded");
        let mut told = attempt();
        assert!(told.step(Input::ProviderFailed(overloaded()), 1).is_empty());
        let actions = told.step(Input::TurnEnded { error: Some("API Error".to_owned()) }, 2);
        assert_eq!(failure(actions), FailureKind::ProviderOverloaded);
        let mut silent = attempt();
        silent.step(Input::ProviderFailed(overloaded()), 1);
        assert!(silent.step(Input::Tick, 1 + FAREWELL_MS - 1).is_empty());
        assert_eq!(failure(silent.step(Input::Tick, 1 + FAREWELL_MS)), FailureKind::ProviderOverloaded);
    }

    #[test]
    fn a_cli_that_hung_up_on_its_answer_is_tried_again() {
        let hung_up = || Failure::new(FailureKind::CliFailed, "hung up");
        let exit = Input::Exited { account: "it was killed by signal 9".to_owned() };
        let mut gone = attempt();
        gone.step(Input::ProviderFailed(hung_up()), 1);
        assert!(matches!(end(gone.step(exit, 2)), End::Requeue { .. }));
        let mut silent = attempt();
        silent.step(Input::ProviderFailed(hung_up()), 1);
        assert!(matches!(end(silent.step(Input::Tick, 1 + FAREWELL_MS)), End::Requeue { .. }));
        let mut spoken = attempt();
        spoken.step(Input::Line(text()), 1);
        spoken.step(Input::ProviderFailed(hung_up()), 2);
        assert_eq!(failure(spoken.step(Input::Tick, 2 + FAREWELL_MS)), FailureKind::CliFailed);
    }

    #[test]
    fn every_limit_has_its_own_error() {
        assert!(matches!(end(attempt().step(Input::Tick, LIMITS.ready_ms)), End::Requeue { .. }));
        let mut stalled = attempt();
        stalled.step(Input::Line(text()), 1_000);
        assert!(stalled.step(Input::Tick, 10_999).is_empty());
        assert_eq!(failure(stalled.step(Input::Tick, 11_000)), FailureKind::JobStalled);
        let mut long = attempt();
        long.step(Input::Line(text()), 59_000);
        assert_eq!(failure(long.step(Input::Tick, 60_000)), FailureKind::JobTimeout);
    }

    #[test]
    fn a_stopping_worker_gives_back_what_has_not_spoken() {
        assert_eq!(end(attempt().step(Input::Stop, 1)), End::Requeue { delay_ms: 0 });
        let mut speaking = attempt();
        speaking.step(Input::Line(text()), 1);
        assert_eq!(failure(speaking.step(Input::Stop, 2)), FailureKind::WorkerLost);
    }

    #[test]
    fn a_job_that_took_too_much_is_never_run_again() {
        let breached = || Input::Breached { account: "it used more than 64 MB of memory".to_owned() };
        let expected = "the job was stopped: it used more than 64 MB of memory";
        let failure = Failure::new(FailureKind::ResourceLimit, expected);
        assert_eq!(end(attempt().step(breached(), 1)), End::Failed(failure));
        let mut speaking = attempt();
        speaking.step(Input::Line(text()), 1);
        assert!(matches!(end(speaking.step(breached(), 2)), End::Failed(_)));
    }

    #[test]
    fn a_lost_lease_ends_without_a_word() {
        assert_eq!(end(attempt().step(Input::LeaseLost, 1)), End::Abandoned);
    }
}
