//! Several answers to one request: as many beside each other as the worker has room for, the rest after them. They
//! are one job: one lease, one row of sequence numbers, one end and one bill. What ends one without an answer ends all.

use std::num::NonZeroU32;
use std::time::Duration;

use drover_shared::schema::{CancelReason, Failure, FailureKind, StopReason, Usage};
use drover_shared::store::Claim;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::performance::{Performance, Terms};
use crate::attempt::End;
use crate::publish::Journal;
use crate::running::{Companion, Place};
use crate::workshop::Workshop;

/// What all of a job's answers have in common.
struct Job<'a> {
    shop: &'a Workshop,
    claim: &'a Claim,
    place: &'a Place,
    terms: Terms,
    /// Cancelled once no answer is wanted any more.
    halt: CancellationToken,
}

/// An answer that is over.
struct Answered<'a> {
    choice: u32,
    end: End,
    usage: Usage,
    performance: Performance<'a>,
    room: Room,
}

/// Where an answer is made.
enum Room {
    /// In the job's own slot.
    Own,
    /// In another one that is free.
    Other { _companion: Companion },
}

pub(super) async fn perform(
    shop: &Workshop,
    claim: &Claim,
    mut journal: Journal,
    place: &Place,
    wanted: NonZeroU32,
) {
    // Before any answer's: theirs get the numbers that follow.
    journal.flush().await;
    let terms = Terms::of(shop, claim).shared_by(wanted);
    let job = Job { shop, claim, place, terms, halt: CancellationToken::new() };
    let mut choices = 0..wanted.get();
    let mut answers = FuturesUnordered::new();
    let mut leaving = FuturesUnordered::new();
    let mut usage = Usage::default();
    let mut outcome = Outcome::default();
    let mut own = Some(Room::Own);
    loop {
        while !choices.is_empty() && !job.halt.is_cancelled() {
            let other = || shop.running.companion(shop.slots).map(|it| Room::Other { _companion: it });
            let Some(room) = own.take().or_else(other) else { break };
            answers.extend(choices.next().map(|choice| job.answer(choice, room, journal.of_choice(choice))));
        }
        if answers.is_empty() {
            break;
        }
        tokio::select! {
            Some(Answered { choice, end, usage: billed, mut performance, room }) = answers.next() => {
                usage += billed;
                if let Room::Own = room {
                    own = Some(room);
                }
                outcome.add(choice, &end);
                if !matches!(end, End::Completed { .. }) {
                    job.halt.cancel();
                }
                leaving.push(async move { performance.leave(&end).await });
            }
            Some(_) = leaving.next() => {}
        }
    }
    let end = outcome.end(journal.has_spoken());
    super::note(claim, &end, &journal, &usage);
    let left = async { while leaving.next().await.is_some() {} };
    tokio::join!(super::close(journal, end, usage), left);
}

impl<'a> Job<'a> {
    /// One answer. What fails before it has said anything is tried again as often as the job may be.
    async fn answer(&self, choice: u32, room: Room, mut journal: Journal) -> Answered<'a> {
        let mut usage = Usage::default();
        let mut terms = self.terms.clone();
        loop {
            let mut performance = Performance::new(self.shop, self.claim, terms.clone());
            let end = tokio::select! {
                end = performance.play(&mut journal, self.place) => end,
                () = self.halt.cancelled() => End::Cancelled(CancelReason::ClientGone),
            };
            journal.bill(performance.settle());
            journal.flush().await;
            usage += performance.usage();
            let End::Requeue { delay_ms } = end else {
                return Answered { choice, end, usage, performance, room };
            };
            performance.leave(&end).await;
            let pause = tokio::time::sleep(Duration::from_millis(delay_ms));
            self.halt.run_until_cancelled(pause).await;
            terms.attempt += 1;
        }
    }
}

/// What becomes of the job, going by the answers that are over.
#[derive(Default)]
struct Outcome {
    first: Option<(StopReason, Option<String>)>,
    /// How the first one ended that is not whole.
    broken: Option<End>,
}

impl Outcome {
    fn add(&mut self, choice: u32, end: &End) {
        match end {
            End::Completed { stop, stop_sequence } if choice == 0 => {
                self.first = Some((*stop, stop_sequence.clone()));
            }
            End::Completed { .. } => {}
            broken => drop(self.broken.get_or_insert_with(|| broken.clone())),
        }
    }

    /// A job of which one answer has spoken is not run again.
    fn end(self, spoken: bool) -> End {
        match (self.broken, self.first) {
            (Some(End::Returned), _) if spoken => {
                End::Failed(Failure::new(FailureKind::WorkerLost, "the worker was stopped while the job ran"))
            }
            (Some(broken), _) => broken,
            (None, Some((stop, stop_sequence))) => End::Completed { stop, stop_sequence },
            (None, None) => End::Failed(Failure::new(FailureKind::Internal, "an answer got lost")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: End = End::Completed { stop: StopReason::EndTurn, stop_sequence: None };

    fn outcome(ends: &[(u32, End)], spoken: bool) -> String {
        let mut outcome = Outcome::default();
        for (choice, end) in ends {
            outcome.add(*choice, end);
        }
        outcome.end(spoken).name().to_owned()
    }

    #[test]
    fn what_ends_one_answer_ends_the_job() {
        let failed = |kind| End::Failed(Failure::new(kind, ""));
        let off = End::Cancelled(CancelReason::Requested);
        for (ends, spoken, expected) in [
            (vec![(1, WHOLE), (0, WHOLE)], true, "completed"),
            (vec![(0, WHOLE), (1, failed(FailureKind::JobStalled)), (2, off.clone())], true, "job_stalled"),
            (vec![(0, off.clone()), (1, failed(FailureKind::JobStalled))], false, "cancelled"),
            (vec![(0, End::Returned), (1, off)], false, "returned"),
            (vec![(1, End::Returned), (0, WHOLE)], true, "worker_lost"),
            (vec![(0, End::Abandoned)], true, "abandoned"),
        ] {
            assert_eq!(outcome(&ends, spoken), expected, "{ends:?}");
        }
    }

    #[test]
    fn the_first_answer_tells_why_the_model_stopped() {
        let mut outcome = Outcome::default();
        outcome.add(1, &WHOLE);
        let cut = End::Completed { stop: StopReason::MaxTokens, stop_sequence: None };
        outcome.add(0, &cut);
        assert_eq!(outcome.end(true), cut);
    }
}
