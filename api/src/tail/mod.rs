//! How new events reach the readers in this process. One task, woken by rings, reads each job that has
//! readers once and hands its events to all of them; a reader that cannot keep up reads from the store
//! by itself. A ring may be lost: the sweep looks at every job with a reader sooner or later.

mod leave;
mod reader;
mod registry;

use std::sync::Arc;
use std::time::Duration;

use drover_shared::schema::{JobId, Seq, SeqEvent, limits};
use drover_shared::store::{News, Ring, RingRole, Store, StoreError};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::clock::Clock;
use registry::{Errand, Registry, Sake};

pub(crate) use reader::{Batch, Reader};

/// How long the api waits, on its way out, for jobs that are being called off.
const SETTLE: Duration = Duration::from_secs(2);

/// All readers of this process, and the task that feeds them.
pub(crate) struct Tail {
    store: Arc<dyn Store>,
    clock: Clock,
    /// How long a job with a key goes on without a client.
    return_grace: Duration,
    registry: Registry,
    shutdown: CancellationToken,
    leavings: TaskTracker,
}

impl Tail {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Clock,
        return_grace: Duration,
        shutdown: CancellationToken,
    ) -> Self {
        let (registry, leavings) = (Registry::default(), TaskTracker::new());
        Self { store, clock, return_grace, registry, shutdown, leavings }
    }

    /// A reader of a job that is about to be enqueued for this reader's sake: when it and all who joined
    /// it have left before the end, the job is called off; one with a key only if its client does not come back.
    pub(crate) fn open_new(self: &Arc<Self>, job: JobId, has_key: bool) -> Reader {
        let sake = if has_key { Sake::Clients { noted: 1 } } else { Sake::Readers };
        Reader::new(Arc::clone(self), job, self.registry.join_new(job, sake))
    }

    /// A reader from the beginning for a client that has come again under the job's key, which the store has noted.
    pub(crate) fn open_again(self: &Arc<Self>, job: JobId) -> Reader {
        Reader::behind(Arc::clone(self), job, self.registry.join_again(job), 0, false)
    }

    /// A reader of a job's events after `after`. `ended` says that the job is known to have ended.
    pub(crate) fn open(self: &Arc<Self>, job: JobId, after: Seq, ended: bool) -> Reader {
        Reader::behind(Arc::clone(self), job, self.registry.join(job), after, ended)
    }

    /// Feeds the readers until `stop`.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled_owned(self.feed()).await;
    }

    /// Waits a little for jobs that are being called off.
    pub(crate) async fn settle(&self) {
        self.leavings.close();
        if tokio::time::timeout(SETTLE, self.leavings.wait()).await.is_err() {
            tracing::warn!(jobs = self.leavings.len(), "jobs whose clients had left could not be called off");
        }
    }

    /// Jobs that are being called off now.
    #[cfg(test)]
    pub(crate) fn leavings(&self) -> usize {
        self.leavings.len()
    }

    /// Readers now.
    pub(crate) fn readers(&self) -> usize {
        self.registry.readers()
    }

    /// Hands out what the store has after `after`, and forgets what lies between: a batch that a reader
    /// has missed.
    #[cfg(test)]
    pub(crate) async fn skip_to(&self, job: JobId, after: Seq) {
        self.registry.ring(job);
        let errand = self.registry.take().expect("a reader");
        let fetched = self.store.events(job, after, limits::EVENTS_PER_READ).await;
        self.deliver(errand, fetched);
    }

    /// After which event the job would be read next.
    #[cfg(test)]
    pub(crate) fn next_read(&self) -> Option<Seq> {
        self.registry.take().map(|errand| errand.after)
    }

    async fn feed(self: Arc<Self>) {
        let mut rings = self.listen().await;
        let mut sweep = tokio::time::interval(limits::SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut reads, mut looks) = (FuturesUnordered::new(), FuturesUnordered::new());
        loop {
            tokio::select! {
                ring = rings.recv() => match ring {
                    Some(Ring::Events(job)) => self.registry.ring(job),
                    Some(Ring::Task | Ring::CalledOff(_)) => {}
                    None => rings = self.listen().await,
                },
                () = self.registry.woken() => {}
                Some((errand, events)) = reads.next() => self.deliver(errand, events),
                Some(news) = looks.next() => self.learn(news),
                _ = sweep.tick(), if looks.is_empty() => {
                    let due = self.registry.sweep();
                    if !due.is_empty() {
                        looks.push(self.look(due));
                    }
                }
            }
            while reads.len() < limits::TAIL_READS
                && let Some(errand) = self.registry.take()
            {
                reads.push(self.fetch(errand));
            }
        }
    }

    /// One question for many jobs: of most of them there is nothing to read.
    async fn look(&self, due: Vec<(JobId, Seq)>) -> Result<Vec<News>, StoreError> {
        self.store.news(&due).await
    }

    fn learn(&self, news: Result<Vec<News>, StoreError>) {
        match news {
            Ok(news) => news.into_iter().for_each(|news| match news {
                News::Events(job) => self.registry.ring(job),
                News::Over(job) => self.registry.close(job),
            }),
            Err(error) => tracing::warn!(%error, "jobs could not be looked at; the next sweep tries again"),
        }
    }

    async fn fetch(&self, errand: Errand) -> (Errand, Result<Vec<SeqEvent>, StoreError>) {
        let events = self.store.events(errand.job, errand.after, limits::EVENTS_PER_READ).await;
        (errand, events)
    }

    fn deliver(&self, errand: Errand, events: Result<Vec<SeqEvent>, StoreError>) {
        match events {
            Ok(events) => self.registry.deliver(errand, events),
            Err(error) => {
                tracing::warn!(job = %errand.job, %error, "events could not be read; the sweep tries again");
                self.registry.put_back(errand);
            }
        }
    }

    /// Keeps trying: without rings the sweep alone would feed the readers, but only after this returns.
    async fn listen(&self) -> mpsc::Receiver<Ring> {
        let name = format!("api-{}", Uuid::new_v4().simple());
        loop {
            match self.store.listen(RingRole::Api, &name).await {
                Ok(rings) => return rings,
                Err(error) => tracing::warn!(%error, "rings cannot be heard; trying again"),
            }
            tokio::time::sleep(limits::STORE_RETRY).await;
        }
    }
}
