//! Which jobs have readers in this process, and how far each has been handed out. No I/O: every method
//! takes the lock for a moment.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drover_shared::schema::{JobId, Seq, SeqEvent, limits};
use tokio::sync::{Notify, broadcast};

/// Events as they are handed out, shared by all readers.
pub(super) type Events = Arc<[SeqEvent]>;

/// Something to read from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Errand {
    pub(super) job: JobId,
    pub(super) after: Seq,
    hub: u64,
}

/// A reader's place at a hub.
pub(super) struct Seat {
    pub(super) hub: u64,
    pub(super) events: broadcast::Receiver<Events>,
}

/// What a hub says to a reader that has read all that the store had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// Everything later comes through the seat.
    Live,
    /// More was handed out meanwhile; read the store again.
    Behind,
}

/// For whose sake a job is here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sake {
    /// For nobody's here: others have asked for it, or nobody waits for it.
    #[default]
    Others,
    /// For its readers' alone.
    Readers,
    /// For that of clients who asked for it under its key, here and perhaps at other apis: the store was told so often
    /// that one is here.
    Clients { noted: u32 },
}

#[derive(Default)]
pub(super) struct Registry {
    state: Mutex<State>,
    woken: Notify,
}

#[derive(Default)]
struct State {
    hubs: BTreeMap<JobId, Hub>,
    /// Jobs to be looked at, in turn; those whose hub is marked and not being read.
    queue: VecDeque<JobId>,
    /// Hubs so far, so that a reader of a job's former hub is not taken for one of its present hub.
    hubs_made: u64,
    swept_to: Option<JobId>,
}

struct Hub {
    number: u64,
    events: broadcast::Sender<Events>,
    /// The last sequence number that was handed out. `None` until a reader has caught up: before that
    /// nothing is handed out, since all read by themselves.
    position: Option<Seq>,
    readers: usize,
    sake: Sake,
    marked: bool,
    reading: bool,
    sweep: Sweep,
}

/// What the next sweep does with a job.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sweep {
    /// Nothing: it is still being added, so that the store does not know it.
    NotYet,
    /// Nothing but to look the next time: it has just been read.
    NextTime,
    /// It looks.
    Look,
}

impl Registry {
    /// Joins a job that does not exist yet, at its beginning.
    pub(super) fn join_new(&self, job: JobId, sake: Sake) -> Seat {
        let mut state = self.lock();
        let hub = state.hub(job);
        hub.sake = sake;
        hub.sweep = Sweep::NotYet;
        hub.position.get_or_insert(0);
        hub.seat()
    }

    /// Joins a job that its client has asked for again.
    pub(super) fn join_again(&self, job: JobId) -> Seat {
        let mut state = self.lock();
        let hub = state.hub(job);
        hub.sake = match hub.sake {
            Sake::Clients { noted } => Sake::Clients { noted: noted.saturating_add(1) },
            Sake::Others | Sake::Readers => Sake::Clients { noted: 1 },
        };
        hub.seat()
    }

    /// Joins a job of which nothing is known.
    pub(super) fn join(&self, job: JobId) -> Seat {
        self.lock().hub(job).seat()
    }

    /// A reader that has everything up to `last` asks for what comes after.
    pub(super) fn go_live(&self, job: JobId, hub: u64, last: Seq) -> Joined {
        let mut state = self.lock();
        let Some(hub) = state.current(job, hub) else { return Joined::Behind };
        if let Some(position) = hub.position {
            return if position <= last { Joined::Live } else { Joined::Behind };
        }
        hub.position = Some(last);
        // Rings so far were not for this hub.
        state.mark(job);
        drop(state);
        self.woken.notify_one();
        Joined::Live
    }

    /// A reader leaves. If it was the last one: for whose sake the job was here.
    pub(super) fn leave(&self, job: JobId, hub: u64) -> Option<Sake> {
        let mut state = self.lock();
        let hub = state.current(job, hub)?;
        hub.readers -= 1;
        if hub.readers > 0 {
            return None;
        }
        let sake = hub.sake;
        state.hubs.remove(&job);
        Some(sake)
    }

    /// The job has been added.
    pub(super) fn enqueued(&self, job: JobId, hub: u64) {
        if let Some(hub) = self.lock().current(job, hub) {
            hub.sweep = Sweep::Look;
        }
    }

    /// The job is not there for its readers' sake after all.
    pub(super) fn disown(&self, job: JobId, hub: u64) {
        if let Some(hub) = self.lock().current(job, hub) {
            hub.sake = Sake::Others;
            hub.sweep = Sweep::Look;
        }
    }

    /// The job has new events.
    pub(super) fn ring(&self, job: JobId) {
        self.lock().mark(job);
    }

    /// Jobs that have not been read lately, a limited number in turn, and how far each was handed out.
    pub(super) fn sweep(&self) -> Vec<(JobId, Seq)> {
        let mut state = self.lock();
        let from = state.swept_to.take().map_or(Bound::Unbounded, Bound::Excluded);
        let due: Vec<(JobId, Option<Seq>)> = state
            .hubs
            .range_mut((from, Bound::Unbounded))
            .filter_map(|(job, hub)| hub.is_due().then_some((*job, hub.position)))
            .take(limits::JOBS_PER_SWEEP)
            .collect();
        if due.len() == limits::JOBS_PER_SWEEP {
            state.swept_to = due.last().map(|(job, _)| *job);
        }
        // Nobody has caught up with the others yet.
        due.into_iter().filter_map(|(job, position)| position.map(|position| (job, position))).collect()
    }

    /// Something to read, if there is; it is given out again only after [`Self::deliver`].
    pub(super) fn take(&self) -> Option<Errand> {
        let mut state = self.lock();
        while let Some(job) = state.queue.pop_front() {
            if let Some(hub) = state.hubs.get_mut(&job).filter(|hub| hub.marked && !hub.reading)
                && let Some(after) = hub.position
            {
                hub.marked = false;
                hub.reading = true;
                return Some(Errand { job, after, hub: hub.number });
            }
        }
        None
    }

    /// Hands out what was read. After a terminal event the hub is closed.
    pub(super) fn deliver(&self, errand: Errand, events: Vec<SeqEvent>) {
        let mut state = self.lock();
        let Some(hub) = state.current(errand.job, errand.hub) else { return };
        hub.reading = false;
        if hub.sweep == Sweep::Look {
            hub.sweep = Sweep::NextTime;
        }
        let mut again = std::mem::take(&mut hub.marked);
        if let Some(last) = events.last() {
            again |= events.len() >= limits::EVENTS_PER_READ as usize;
            let ended = last.event.terminal_state().is_some();
            hub.position = Some(last.seq);
            // Fails when nobody listens, which is fine: whoever joins reads the store.
            let _ = hub.events.send(events.into());
            if ended {
                state.hubs.remove(&errand.job);
                return;
            }
        }
        if again {
            state.mark(errand.job);
        }
    }

    /// The job has ended or gone, and the store has no more of it than was handed out: whoever still waits sees for
    /// himself.
    pub(super) fn close(&self, job: JobId) {
        self.lock().hubs.remove(&job);
    }

    /// The read has failed.
    pub(super) fn put_back(&self, errand: Errand) {
        if let Some(hub) = self.lock().current(errand.job, errand.hub) {
            hub.reading = false;
            hub.marked = false;
        }
    }

    /// Waits until a reader has made work.
    pub(super) async fn woken(&self) {
        self.woken.notified().await;
    }

    /// How many read.
    pub(super) fn readers(&self) -> usize {
        self.lock().hubs.values().map(|hub| hub.readers).sum()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn hub(&mut self, job: JobId) -> &mut Hub {
        self.hubs.entry(job).or_insert_with(|| {
            self.hubs_made += 1;
            Hub::new(self.hubs_made)
        })
    }

    fn current(&mut self, job: JobId, number: u64) -> Option<&mut Hub> {
        self.hubs.get_mut(&job).filter(|hub| hub.number == number)
    }

    fn mark(&mut self, job: JobId) {
        let Some(hub) = self.hubs.get_mut(&job).filter(|hub| hub.position.is_some() && !hub.marked) else {
            return;
        };
        hub.marked = true;
        self.queue.push_back(job);
    }
}

impl Hub {
    fn new(number: u64) -> Self {
        Self {
            number,
            events: broadcast::Sender::new(limits::READER_BACKLOG),
            position: None,
            readers: 0,
            sake: Sake::Others,
            marked: false,
            reading: false,
            sweep: Sweep::Look,
        }
    }

    /// Whether this sweep looks at it.
    fn is_due(&mut self) -> bool {
        let is_due = self.sweep == Sweep::Look;
        if self.sweep == Sweep::NextTime {
            self.sweep = Sweep::Look;
        }
        is_due
    }

    fn seat(&mut self) -> Seat {
        self.readers += 1;
        Seat { hub: self.number, events: self.events.subscribe() }
    }
}

#[cfg(test)]
mod tests {
    use drover_shared::schema::Event;
    use uuid::Uuid;

    use super::*;

    const JOB: JobId = JobId::from_uuid(Uuid::from_u128(1));

    fn events(seqs: std::ops::RangeInclusive<Seq>) -> Vec<SeqEvent> {
        seqs.map(|seq| SeqEvent { seq, attempt: 1, event: Event::AttemptStarted { attempt: 1 } }).collect()
    }

    #[test]
    fn who_has_less_than_was_handed_out_is_behind() {
        let registry = Registry::default();
        let (first, second) = (registry.join(JOB), registry.join(JOB));
        assert_eq!(registry.go_live(JOB, first.hub, 7), Joined::Live);
        assert_eq!(registry.go_live(JOB, second.hub, 6), Joined::Behind);
        assert_eq!(registry.go_live(JOB, second.hub, 7), Joined::Live);
    }

    #[test]
    fn going_live_makes_the_job_be_looked_at() {
        let registry = Registry::default();
        let seat = registry.join(JOB);
        registry.ring(JOB);
        assert_eq!(registry.take(), None, "nobody has caught up");
        registry.go_live(JOB, seat.hub, 7);
        assert_eq!(registry.take(), Some(Errand { job: JOB, after: 7, hub: seat.hub }));
    }

    #[test]
    fn the_last_reader_tells_how_often_a_client_was_noted() {
        let registry = Registry::default();
        let leave = |seat: &Seat| registry.leave(JOB, seat.hub);
        let first = registry.join_new(JOB, Sake::Clients { noted: 1 });
        let (again, other) = (registry.join_again(JOB), registry.join(JOB));
        assert_eq!((leave(&first), leave(&again)), (None, None));
        assert_eq!(leave(&other), Some(Sake::Clients { noted: 2 }));
        assert_eq!(leave(&registry.join_again(JOB)), Some(Sake::Clients { noted: 1 }));
        assert_eq!(leave(&registry.join(JOB)), Some(Sake::Others));
        assert_eq!(leave(&first), None, "its hub has gone");
    }

    #[test]
    fn a_sweep_looks_at_what_the_store_knows_and_nobody_has_read() {
        let registry = Registry::default();
        let seat = registry.join_new(JOB, Sake::Readers);
        assert_eq!(registry.sweep(), [], "it is being added");
        registry.enqueued(JOB, seat.hub);
        assert_eq!(registry.sweep(), [(JOB, 0)]);
        registry.ring(JOB);
        registry.deliver(registry.take().expect("it rang"), events(1..=3));
        assert_eq!(registry.sweep(), [], "it has just been read");
        assert_eq!(registry.sweep(), [(JOB, 3)]);
        registry.close(JOB);
        assert_eq!(registry.sweep(), []);
        assert_eq!(registry.go_live(JOB, seat.hub, 3), Joined::Behind, "who still waits reads the store");
    }

    #[test]
    fn a_job_is_read_once_at_a_time_and_again_when_it_rang_meanwhile() {
        let registry = Registry::default();
        let _seat = registry.join_new(JOB, Sake::Readers);
        registry.ring(JOB);
        let errand = registry.take().expect("it rang");
        registry.ring(JOB);
        assert_eq!(registry.take(), None, "it is being read");
        registry.deliver(errand, events(1..=3));
        assert_eq!(registry.take(), Some(Errand { after: 3, ..errand }));
        assert_eq!(registry.take(), None);
    }
}
