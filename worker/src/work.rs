//! One attempt of a job, from claim to last event. The decisions are `attempt`'s; this is the shell that
//! listens to everything at once and does what they say.

use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use drover_shared::cli::{Line, TurnEnd};
use drover_shared::schema::{Class, Event, Failure, FailureKind, Usage, limits};
use drover_shared::store::{Claim, GiveBack};
use futures_util::FutureExt;
use futures_util::future::OptionFuture;
use tokio::time::{MissedTickBehavior, interval_at};
use tracing::{Instrument, error, info, info_span};

use crate::attempt::{Action, Attempt, End, Input};
use crate::news::{News, Reports};
use crate::pool::{Aftermath, TakeError, Taken, Urgent};
use crate::publish::Journal;
use crate::relay::Binding;
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
    journal.hold([Event::AttemptStarted { attempt: claim.lease.attempt }]);
    let mut cast = None;
    let mut taking = Some(Box::pin(shop.pool.take(&claim)));
    let played = play(&shop, &claim, &mut journal, place, &mut taking, &mut cast);
    let played = AssertUnwindSafe(played).catch_unwind().await;
    let end = played.unwrap_or_else(|_| {
        error!("the attempt panicked");
        // What has panicked cannot be gone on with.
        taking = None;
        End::Failed(Failure::new(FailureKind::Internal, "the worker failed while it ran the job"))
    });
    if let Some(cast) = &cast {
        journal.bill(cast.binding.settle());
    }
    let usage = cast.as_ref().map(|cast| cast.binding.report().usage).unwrap_or_default();
    crate::metrics::attempt_ended(claim.spec.class(), &end, journal.pace());
    info!(end = end.name(), output_tokens = usage.output_tokens, "the attempt is over");
    let leave = async {
        match cast {
            Some(Cast { stage, binding }) => {
                let after = aftermath(&end, &stage);
                shop.pool.put_back(stage, binding, &claim, after).await
            }
            None => claim.spec.agent.as_ref().map(|agent| agent.project),
        }
    };
    match claim.spec.class() {
        // The process comes to rest while the last events are being stored: neither waits for the other.
        Class::Chat => {
            drop(taking);
            tokio::join!(close(journal, end.clone(), usage), leave);
        }
        // The next job of the session must find its process, its transcript, or its project at home.
        Class::Agent => {
            let abandoned = leave.await;
            close(journal, end.clone(), usage).await;
            // Who called the job off need not wait for a process that is still being started in the project.
            if let Some(taking) = taking {
                dismiss(taking.await).await;
            }
            if let Some(project) = abandoned {
                shop.pool.give_up(project).await;
            }
        }
    }
}

/// Puts away what came for a job that is over.
async fn dismiss(taken: Result<Taken, TakeError>) {
    if let Ok(Taken::Chat(stage) | Taken::Agent(stage)) = taken {
        stage.strike().await;
    }
}

/// Who plays: a process, and the job's right to its relay.
struct Cast {
    stage: Stage,
    binding: Binding,
}

/// In what state a job that ended so leaves its process.
fn aftermath(end: &End, stage: &Stage) -> Aftermath {
    match end {
        End::Completed { .. } => Aftermath::Ending,
        // The CLI has taken the provider's refusal as what it is.
        End::Failed(Failure { kind, .. }) if stage.is_idle() && !is_doubtful(*kind) => Aftermath::Ending,
        End::Cancelled(_) if stage.has_begun() => Aftermath::Running,
        End::Failed(_) | End::Cancelled(_) | End::Requeue { .. } | End::Returned | End::Abandoned => {
            Aftermath::Doubtful
        }
    }
}

/// The CLI itself has failed, is being killed for what it took, or this worker has failed somewhere in the job.
fn is_doubtful(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::CliFailed | FailureKind::ResourceLimit | FailureKind::Internal)
}

async fn close(journal: Journal, end: End, usage: Usage) {
    let event = match end {
        End::Completed { stop, stop_sequence } => Event::Completed { stop, stop_sequence, usage },
        End::Failed(failure) => Event::Failed { failure, usage },
        End::Cancelled(reason) => Event::Cancelled { reason, usage },
        End::Requeue { delay_ms } => {
            return journal.close(Vec::new(), Some(GiveBack::Failed { after_ms: delay_ms })).await;
        }
        End::Returned => return journal.close(Vec::new(), Some(GiveBack::Stopped)).await,
        End::Abandoned => return journal.abandon().await,
    };
    journal.close(vec![event], None).await;
}

/// Waits for the cast and follows the play to its end. If that comes first, `taking` stays to be seen to.
async fn play(
    shop: &Workshop,
    claim: &Claim,
    journal: &mut Journal,
    mut place: Place,
    taking: &mut Option<Pin<Box<impl Future<Output = Result<Taken, TakeError>>>>>,
    cast: &mut Option<Cast>,
) -> End {
    let mut attempt =
        Attempt::new(claim.spec.class(), shop.limits, claim.lease.attempt, claim.max_attempts, elapsed_ms());
    let urgent = shop.pool.urgent();
    let first = tokio::select! {
        taken = OptionFuture::from(taking.as_mut()) => {
            *taking = None;
            match taken {
                Some(Ok(taken)) => {
                    *cast = Some(begin(shop, claim, taken).await);
                    None
                }
                Some(Err(TakeError::Stage(error))) => Some(Input::LaunchFailed { account: error.to_string() }),
                Some(Err(TakeError::Refused(failure))) => return End::Failed(failure),
                None => unreachable!("nobody has taken anything before"),
            }
        }
        reason = place.called_off() => Some(Input::CalledOff(reason)),
        () = shop.stop.cancelled() => Some(Input::Stop),
    };
    if let Some(input) = first
        && let Some(end) = act(&mut attempt, input, journal).await
    {
        return end;
    }
    let Some(cast) = cast.as_mut() else { unreachable!("every other way in ends the attempt") };
    follow(shop, cast, attempt, journal, &mut place, urgent).await
}

/// Hands the job to the process.
async fn begin(shop: &Workshop, claim: &Claim, taken: Taken) -> Cast {
    match taken {
        Taken::Chat(mut stage) => {
            let binding = stage.begin(claim, shop.pool.parts.allowance).await;
            Cast { stage, binding }
        }
        Taken::Agent(mut stage) => {
            let binding = stage.begin_agent(&shop.pool.parts, claim).await;
            Cast { stage, binding }
        }
    }
}

/// Listens to everything that may happen until something ends the attempt.
async fn follow(
    shop: &Workshop,
    Cast { stage, binding }: &mut Cast,
    mut attempt: Attempt,
    journal: &mut Journal,
    place: &mut Place,
    urgent: Urgent,
) -> End {
    let mut urgent = Some(urgent);
    let mut reports = Reports::new(binding.watch());
    let mut ticks = interval_at(tokio::time::Instant::now() + TICK, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (lost, spoken) = (journal.lost().clone(), journal.spoken().clone());
    let mut tools_wait = true;
    let mut breach = pin!(stage.watch.breach());
    loop {
        // In this order, so that the provider's failure is known before the CLI's account of it, and no
        // flood of lines keeps the rest from being heard.
        let input = tokio::select! {
            biased;
            () = lost.cancelled() => Input::LeaseLost,
            reason = place.called_off() => Input::CalledOff(reason),
            () = shop.stop.cancelled() => Input::Stop,
            breach = &mut breach => Input::Breached { account: breach.to_string() },
            _ = ticks.tick() => {
                journal.bill(binding.calls());
                journal.flush().await;
                Input::Tick
            }
            () = spoken.cancelled(), if tools_wait => {
                tools_wait = false;
                binding.let_tools_run();
                continue;
            }
            news = reports.next() => match news {
                News::Routed(events) => {
                    journal.hold(events);
                    continue;
                }
                News::ToolCalled(_) if attempt.has_spoken() => continue,
                News::ToolCalled(call) => Input::ToolCalled(call),
                News::Failed(failure) => Input::ProviderFailed(failure),
            },
            line = stage.hear() => match line {
                Ok(Some(line)) => heard(line),
                Ok(None) => gone(stage).await,
                Err(LineError::LineTooLong(_)) => Input::LineTooLong,
                Err(LineError::Read(error)) => Input::Exited { account: format!("its output broke off: {error}") },
            },
        };
        if let Some(failure) = trouble(&input, binding) {
            act(&mut attempt, Input::ProviderFailed(failure), journal).await;
        }
        if let Some(end) = act(&mut attempt, input, journal).await {
            return end;
        }
        if attempt.has_spoken() {
            drop(urgent.take());
        }
    }
}

/// What explains the error that an agent's turn has ended with: the failure of its last call.
fn trouble(input: &Input, binding: &Binding) -> Option<Failure> {
    match input {
        Input::TurnEnded { error: Some(_), .. } => binding.report().trouble,
        _ => None,
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
        Line::TurnBegan | Line::Control { .. } | Line::Mirror(_) | Line::Quiet => Input::Line(Vec::new()),
        Line::TurnEnded(TurnEnd { is_error, message, subtype, stop, .. }) => {
            Input::TurnEnded { error: is_error.then(|| message.unwrap_or(subtype)), stop }
        }
    }
}

/// The CLI's output has ended: because it took too much, which the kernel punishes without a word, or by
/// itself.
async fn gone(stage: &Stage) -> Input {
    let account = farewell(stage).await;
    match tokio::time::timeout(limits::CLI_OUTPUT_GRACE, stage.watch.verdict()).await {
        Ok(Some(breach)) => Input::Breached { account: breach.to_string() },
        _ => Input::Exited { account },
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
