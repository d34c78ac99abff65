//! What the cases stand on: a database, handles on it, jobs and workers.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use crate::schema::{
    Block, Event, Job, JobId, JobSpec, JobState, LeaseToken, NewJob, Offer, Owner, Part, Role, Sampling,
    SeqEvent, StopReason, Turn, Usage, WorkerId, WorkerReport,
};
use crate::store::{Append, Appended, Claim, Enqueued, GiveBack, Millis, Store};

/// A database of its own for one case.
#[async_trait]
pub(in crate::store) trait Bench: Sync {
    /// A handle on it, as another process would have.
    async fn handle(&self) -> Arc<dyn Store>;
    /// Does to the queue what no caller of the store can.
    async fn tamper(&self, how: Tamper);
}

/// What may befall a queue.
pub(in crate::store) enum Tamper {
    /// A task whose payload is nonsense.
    AddUnreadableTask,
    /// One more task for a job, which need not exist.
    AddTask(JobId),
    /// The job's tasks are gone.
    LoseTasks(JobId),
}

/// When the cases play.
pub(in crate::store) const NOW: Millis = 1_760_000_000_500;

/// A job as a client would ask for it.
pub(in crate::store) fn new_job() -> NewJob {
    let text = "Say \"grüezi\".".to_owned();
    let spec = JobSpec {
        model: "sonnet".to_owned(),
        system: "Be brief.".to_owned(),
        turns: vec![Turn { role: Role::User, parts: vec![Part::Text { text }] }],
        sampling: Sampling { temperature: Some(0.1), ..Sampling::default() },
        ..JobSpec::default()
    };
    NewJob::plain(JobId::from_uuid(Uuid::now_v7()), Owner::anonymous(), spec, NOW, NOW + 3_600_000)
}

/// A worker with a handle of its own.
pub(in crate::store) struct Hand {
    pub(in crate::store) store: Arc<dyn Store>,
    pub(in crate::store) id: WorkerId,
    /// Whether it can run agents.
    pub(in crate::store) agents: bool,
}

impl Hand {
    /// One that has beaten at [`NOW`], and offers a model of its name.
    pub(in crate::store) async fn hire(bench: &dyn Bench, name: &str) -> Self {
        let hand = Self { store: bench.handle().await, id: WorkerId(name.to_owned()), agents: true };
        hand.beat(NOW).await;
        hand.store.offer(&hand.id, &hand.offer()).await.expect("an offer");
        hand
    }

    /// The same, but its walls are too weak for agents.
    pub(in crate::store) async fn hire_for_chats(bench: &dyn Bench, name: &str) -> Self {
        let hand = Self { agents: false, ..Self::hire(bench, name).await };
        hand.beat(NOW).await;
        hand
    }

    pub(super) fn offer(&self) -> Offer {
        Offer { default_model: Some(format!("{}-model", self.id)), ..Offer::default() }
    }

    pub(super) fn report(&self) -> WorkerReport {
        WorkerReport { agents: self.agents, ..WorkerReport::begun(self.id.clone(), NOW) }
    }

    pub(in crate::store) async fn beat(&self, now: Millis) {
        self.store.beat(&self.report(), now).await.expect("a beat");
    }

    pub(in crate::store) async fn claim(&self, now: Millis) -> Option<Claim> {
        self.store.claim(&self.id, LeaseToken(Uuid::new_v4()), now).await.expect("a claim")
    }

    /// Claims the one job that must be there.
    pub(in crate::store) async fn take(&self, now: Millis) -> Claim {
        self.claim(now).await.expect("a job")
    }

    pub(super) async fn append(&self, append: Append) -> Appended {
        self.store.append(&[append], NOW).await.expect("an append")[0]
    }

    /// The sweep, with everybody dead who has not beaten at `now` or later.
    pub(in crate::store) async fn rescue(&self, now: Millis) -> u64 {
        self.store.rescue(now, now).await.expect("a rescue")
    }
}

/// Events under the claim's lease, after the last ones stored.
pub(super) fn say(claim: &Claim, first_seq: u64, events: &[Event]) -> Append {
    Append {
        lease: claim.lease.clone(),
        first_seq,
        events: events.to_vec(),
        give_back: None,
        calls: Vec::new(),
    }
}

/// Gives the claim's job back.
pub(super) fn give_back(claim: &Claim, after_ms: u64) -> Append {
    Append { give_back: Some(GiveBack::Failed { after_ms }), ..say(claim, claim.last_seq + 1, &[]) }
}

pub(super) fn started(attempt: u32) -> Event {
    Event::AttemptStarted { attempt }
}

/// What makes a job one that has spoken.
pub(super) fn text(text: &str) -> Event {
    Event::TextDelta { index: 0, text: text.to_owned() }
}

/// The opening of a text block.
pub(super) fn opening() -> Event {
    Event::BlockStarted { index: 0, block: Block::Text }
}

pub(super) fn completed() -> Event {
    completed_with(Usage { input_tokens: 3, output_tokens: 5, ..Usage::default() })
}

pub(super) fn completed_with(usage: Usage) -> Event {
    Event::Completed { stop: StopReason::EndTurn, stop_sequence: None, usage }
}

/// Enqueues a job.
pub(super) async fn enqueue(store: &Arc<dyn Store>) -> JobId {
    enqueue_this(store, new_job()).await
}

pub(in crate::store) async fn enqueue_this(store: &Arc<dyn Store>, job: NewJob) -> JobId {
    assert_eq!(store.enqueue(&job, 10_000).await.expect("a store"), Enqueued::Added);
    job.id
}

pub(super) async fn job(store: &Arc<dyn Store>, id: JobId) -> Job {
    store.job(id).await.expect("a store").expect("a job")
}

pub(super) async fn events(store: &Arc<dyn Store>, id: JobId) -> Vec<SeqEvent> {
    store.events(id, 0, 1_000_000).await.expect("a store")
}

/// The job has ended in `state`, with one terminal event, the last, numbered without a gap.
pub(super) async fn assert_ended(store: &Arc<dyn Store>, id: JobId, state: JobState) -> Event {
    assert_eq!(job(store, id).await.state, state);
    let mut events = events(store, id).await;
    assert!((1..).zip(&events).all(|(seq, event)| event.seq == seq), "{events:?}");
    let last = events.pop().expect("a last event").event;
    assert_eq!(last.terminal_state(), Some(state));
    assert!(events.iter().all(|event| event.event.terminal_state().is_none()), "{events:?}");
    last
}
