//! One attempt of a job, from claim to last event. The decisions are `attempt`'s; this is the shell that
//! listens to everything at once and does what they say.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use drover_shared::cli::{Decoder, Line, TurnEnd};
use drover_shared::schema::{Class, Event, Failure, FailureKind, Usage, limits};
use drover_shared::store::Claim;
use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{Instrument, error, info, info_span};

use crate::attempt::{Action, Attempt, End, Input};
use crate::publish::Journal;
use crate::relay::Report;
use crate::running::Place;
use crate::slot::LineError;
use crate::stage::Stage;
use crate::workshop::Workshop;

/// How often an attempt looks at the clock.
const TICK: Duration = Duration::from_millis(250);

/// Runs the attempt that `claim` stands for and sees to it that the job does not stay behind, whatever
/// happens in here.
pub async fn run(shop: Arc<Workshop>, claim: Claim) {
    let span = info_span!("attempt", job = %claim.lease.job, attempt = claim.lease.attempt);
    perform(shop, claim).instrument(span).await;
}

async fn perform(shop: Arc<Workshop>, claim: Claim) {
    let mut journal = shop.publisher.journal(claim.lease.clone(), claim.last_seq);
    let place = shop.running.enter(claim.lease.token, journal.lost().clone());
    journal.write(vec![Event::AttemptStarted { attempt: claim.lease.attempt }]).await;
    let mut stage = None;
    let played = play(&shop, &claim, &mut journal, place, &mut stage);
    let end = AssertUnwindSafe(played).catch_unwind().await.unwrap_or_else(|_| {
        error!("the attempt panicked");
        End::Failed(Failure::new(FailureKind::Internal, "the worker failed while it ran the job"))
    });
    let usage = stage.as_ref().map(|stage| stage.binding.report().usage).unwrap_or_default();
    info!(end = end.name(), output_tokens = usage.output_tokens, "the attempt is over");
    // The process goes while the last events are being stored: neither waits for the other.
    let strike = async {
        if let Some(stage) = stage {
            stage.strike().await;
        }
    };
    tokio::join!(close(journal, end, usage), strike);
}

async fn close(journal: Journal, end: End, usage: Usage) {
    let event = match end {
        End::Completed { stop, stop_sequence } => Event::Completed { stop, stop_sequence, usage },
        End::Failed(failure) => Event::Failed { failure, usage },
        End::Cancelled(reason) => Event::Cancelled { reason, usage },
        End::Requeue { delay_ms } => return journal.close(Vec::new(), Some(delay_ms)).await,
        End::Abandoned => return,
    };
    journal.close(vec![event], None).await;
}

/// Sets the stage and follows the play to its end.
async fn play(
    shop: &Workshop,
    claim: &Claim,
    journal: &mut Journal,
    mut place: Place,
    stage: &mut Option<Stage>,
) -> End {
    if let Some(failure) = refusal(shop, claim) {
        return End::Failed(failure);
    }
    let mut attempt = Attempt::new(shop.limits, claim.lease.attempt, claim.max_attempts, elapsed_ms());
    let first = tokio::select! {
        set = Stage::set(shop, claim) => match set {
            Ok(set) => {
                *stage = Some(set);
                None
            }
            Err(error) => Some(Input::LaunchFailed { account: error.to_string() }),
        },
        reason = place.called_off() => Some(Input::CalledOff(reason)),
        () = shop.stop.cancelled() => Some(Input::Stop),
    };
    if let Some(input) = first
        && let Some(end) = act(&mut attempt, input, journal).await
    {
        return end;
    }
    let Some(stage) = stage.as_mut() else { unreachable!("every other way in ends the attempt") };
    follow(shop, stage, attempt, journal, &mut place).await
}

/// Why a job is not run here at all: its model would act on the machine.
fn refusal(shop: &Workshop, claim: &Claim) -> Option<Failure> {
    if claim.spec.class() != Class::Agent {
        return None;
    }
    Some(match &shop.walls.agents {
        Err(reason) => Failure::new(FailureKind::SandboxUnavailable, reason),
        Ok(()) => Failure::new(FailureKind::CliUnavailable, "this worker runs no agents"),
    })
}

/// Listens to everything that may happen until something ends the attempt.
async fn follow(
    shop: &Workshop,
    stage: &mut Stage,
    mut attempt: Attempt,
    journal: &mut Journal,
    place: &mut Place,
) -> End {
    let mut decoder = Decoder::new();
    let mut reports = stage.binding.watch();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let lost = journal.lost().clone();
    let mut provider_failed = false;
    loop {
        // In this order, so that the provider's failure is known before the CLI's account of it, and no
        // flood of lines keeps the rest from being heard.
        let input = tokio::select! {
            biased;
            () = lost.cancelled() => Input::LeaseLost,
            reason = place.called_off() => Input::CalledOff(reason),
            () = shop.stop.cancelled() => Input::Stop,
            _ = ticks.tick() => Input::Tick,
            failure = failed(&mut reports), if !provider_failed => {
                provider_failed = true;
                Input::ProviderFailed(failure)
            }
            line = stage.slot.lines.next() => match line {
                Ok(Some(line)) => heard(decoder.line(&line)),
                Ok(None) => Input::Exited { account: farewell(stage).await },
                Err(LineError::LineTooLong(_)) => Input::LineTooLong,
                Err(LineError::Read(error)) => Input::Exited { account: format!("its output broke off: {error}") },
            },
        };
        if let Some(end) = act(&mut attempt, input, journal).await {
            return end;
        }
    }
}

async fn act(attempt: &mut Attempt, input: Input, journal: &mut Journal) -> Option<End> {
    for action in attempt.step(input, elapsed_ms()) {
        match action {
            Action::Publish(events) => journal.write(events).await,
            Action::End(end) => return Some(end),
        }
    }
    None
}

/// Milliseconds since some moment. An attempt only measures, so setting the machine's clock must not end it.
fn elapsed_ms() -> i64 {
    static SOME_MOMENT: LazyLock<Instant> = LazyLock::new(Instant::now);
    i64::try_from(SOME_MOMENT.elapsed().as_millis()).unwrap_or(i64::MAX)
}

fn heard(line: Line) -> Input {
    match line {
        Line::Events(events) => Input::Line(events),
        Line::Control { .. } | Line::Quiet => Input::Line(Vec::new()),
        Line::TurnEnded(TurnEnd { is_error, message, subtype, .. }) => {
            Input::TurnEnded { error: is_error.then(|| message.unwrap_or(subtype)) }
        }
    }
}

/// The failure that the relay reports.
async fn failed(reports: &mut watch::Receiver<Report>) -> Failure {
    match reports.wait_for(|report| report.failure.is_some()).await.map(|report| report.failure.clone()) {
        Ok(Some(failure)) => failure,
        _ => std::future::pending().await,
    }
}

/// How the CLI, whose output has ended, went.
async fn farewell(stage: &Stage) -> String {
    let Ok(exit) = tokio::time::timeout(limits::CLI_OUTPUT_GRACE, stage.slot.exited()).await else {
        return "it closed its output and went on".to_owned();
    };
    let account = match (exit.code, exit.signal) {
        (Some(code), _) => format!("it exited with code {code}"),
        (None, Some(signal)) => format!("it was killed by signal {signal}"),
        (None, None) => "it is gone".to_owned(),
    };
    // Standard error may quote what was said, so it is told to nobody but the debug log.
    tracing::debug!(stderr_bytes = stage.slot.process.stderr_tail().len(), "{account}");
    account
}
