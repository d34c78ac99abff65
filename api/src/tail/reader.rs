//! One reader of one job: every event exactly once and in order, whether it comes from memory or from
//! the store.

use std::ops::Deref;
use std::sync::Arc;

use drover_shared::dialect::Delivery;
use drover_shared::schema::{JobId, Seq, SeqEvent, limits};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep};
use tracing::Span;

use super::registry::{Events, Joined, Seat};
use super::{Tail, leave};
use crate::metrics;

/// A few events in order, some of them perhaps shared with other readers.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    events: Events,
    from: usize,
}

impl Deref for Batch {
    type Target = [SeqEvent];

    fn deref(&self) -> &[SeqEvent] {
        &self.events[self.from..]
    }
}

/// Reads a job. Dropping it is leaving.
pub(crate) struct Reader {
    tail: Arc<Tail>,
    job: JobId,
    hub: u64,
    events: Receiver<Events>,
    /// Events up to this one are not wanted again.
    last: Seq,
    /// The last event that was really seen, which is not what a client says it has.
    seen: Seq,
    /// Whether `seen` is still a guess from what the client says.
    guessed: bool,
    /// Whether it has to read the store, since memory does not have what comes after `seen`.
    behind: bool,
    /// Whether the job is known to have ended, so that what the store has is all.
    ended: bool,
    finish: Option<Finish>,
    /// How an answer is wanted, and since when, of which nothing has come yet.
    awaited: Option<(Delivery, Instant)>,
    /// The request that it reads for.
    span: Span,
}

/// How a reader came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    /// With the job's terminal event.
    Whole,
    /// Without one: the reader had asked for what comes after it, or the job was deleted meanwhile.
    Nothing,
}

impl Reader {
    pub(super) fn new(tail: Arc<Tail>, job: JobId, seat: Seat) -> Self {
        let Seat { hub, events } = seat;
        Self {
            tail,
            job,
            hub,
            events,
            last: 0,
            seen: 0,
            guessed: false,
            behind: false,
            ended: false,
            finish: None,
            awaited: None,
            span: Span::current(),
        }
    }

    pub(super) fn behind(tail: Arc<Tail>, job: JobId, seat: Seat, after: Seq, ended: bool) -> Self {
        let mut reader = Self::new(tail, job, seat);
        reader.last = after;
        // One earlier than wanted, so that the read shows whether there is such an event.
        reader.seen = after.saturating_sub(1);
        reader.guessed = reader.seen > 0;
        reader.behind = true;
        reader.ended = ended;
        reader
    }

    /// The next events; never an empty batch. `None` after the last. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<Batch> {
        while self.finish.is_none() {
            let events = if self.behind { self.read().await } else { self.receive().await };
            if let Some(batch) = events.and_then(|events| self.accept(events)) {
                return Some(batch);
            }
        }
        None
    }

    /// Which job it reads.
    pub(crate) fn job(&self) -> JobId {
        self.job
    }

    /// Whether the job's terminal event has been seen.
    pub(crate) fn saw_the_end(&self) -> bool {
        self.finish == Some(Finish::Whole)
    }

    /// It reads for a request that came at `since`: how long the first piece of the answer takes is measured.
    pub(crate) fn answers(&mut self, delivery: Delivery, since: Instant) {
        self.awaited = Some((delivery, since));
    }

    /// The job, which was about to be enqueued, is there.
    pub(crate) fn enqueued(&self) {
        self.tail.registry.enqueued(self.job, self.hub);
    }

    /// The job was not enqueued, or nobody waits for it; there is nothing to call off.
    pub(crate) fn disown(&self) {
        self.tail.registry.disown(self.job, self.hub);
    }

    /// From the hub.
    async fn receive(&mut self) -> Option<Events> {
        match self.events.recv().await {
            Ok(events) => {
                // Sequence numbers have no gaps, so one in memory means that a batch was missed.
                self.behind = events.first().is_some_and(|first| first.seq > self.seen + 1);
                (!self.behind).then_some(events)
            }
            Err(RecvError::Lagged(_) | RecvError::Closed) => {
                self.behind = true;
                None
            }
        }
    }

    /// From the store; when that has nothing more, back to the hub.
    async fn read(&mut self) -> Option<Events> {
        match self.tail.store.events(self.job, self.seen, limits::EVENTS_PER_READ).await {
            Ok(events) if !events.is_empty() => return Some(events.into()),
            Ok(_) if self.guessed => (self.seen, self.guessed) = (0, false),
            Ok(_) if self.ended => self.finish = Some(Finish::Nothing),
            Ok(_) => match self.tail.registry.go_live(self.job, self.hub, self.seen) {
                Joined::Live => self.behind = false,
                Joined::Behind => self.look_for_the_end().await,
            },
            Err(error) => {
                tracing::warn!(parent: &self.span, job = %self.job, %error, "events could not be read; trying again");
                sleep(limits::STORE_RETRY).await;
            }
        }
        None
    }

    /// Looks whether the job has ended or gone, so that what the store has is all.
    async fn look_for_the_end(&mut self) {
        match self.tail.store.job(self.job).await {
            Ok(row) => self.ended = row.is_none_or(|job| job.state.is_terminal()),
            Err(error) => {
                tracing::warn!(parent: &self.span, job = %self.job, %error, "a job could not be read; trying again");
                sleep(limits::STORE_RETRY).await;
            }
        }
    }

    /// The part of `events` that is new to this reader.
    fn accept(&mut self, events: Events) -> Option<Batch> {
        let last = events.last()?;
        if last.event.terminal_state().is_some() {
            self.finish = Some(if last.seq > self.last { Finish::Whole } else { Finish::Nothing });
        }
        let from = events.partition_point(|event| event.seq <= self.last);
        self.guessed = false;
        self.seen = self.seen.max(last.seq);
        self.last = self.last.max(last.seq);
        let batch = (from < events.len()).then_some(Batch { events, from })?;
        metrics::handed_out(batch.len());
        if let Some((delivery, since)) =
            self.awaited.take_if(|_| batch.iter().any(|event| event.event.speaks()))
        {
            metrics::first_content(delivery, since.elapsed());
        }
        Some(batch)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some(sake) = self.tail.registry.leave(self.job, self.hub) else { return };
        // Answers of jobs that outlive this api are kept for whoever asks the next one.
        if self.finish.is_none() && !self.tail.shutdown.is_cancelled() {
            leave::go(&self.tail, self.job, sake, self.span.clone());
        }
    }
}
