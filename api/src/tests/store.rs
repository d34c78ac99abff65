//! A store in memory whose every step a test decides.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use drover_shared::schema::{
    Call, CancelReason, Event, Fleet, Job, JobId, JobState, KeptAnswer, LeaseToken, Listed, NewJob, Offer,
    Owner, Page, PastTurn, Project, ProjectChange, ProjectId, Seq, SeqEvent, Session, SessionChange,
    SessionId, SessionSums, StopReason, Usage, UsageQuery, UsageRow, WorkerId, WorkerReport,
};
use drover_shared::store::{
    ApiKeys, Append, Appended, Claim, Enqueued, Files, Forked, Held, KeptAnswers, Lease, Millis, News,
    OwnJobs, Recalled, Removed, Ring, RingRole, Store, StoreError, Tickets,
};
use tokio::sync::{mpsc, watch};

use super::state::State;
use super::{offer, within};

pub(crate) struct FakeStore {
    pub(super) state: Mutex<State>,
    /// Every operation fails.
    pub(super) broken: AtomicBool,
    /// Breaks down as soon as a job is added.
    pub(super) breaks_after_adding: AtomicBool,
    /// Enqueueing waits while this is false.
    pub(super) enqueue_gate: watch::Sender<bool>,
    /// Looking for a key's job waits while this is false.
    pub(super) recall_gate: watch::Sender<bool>,
    /// How often events were asked for.
    pub(super) reads: AtomicUsize,
    changes: watch::Sender<u64>,
}

impl Default for FakeStore {
    fn default() -> Self {
        let mut state = State::default();
        let offer = Offer { default_model: Some("opus".to_owned()), ..offer(&["org/opus", "opus"]) };
        state.fleet.offers = vec![offer];
        Self {
            state: Mutex::new(state),
            broken: AtomicBool::new(false),
            breaks_after_adding: AtomicBool::new(false),
            enqueue_gate: watch::Sender::new(true),
            recall_gate: watch::Sender::new(true),
            reads: AtomicUsize::new(0),
            changes: watch::Sender::new(0),
        }
    }
}

impl FakeStore {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics in here")
    }

    pub(super) fn break_down(&self, broken: bool) {
        self.broken.store(broken, Ordering::Relaxed);
    }

    /// Waits until `look` finds something.
    pub(super) async fn until<T>(&self, what: &str, look: impl Fn(&State) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        within(what, async {
            loop {
                if let Some(found) = look(&self.lock()) {
                    return found;
                }
                changes.changed().await.expect("the store lives");
            }
        })
        .await
    }

    /// The job that was enqueued last.
    pub(super) async fn job_enqueued(&self) -> JobId {
        self.until("a job", |state| state.jobs.keys().next_back().copied()).await
    }

    pub(super) async fn called_off(&self, job: JobId) -> CancelReason {
        self.until("calling off", |state| {
            state.cancels.iter().find(|(cancelled, _)| *cancelled == job).map(|(_, reason)| *reason)
        })
        .await
    }

    /// Stores events and rings.
    pub(super) fn say(&self, job: JobId, events: impl IntoIterator<Item = Event>) {
        let mut state = self.lock();
        let (row, log) = state.jobs.get_mut(&job).expect("a job");
        for event in events {
            row.state = event.terminal_state().unwrap_or(JobState::Running);
            log.push(SeqEvent { seq: log.len() as Seq + 1, attempt: 1, event });
        }
        if !state.deaf {
            // A ring that nobody hears is lost, as in life.
            state.rings.retain(|bell| {
                !matches!(bell.try_send(Ring::Events(job)), Err(mpsc::error::TrySendError::Closed(_)))
            });
        }
        drop(state);
        self.changed();
    }

    /// Changes something that a test may wait for.
    pub(super) fn note<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed();
        changed
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("broken by the test".to_owned()));
        }
        Ok(())
    }
}

pub(super) fn text(text: &str) -> Event {
    Event::TextDelta { index: 0, text: text.to_owned() }
}

pub(super) fn started() -> Event {
    Event::AttemptStarted { attempt: 1 }
}

pub(super) fn completed() -> Event {
    Event::Completed { stop: StopReason::EndTurn, stop_sequence: None, usage: Usage::default() }
}

#[async_trait]
impl Store for FakeStore {
    async fn enqueue(&self, job: &NewJob, max_queued: u64) -> Result<Enqueued, StoreError> {
        self.check()?;
        self.lock().enqueueing += 1;
        self.changed();
        self.enqueue_gate.subscribe().wait_for(|open| *open).await.expect("the gate stands");
        let mut state = self.lock();
        if let Some(refusal) = state.refusal {
            return Ok(refusal);
        }
        if let Some(key) = &job.key
            && let Some(known) = state.recall(key)
        {
            return Ok(match known {
                Recalled::Same(id) => Enqueued::Known(id),
                Recalled::Other => Enqueued::KeyReused,
            });
        }
        let queued = state.jobs.values().filter(|(job, _)| job.state == JobState::Queued).count();
        if queued as u64 >= max_queued {
            return Ok(Enqueued::QueueFull);
        }
        state.jobs.insert(job.id, (job.row(), Vec::new()));
        if let Some(key) = &job.key {
            state.keys.insert(key.key.clone(), (key.clone(), job.id));
            state.attended.insert(job.id, 1);
        }
        state.specs.insert(job.id, job.spec.clone());
        state.origins.extend(job.origin.clone().map(|origin| (job.id, origin)));
        if let Some(keep) = &job.keep {
            state.kept.insert(job.id, KeptAnswer { job: job.id, keep: keep.clone() });
        }
        drop(state);
        self.changed();
        self.broken.fetch_or(self.breaks_after_adding.load(Ordering::Relaxed), Ordering::Relaxed);
        Ok(Enqueued::Added)
    }

    async fn news(&self, known: &[(JobId, Seq)]) -> Result<Vec<News>, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.check()?;
        let state = self.lock();
        let of = |(id, seq): &(JobId, Seq)| match state.jobs.get(id) {
            Some((_, events)) if events.last().is_some_and(|last| last.seq > *seq) => Some(News::Events(*id)),
            Some((job, _)) if !job.state.is_terminal() => None,
            _ => Some(News::Over(*id)),
        };
        Ok(known.iter().filter_map(of).collect())
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.check()?;
        Ok(self.lock().jobs.get(&id).map(|(job, _)| job.clone()))
    }

    async fn events(&self, id: JobId, after: Seq, limit: u32) -> Result<Vec<SeqEvent>, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.check()?;
        let state = self.lock();
        let log = state.jobs.get(&id).map_or(&[][..], |(_, log)| log);
        Ok(log.iter().filter(|event| event.seq > after).take(limit as usize).cloned().collect())
    }

    async fn cancel(
        &self,
        id: JobId,
        reason: CancelReason,
        _: Millis,
    ) -> Result<Option<JobState>, StoreError> {
        self.check()?;
        let before = {
            let mut state = self.lock();
            state.cancel_calls += 1;
            let before = state.jobs.get(&id).map(|(job, _)| job.state);
            if before.is_some_and(|state| !state.is_terminal()) {
                state.cancels.push((id, reason));
            }
            before
        };
        if before == Some(JobState::Queued) {
            self.say(id, [Event::Cancelled { reason, usage: Usage::default() }]);
        }
        self.changed();
        Ok(before)
    }

    async fn claim(&self, _: &WorkerId, _: LeaseToken, _: Millis) -> Result<Option<Claim>, StoreError> {
        unreachable!("an api claims nothing")
    }

    async fn append(&self, _: &[Append], _: Millis) -> Result<Vec<Appended>, StoreError> {
        unreachable!("an api says nothing")
    }

    async fn held(&self, _: &WorkerId) -> Result<Vec<Held>, StoreError> {
        unreachable!("an api runs nothing")
    }

    async fn beat(&self, _: &WorkerReport, _: Millis) -> Result<(), StoreError> {
        unreachable!("an api is no worker")
    }

    async fn retire(&self, _: &WorkerId) -> Result<(), StoreError> {
        unreachable!("an api is no worker")
    }

    async fn rescue(&self, dead_before: Millis, now: Millis) -> Result<u64, StoreError> {
        self.check()?;
        self.lock().rescues.push((dead_before, now));
        self.changed();
        Ok(0)
    }

    async fn fleet(&self, _: Millis, _: Millis) -> Result<Fleet, StoreError> {
        self.check()?;
        Ok(self.lock().fleet.clone())
    }

    async fn prune(&self, before: Millis, _: u32) -> Result<u64, StoreError> {
        self.check()?;
        self.lock().prunes.push(before);
        self.changed();
        Ok(0)
    }

    fn jobs(&self) -> &dyn OwnJobs {
        self
    }

    fn keys(&self) -> &dyn ApiKeys {
        self
    }

    fn files(&self) -> &dyn Files {
        self
    }

    fn tickets(&self) -> &dyn Tickets {
        self
    }

    fn answers(&self) -> &dyn KeptAnswers {
        self
    }

    async fn offer(&self, _: &WorkerId, _: &Offer) -> Result<(), StoreError> {
        unreachable!("an api is no worker")
    }

    async fn calls(&self, id: JobId) -> Result<Vec<Call>, StoreError> {
        self.check()?;
        Ok(self.lock().calls.iter().filter(|call| call.job == id).cloned().collect())
    }

    async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
        self.check()?;
        let mut state = self.lock();
        state.asked.push(query.clone());
        if !query.group_by.is_empty() {
            return Ok(state.usage.iter().take(query.limit as usize + 1).cloned().collect());
        }
        let mut sum = UsageRow::default();
        for row in &state.usage {
            sum.calls += row.calls;
            sum.failed_calls += row.failed_calls;
            sum.usage += row.usage;
        }
        Ok(vec![sum])
    }

    async fn prune_calls(&self, before: Millis, _: u32) -> Result<u64, StoreError> {
        self.check()?;
        self.lock().call_prunes.push(before);
        self.changed();
        Ok(0)
    }

    async fn create_project(&self, _: &Project) -> Result<bool, StoreError> {
        unreachable!("an api asks for chats only")
    }

    async fn project(&self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        self.check()?;
        Ok(self.lock().projects.get(&id).cloned())
    }

    async fn projects(&self, _: &Owner, _: &Page<ProjectId>) -> Result<Listed<Project>, StoreError> {
        unreachable!("an api asks for chats only")
    }

    async fn change_project(
        &self,
        _: ProjectId,
        _: &ProjectChange,
        _: Millis,
    ) -> Result<Option<Project>, StoreError> {
        unreachable!("an api asks for chats only")
    }

    async fn delete_project(&self, id: ProjectId, _: Millis) -> Result<Removed, StoreError> {
        self.check()?;
        let mut state = self.lock();
        if !state.projects.contains_key(&id) {
            return Ok(Removed::Unknown);
        }
        if state.busy_projects.contains(&id) {
            return Ok(Removed::Busy);
        }
        state.projects.remove(&id);
        state.abandoned.push(id);
        Ok(Removed::Gone)
    }

    async fn unwanted(&self, _: &WorkerId) -> Result<Vec<ProjectId>, StoreError> {
        unreachable!("an api is no worker")
    }

    async fn abandoned(&self, _: u32) -> Result<Vec<ProjectId>, StoreError> {
        self.check()?;
        Ok(self.lock().abandoned.clone())
    }

    async fn forget_project(&self, id: ProjectId) -> Result<(), StoreError> {
        self.check()?;
        self.lock().abandoned.retain(|abandoned| *abandoned != id);
        self.changed();
        Ok(())
    }

    async fn create_session(&self, _: &Session) -> Result<bool, StoreError> {
        unreachable!("an api asks for chats only")
    }

    async fn session(&self, _: SessionId) -> Result<Option<Session>, StoreError> {
        unreachable!("an api asks for chats only")
    }

    async fn sessions(
        &self,
        _: &Owner,
        _: Option<ProjectId>,
        _: &Page<SessionId>,
    ) -> Result<Listed<Session>, StoreError> {
        unreachable!("an api asks for chats only")
    }

    async fn session_sums(&self, _: &Owner) -> Result<SessionSums, StoreError> {
        unreachable!("an api asks for chats only")
    }

    async fn change_session(
        &self,
        _: SessionId,
        _: &SessionChange,
        _: Millis,
    ) -> Result<Option<Session>, StoreError> {
        unreachable!("an api asks for chats only")
    }

    async fn delete_session(&self, _: SessionId) -> Result<Removed, StoreError> {
        unreachable!("an api asks for chats only")
    }

    async fn fork_session(&self, _: SessionId, _: &Session) -> Result<Forked, StoreError> {
        unreachable!("an api asks for chats only")
    }

    async fn history(&self, _: SessionId, _: &Page<u64>) -> Result<Vec<PastTurn>, StoreError> {
        unreachable!("an api asks for chats only")
    }

    async fn prune_sessions(&self, before: Millis, _: u32) -> Result<u64, StoreError> {
        self.check()?;
        self.lock().session_prunes.push(before);
        self.changed();
        Ok(0)
    }

    async fn transcript(&self, _: SessionId) -> Result<Option<Vec<String>>, StoreError> {
        unreachable!("an api asks for chats only")
    }

    async fn remember(
        &self,
        _: &Lease,
        _: SessionId,
        _: &[String],
        _: Millis,
    ) -> Result<Appended, StoreError> {
        unreachable!("an api asks for chats only")
    }

    async fn release(&self, _: &WorkerId, _: ProjectId) -> Result<bool, StoreError> {
        unreachable!("an api asks for chats only")
    }

    async fn wanted(&self, _: &WorkerId, _: Millis) -> Result<Vec<ProjectId>, StoreError> {
        unreachable!("an api asks for chats only")
    }

    async fn listen(&self, role: RingRole, _: &str) -> Result<mpsc::Receiver<Ring>, StoreError> {
        assert_eq!(role, RingRole::Api);
        let (bell, rings) = mpsc::channel(64);
        self.lock().rings.push(bell);
        Ok(rings)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.check()
    }
}
