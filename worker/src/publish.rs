//! Publishes events: one task per process that commits whatever has queued up while the last commit ran.
//! No timer; when commits take long the batches grow by themselves.

use std::slice;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use drover_shared::clock::now_ms;
use drover_shared::schema::{Call, Event, Failure, FailureKind, Seq, Usage, limits};
use drover_shared::store::{Append, Appended, GiveBack, Lease, Store, StoreError};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// Hands out journals; clones share the one task.
#[derive(Clone)]
pub struct Publisher {
    entries: mpsc::Sender<Entry>,
}

/// Where one attempt writes what happens in it.
pub struct Journal {
    entries: mpsc::Sender<Entry>,
    lease: Lease,
    /// Which of several answers is written here.
    choice: Option<u32>,
    /// Shared by all journals of the attempt. Held until what has got its numbers is queued, so that it is queued
    /// in their order.
    next_seq: Arc<Mutex<Seq>>,
    held: Vec<Event>,
    calls: Vec<Call>,
    lost: CancellationToken,
    spoken: CancellationToken,
    pace: Pace,
}

/// How fast an attempt goes. Clones are of the same attempt.
#[derive(Clone, Debug)]
pub struct Pace {
    start: Instant,
    first_content: Arc<OnceLock<Duration>>,
}

impl Pace {
    /// How long it took until there was something of an answer.
    pub fn first_content(&self) -> Option<Duration> {
        self.first_content.get().copied()
    }

    /// How long it has gone on.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

struct Entry {
    append: Append,
    waiter: Waiter,
}

/// Who wants to know what became of an entry.
struct Waiter {
    lost: CancellationToken,
    spoken: CancellationToken,
    stored: Option<oneshot::Sender<()>>,
}

impl Waiter {
    fn tell(self, append: &Append, outcome: Appended) {
        if outcome == Appended::Fenced {
            self.lost.cancel();
        } else if !self.spoken.is_cancelled() && append.events.iter().any(Event::speaks) {
            self.spoken.cancel();
        }
        if let Some(stored) = self.stored {
            // The attempt may have been dropped meanwhile; its events are stored all the same.
            let _gone = stored.send(());
        }
    }
}

impl Publisher {
    /// Starts the task; it ends when the last publisher and journal are gone.
    pub fn start(store: Arc<dyn Store>) -> (Self, JoinHandle<()>) {
        let (entries, queue) = mpsc::channel(limits::APPEND_BACKLOG);
        (Self { entries }, tokio::spawn(run(store, queue)))
    }

    /// A journal for the attempt that holds `lease`, going on after `last_seq`.
    pub fn journal(&self, lease: Lease, last_seq: Seq) -> Journal {
        Journal {
            entries: self.entries.clone(),
            lease,
            choice: None,
            next_seq: Arc::new(Mutex::new(last_seq + 1)),
            held: Vec::new(),
            calls: Vec::new(),
            lost: CancellationToken::new(),
            spoken: CancellationToken::new(),
            pace: Pace { start: Instant::now(), first_content: Arc::default() },
        }
    }
}

impl Journal {
    /// Another journal of the same attempt, for one of the answers that its job wants.
    #[must_use]
    pub fn of_choice(&self, choice: u32) -> Self {
        Self {
            entries: self.entries.clone(),
            lease: self.lease.clone(),
            choice: Some(choice),
            next_seq: Arc::clone(&self.next_seq),
            held: Vec::new(),
            calls: Vec::new(),
            lost: self.lost.clone(),
            spoken: self.spoken.clone(),
            pace: self.pace.clone(),
        }
    }

    /// Cancelled once the store has said that somebody else holds the job.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Cancelled once the store knows that the job has spoken, and so must not be run again.
    pub fn spoken(&self) -> &CancellationToken {
        &self.spoken
    }

    /// Whether anything of an answer was written in the attempt.
    pub fn has_spoken(&self) -> bool {
        self.pace.first_content.get().is_some()
    }

    /// How fast the attempt has gone so far.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Keeps events back to go with the next ones, or with [`flush`](Self::flush): a commit of its own would
    /// compete with the start of the job.
    pub fn hold(&mut self, events: impl IntoIterator<Item = Event>) {
        self.held.extend(events);
    }

    /// Keeps calls to providers, which are over, to go into the ledger with the next events.
    pub fn bill(&mut self, calls: Vec<Call>) {
        calls.iter().for_each(crate::metrics::called);
        self.calls.extend(calls);
    }

    /// Queues what was kept back.
    pub async fn flush(&mut self) {
        if !self.held.is_empty() || !self.calls.is_empty() {
            self.push(Vec::new(), None, None).await;
        }
    }

    /// Queues events for the next commit. Waits only while the backlog is full, so that a slow store
    /// slows the reading of the CLI.
    pub async fn write(&mut self, events: Vec<Event>) {
        self.push(events, None, None).await;
    }

    /// Leaves the job to whoever holds it now. Only what was spent on it is still written.
    pub async fn abandon(mut self) {
        self.held.clear();
        if !self.calls.is_empty() {
            let (stored, done) = oneshot::channel();
            self.push(Vec::new(), None, Some(stored)).await;
            let _stored = done.await;
        }
    }

    /// Writes the last events, or gives the job back to the queue, and waits until that is stored or
    /// fenced out.
    pub async fn close(mut self, events: Vec<Event>, give_back: Option<GiveBack>) {
        let (stored, done) = oneshot::channel();
        self.push(events, give_back, Some(stored)).await;
        // An error means that the publisher is gone, which happens only after every journal is.
        let _stored = done.await;
    }

    async fn push(
        &mut self,
        events: Vec<Event>,
        give_back: Option<GiveBack>,
        stored: Option<oneshot::Sender<()>>,
    ) {
        if !self.has_spoken() && events.iter().any(Event::speaks) {
            self.pace.first_content.get_or_init(|| self.pace.elapsed());
        }
        // Nothing is taken out, and no number given, before there is room: whoever waits may be dropped.
        let next_seq = Arc::clone(&self.next_seq);
        let mut next_seq = next_seq.lock().await;
        let Ok(room) = self.entries.clone().reserve_owned().await else {
            warn!(job = %self.lease.job, "events came after the publisher had ended");
            return;
        };
        let held = std::mem::take(&mut self.held);
        let mut events: Vec<Event> =
            if held.is_empty() { events } else { held.into_iter().chain(events).collect() };
        if self.choice.is_some() {
            events = events.into_iter().map(|event| event.of(self.choice)).collect();
        }
        let first_seq = *next_seq;
        *next_seq += events.len() as Seq;
        let calls = std::mem::take(&mut self.calls);
        let append = Append { lease: self.lease.clone(), first_seq, events, give_back, calls };
        let waiter = Waiter { lost: self.lost.clone(), spoken: self.spoken.clone(), stored };
        room.send(Entry { append, waiter });
    }
}

async fn run(store: Arc<dyn Store>, mut queue: mpsc::Receiver<Entry>) {
    let mut waiting = Vec::new();
    while queue.recv_many(&mut waiting, limits::APPEND_BACKLOG).await > 0 {
        let (batch, waiters): (Vec<Append>, Vec<Waiter>) =
            join(waiting.drain(..)).into_iter().map(|entry| (entry.append, entry.waiter)).unzip();
        let outcomes = commit(store.as_ref(), &batch).await;
        for ((waiter, append), outcome) in waiters.into_iter().zip(&batch).zip(outcomes) {
            crate::metrics::appended(append, outcome);
            waiter.tell(append, outcome);
        }
    }
}

/// One entry per lease: what an attempt said since the last commit becomes one chunk.
fn join(waiting: impl Iterator<Item = Entry>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for entry in waiting {
        let same = entries.iter_mut().find(|earlier| earlier.append.lease.token == entry.append.lease.token);
        match same {
            Some(earlier) => {
                earlier.append.events.extend(entry.append.events);
                earlier.append.calls.extend(entry.append.calls);
                earlier.append.give_back = entry.append.give_back;
                earlier.waiter = entry.waiter;
            }
            None => entries.push(entry),
        }
    }
    entries
}

/// Commits a batch. If the store finds fault with something in it, each entry goes alone, so that one bad
/// row costs no other job its answer.
async fn commit(store: &dyn Store, batch: &[Append]) -> Vec<Appended> {
    if let Ok(outcomes) = persist(store, batch).await {
        return outcomes;
    }
    let mut outcomes = Vec::with_capacity(batch.len());
    for append in batch {
        outcomes.push(commit_alone(store, append).await);
    }
    outcomes
}

/// A job whose events cannot be stored ends here, since its worker lives and nobody else would end it.
async fn commit_alone(store: &dyn Store, append: &Append) -> Appended {
    match persist(store, slice::from_ref(append)).await {
        Ok(outcomes) => outcomes.first().copied().unwrap_or(Appended::Fenced),
        Err(row) => {
            error!(job = %append.lease.job, row, "events could not be stored; their job fails");
            if persist(store, &[last_word(append)]).await.is_err() {
                error!(job = %append.lease.job, "nor could its failure; the job stays until this worker has left");
            }
            Appended::Fenced
        }
    }
}

/// What takes the place of events that cannot be stored.
fn last_word(append: &Append) -> Append {
    let failure = Failure::new(FailureKind::Internal, "what the job said could not be stored");
    let events = vec![Event::Failed { failure, usage: Usage::default() }];
    Append { events, give_back: None, ..append.clone() }
}

/// Stores, as often as it takes: the events of running jobs are nowhere else. The store fences what
/// became stale while it was out of reach. The error names a row that cannot be written.
async fn persist(store: &dyn Store, batch: &[Append]) -> Result<Vec<Appended>, String> {
    let mut told = false;
    loop {
        match store.append(batch, now_ms()).await {
            Ok(outcomes) => return Ok(outcomes),
            Err(StoreError::Corrupt(row)) => return Err(row),
            Err(error @ StoreError::Unavailable(_)) => {
                if !std::mem::replace(&mut told, true) {
                    warn!(%error, jobs = batch.len(), "events wait for the store");
                }
                tokio::time::sleep(limits::STORE_RETRY).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
