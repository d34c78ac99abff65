//! One answer: a process for it, and all that happens until it is whole or fails. The decisions are `attempt`'s;
//! this is the shell that listens to everything at once and does what they say.

use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use drover_shared::cli::{Line, TurnEnd};
use drover_shared::provider::TurnBack;
use drover_shared::schema::{Call, Event, Failure, FailureKind, ProjectId, Usage, limits};
use drover_shared::store::Claim;
use futures_util::FutureExt;
use futures_util::future::OptionFuture;
use tokio::time::{MissedTickBehavior, interval_at};
use tracing::error;

use super::before::Before;
use crate::attempt::{Action, Attempt, End, Input, Limits};
use crate::news::{News, Reports};
use crate::pool::{Aftermath, TakeError, Taken, Urgent};
use crate::publish::Journal;
use crate::relay::{Allowance, Binding};
use crate::running::Place;
use crate::slot::LineError;
use crate::stage::Stage;
use crate::workshop::Workshop;

/// How often a performance looks at the clock.
const TICK: Duration = Duration::from_millis(250);

/// What a performance may take.
#[derive(Clone)]
pub(super) struct Terms {
    /// Which attempt at the answer it is; counts from 1.
    pub(super) attempt: u32,
    /// Since when the job's time runs.
    since_ms: i64,
    limits: Limits,
    /// What it may use up.
    allowance: Allowance,
    /// How many calls to providers the job's attempt has made.
    calls: Arc<AtomicU32>,
}

impl Terms {
    /// All that the job may.
    pub(super) fn of(shop: &Workshop, claim: &Claim) -> Self {
        Self {
            attempt: claim.lease.attempt,
            since_ms: elapsed_ms(),
            limits: shop.limits,
            allowance: shop.pool.parts.allowance,
            calls: Arc::default(),
        }
    }

    /// The terms of each of so many answers: the job's time, and a share of its budget.
    pub(super) fn shared_by(self, answers: NonZeroU32) -> Self {
        Self { allowance: self.allowance.shared_by(answers), ..self }
    }
}

/// An answer in the making. What it has taken stays with it until it is left.
pub(super) struct Performance<'a> {
    shop: &'a Workshop,
    claim: &'a Claim,
    terms: Terms,
    taking: Option<Taking<'a>>,
    cast: Option<Cast>,
}

type Taking<'a> = Pin<Box<dyn Future<Output = Result<Taken, TakeError>> + Send + 'a>>;

/// Who plays: a process, the job's right to its relay, and how what the process says is read besides.
struct Cast {
    stage: Stage,
    binding: Binding,
    turn_back: Option<TurnBack>,
    /// The files of an agent's project as the job has found them.
    before: Option<Before>,
}

impl<'a> Performance<'a> {
    pub(super) fn new(shop: &'a Workshop, claim: &'a Claim, terms: Terms) -> Self {
        let taking: Taking = Box::pin(shop.pool.take(claim));
        Self { shop, claim, terms, taking: Some(taking), cast: None }
    }

    /// Plays to the end, which a panic is too. May be dropped; what it has taken is then to be left all the same.
    pub(super) async fn play(&mut self, journal: &mut Journal, place: &Place) -> End {
        let played = AssertUnwindSafe(self.perform(journal, place)).catch_unwind().await;
        played.unwrap_or_else(|_| {
            error!("the attempt panicked");
            // What has panicked cannot be gone on with.
            self.taking = None;
            End::Failed(Failure::new(FailureKind::Internal, "the worker failed while it ran the job"))
        })
    }

    /// The calls to providers that were not told of before; what is under way counts as broken off.
    pub(super) fn settle(&self) -> Vec<Call> {
        self.cast.as_ref().map(|cast| cast.binding.settle()).unwrap_or_default()
    }

    /// What the providers have billed.
    pub(super) fn usage(&self) -> Usage {
        self.cast.as_ref().map(|cast| cast.binding.report().usage).unwrap_or_default()
    }

    /// The files of an agent's project before the job, if it came so far.
    pub(super) fn before(&self) -> Option<Before> {
        self.cast.as_ref().and_then(|cast| cast.before.clone())
    }

    /// Lets the process come to rest, or puts it away. Answers the project that is to be given up once the job has
    /// ended. A chat job whose process is not there yet leaves it to the next.
    pub(super) async fn leave(&mut self, end: &End) -> Option<ProjectId> {
        let agent = self.claim.spec.agent.as_ref();
        if agent.is_none() {
            self.taking = None;
        }
        match self.cast.take() {
            Some(Cast { stage, binding, .. }) => {
                let after = aftermath(end, &stage);
                self.shop.pool.put_back(stage, binding, self.claim, after).await
            }
            None => agent.map(|agent| agent.project),
        }
    }

    /// Puts away what comes for a job that is over.
    pub(super) async fn dismiss(self) {
        if let Some(taking) = self.taking
            && let Ok(Taken::Chat(stage) | Taken::Agent(stage)) = taking.await
        {
            stage.strike().await;
        }
    }

    /// Waits for the cast and follows the play to its end. If that comes first, `taking` stays to be seen to.
    async fn perform(&mut self, journal: &mut Journal, place: &Place) -> End {
        let class = self.claim.spec.class();
        let Terms { attempt, since_ms, limits, .. } = self.terms;
        let attempt = Attempt::new(class, limits, attempt, self.claim.max_attempts, elapsed_ms());
        let mut attempt = attempt.of_a_job_since(since_ms);
        let urgent = self.shop.pool.urgent();
        let first = tokio::select! {
            taken = OptionFuture::from(self.taking.as_mut()) => {
                self.taking = None;
                match taken {
                    Some(Ok(taken)) => {
                        self.begin(taken).await;
                        None
                    }
                    Some(Err(TakeError::Stage(error))) => Some(Input::LaunchFailed { account: error.to_string() }),
                    Some(Err(TakeError::Refused(failure))) => return End::Failed(failure),
                    None => unreachable!("nobody has taken anything before"),
                }
            }
            reason = place.called_off() => Some(Input::CalledOff(reason)),
            () = self.shop.stop.cancelled() => Some(Input::Stop),
        };
        if let Some(input) = first
            && let Some(end) = act(&mut attempt, input, journal).await
        {
            return end;
        }
        let Some(cast) = self.cast.as_mut() else { unreachable!("every other way in ends the attempt") };
        follow(self.shop, cast, attempt, journal, place, urgent).await
    }

    /// Hands the job to the process. Who drops a chat's in the middle of that has it in the cast.
    async fn begin(&mut self, taken: Taken) {
        let turn_back = TurnBack::of(&self.claim.spec);
        match taken {
            Taken::Chat(mut stage) => {
                let Terms { allowance, calls, .. } = &self.terms;
                let (binding, placeholder) = stage.assign(self.claim, *allowance, Arc::clone(calls));
                let cast = self.cast.insert(Cast { stage, binding, turn_back, before: None });
                cast.stage.ask(&placeholder).await;
            }
            Taken::Agent(mut stage) => {
                let before = stage.workspace().map(Before::of);
                let binding = stage.begin_agent(&self.shop.pool.parts, self.claim).await;
                self.cast = Some(Cast { stage, binding, turn_back, before });
            }
        }
    }
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

/// Listens to everything that may happen until something ends the attempt.
async fn follow(
    shop: &Workshop,
    Cast { stage, binding, turn_back, before }: &mut Cast,
    mut attempt: Attempt,
    journal: &mut Journal,
    place: &Place,
    urgent: Urgent,
) -> End {
    let mut urgent = Some(urgent);
    let mut reports = Reports::new(binding.watch());
    let mut ticks = interval_at(tokio::time::Instant::now() + TICK, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (lost, spoken) = (journal.lost().clone(), journal.spoken().clone());
    let before = before.clone();
    let mut tools_may_run = pin!(async move {
        spoken.cancelled().await;
        OptionFuture::from(before.map(Before::settled)).await;
    });
    let mut tools_wait = true;
    let mut called_off = pin!(place.called_off());
    let mut breach = pin!(stage.watch.breach());
    loop {
        // In this order, so that the provider's failure is known before the CLI's account of it, and no
        // flood of lines keeps the rest from being heard.
        let input = tokio::select! {
            biased;
            () = lost.cancelled() => Input::LeaseLost,
            reason = &mut called_off => Input::CalledOff(reason),
            () = shop.stop.cancelled() => Input::Stop,
            breach = &mut breach => Input::Breached { account: breach.to_string() },
            _ = ticks.tick() => {
                journal.bill(binding.calls());
                journal.flush().await;
                Input::Tick
            }
            () = &mut tools_may_run, if tools_wait => {
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
                News::ToolCalled(call) => {
                    let title = stage.title_of(&call);
                    Input::ToolCalled { id: call.id, name: call.name, title }
                }
                News::Failed(failure) => Input::ProviderFailed(failure),
            },
            line = stage.hear() => match line {
                Ok(Some(line)) => heard(line, turn_back.as_mut()),
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

fn heard(line: Line, turn_back: Option<&mut TurnBack>) -> Input {
    match line {
        Line::Events(events) => Input::Line(match turn_back {
            Some(turn_back) => turn_back.read(events),
            None => events,
        }),
        Line::TurnBegan { failed_servers } => {
            let told = |name: &String| Event::Notice {
                code: "mcp_server_failed".to_owned(),
                message: format!("The MCP server {name} has not started."),
            };
            Input::Line(failed_servers.iter().map(told).collect())
        }
        Line::Control { .. } | Line::Mirror(_) | Line::Quiet => Input::Line(Vec::new()),
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
