//! Publishing into a store that refuses some of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use drover_shared::schema::{
    Call, CallOutcome, CancelReason, Fleet, Job, JobId, JobState, LeaseToken, Listed, NewJob, Offer, Owner,
    Page, PastTurn, Project, ProjectChange, ProjectId, SeqEvent, Session, SessionChange, SessionId,
    SessionSums, StopReason, UsageQuery, UsageRow, WorkerId, WorkerReport,
};
use drover_shared::store::{
    ApiKeys, Claim, Enqueued, Files, Forked, Held, KeptAnswers, Millis, News, OwnJobs, Removed, Ring,
    RingRole, Tickets,
};
use uuid::Uuid;

use super::*;

/// A text that no row of this store can hold.
const UNSTORABLE: &str = "unstorable";

/// Keeps what it is given, or refuses a batch as a whole.
#[derive(Default)]
struct Picky {
    stored: Mutex<Vec<(JobId, Vec<Event>)>>,
    /// What the ledger was given, in order.
    calls: Mutex<Vec<Call>>,
    /// Answers that the lease is lost.
    fences: AtomicBool,
}

impl Picky {
    fn of(&self, job: JobId) -> Vec<Event> {
        let stored = self.stored.lock().expect("unpoisoned");
        stored.iter().filter(|(of, _)| *of == job).flat_map(|(_, events)| events.clone()).collect()
    }

    /// The numbers of the calls that the ledger has of a job.
    fn billed(&self, job: JobId) -> Vec<u32> {
        let calls = self.calls.lock().expect("unpoisoned");
        calls.iter().filter(|call| call.job == job).map(|call| call.number).collect()
    }
}

fn text(text: &str) -> Event {
    Event::TextDelta { index: 0, text: text.to_owned() }
}

fn lease(number: u128) -> Lease {
    let uuid = Uuid::from_u128(number);
    let worker = WorkerId("worker".to_owned());
    Lease { job: JobId::from_uuid(uuid), attempt: 1, worker, token: LeaseToken(uuid) }
}

#[tokio::test]
async fn a_row_that_cannot_be_stored_ends_its_job_and_no_other() {
    let store = Arc::new(Picky::default());
    let (publisher, _publishing) = Publisher::start(Arc::<Picky>::clone(&store));
    let (good, bad) = (lease(1), lease(2));
    let mut journals = [publisher.journal(good.clone(), 0), publisher.journal(bad.clone(), 0)];
    // The publisher cannot run before the first wait, so both come in one batch.
    journals[0].write(vec![text("fine")]).await;
    journals[1].write(vec![text(UNSTORABLE)]).await;
    let [good_journal, bad_journal] = journals;
    bad_journal.lost().clone().cancelled_owned().await;
    assert!(!good_journal.lost().is_cancelled());
    good_journal.close(vec![text("the end")], None).await;
    assert_eq!(store.of(good.job), [text("fine"), text("the end")]);
    let [Event::Failed { failure, .. }] = &store.of(bad.job)[..] else { panic!("one last word") };
    assert_eq!(failure.kind, FailureKind::Internal);
}

#[tokio::test]
async fn a_job_is_known_to_have_spoken_once_that_is_stored() {
    let store = Arc::new(Picky::default());
    let (publisher, _publishing) = Publisher::start(Arc::<Picky>::clone(&store));
    let mut journals = [1, 2, 3].map(|number| publisher.journal(lease(number), 0));
    journals[0].write(vec![Event::AttemptStarted { attempt: 1 }]).await;
    journals[1].write(vec![text(UNSTORABLE)]).await;
    journals[2].write(vec![text("hello")]).await;
    let [silent, unheard, heard] = &journals;
    heard.spoken().cancelled().await;
    assert_eq!(store.of(lease(3).job), [text("hello")]);
    unheard.lost().cancelled().await;
    assert!(!silent.spoken().is_cancelled() && !unheard.spoken().is_cancelled());
}

/// The `number`th call for the lease's job.
fn call(lease: &Lease, number: u32) -> Call {
    Call {
        job: lease.job,
        attempt: lease.attempt,
        number,
        owner: Owner::anonymous(),
        session: None,
        project: None,
        model: "m".to_owned(),
        provider: "p".to_owned(),
        provider_key: "0badcafe".to_owned(),
        upstream_model: "m".to_owned(),
        started_at_ms: 1,
        first_byte_ms: None,
        took_ms: 1,
        outcome: CallOutcome::BrokenOff,
        usage: Usage::default(),
    }
}

#[tokio::test]
async fn calls_go_with_whatever_is_written_next() {
    let store = Arc::new(Picky::default());
    let (publisher, _publishing) = Publisher::start(Arc::<Picky>::clone(&store));
    let mine = lease(1);
    let mut journal = publisher.journal(mine.clone(), 0);
    journal.bill(vec![call(&mine, 1)]);
    journal.bill(vec![call(&mine, 2)]);
    // All of these come in one batch and become one entry.
    journal.write(vec![text("a")]).await;
    journal.bill(vec![call(&mine, 3)]);
    journal.flush().await;
    journal.flush().await;
    journal.bill(vec![call(&mine, 4)]);
    journal.close(vec![text("b")], None).await;
    assert_eq!(store.billed(mine.job), [1, 2, 3, 4]);
    assert_eq!(store.of(mine.job), [text("a"), text("b")]);
}

#[tokio::test]
async fn what_was_spent_is_written_however_the_attempt_ends() {
    let usage = Usage::default();
    let failure = Failure::new(FailureKind::Internal, "it panicked");
    let terminal = [
        Event::Completed { stop: StopReason::EndTurn, stop_sequence: None, usage },
        Event::Failed { failure, usage },
        Event::Cancelled { reason: CancelReason::Requested, usage },
    ];
    let ended = terminal.map(|event| (vec![event], None));
    let given_back = [GiveBack::Failed { after_ms: 1 }, GiveBack::Stopped].map(|why| (Vec::new(), Some(why)));
    for fences in [false, true] {
        for (events, give_back) in ended.iter().chain(&given_back).cloned() {
            let store = Arc::new(Picky { fences: fences.into(), ..Picky::default() });
            let (publisher, _publishing) = Publisher::start(Arc::<Picky>::clone(&store));
            let mut journal = publisher.journal(lease(1), 0);
            journal.bill(vec![call(&lease(1), 1)]);
            journal.close(events.clone(), give_back).await;
            assert_eq!(store.billed(lease(1).job), [1], "{fences} {events:?} {give_back:?}");
        }
    }
}

#[tokio::test]
async fn an_abandoned_job_is_billed_and_nothing_else_is_said_of_it() {
    let store = Arc::new(Picky { fences: true.into(), ..Picky::default() });
    let (publisher, _publishing) = Publisher::start(Arc::<Picky>::clone(&store));
    let mut journal = publisher.journal(lease(1), 0);
    journal.hold([Event::AttemptStarted { attempt: 1 }]);
    journal.bill(vec![call(&lease(1), 1), call(&lease(1), 2)]);
    journal.abandon().await;
    assert_eq!(store.billed(lease(1).job), [1, 2]);
    assert_eq!(store.of(lease(1).job), []);
    let mut idle = publisher.journal(lease(2), 0);
    idle.hold([Event::AttemptStarted { attempt: 1 }]);
    idle.abandon().await;
    assert!(store.of(lease(2).job).is_empty() && store.billed(lease(2).job).is_empty());
}

#[tokio::test]
async fn a_job_whose_events_cannot_be_stored_is_billed_all_the_same() {
    let store = Arc::new(Picky::default());
    let (publisher, _publishing) = Publisher::start(Arc::<Picky>::clone(&store));
    let mut journal = publisher.journal(lease(1), 0);
    journal.bill(vec![call(&lease(1), 1)]);
    journal.close(vec![text(UNSTORABLE)], None).await;
    assert_eq!(store.billed(lease(1).job), [1]);
    assert!(matches!(&store.of(lease(1).job)[..], [Event::Failed { .. }]));
}

#[async_trait]
impl Store for Picky {
    async fn append(&self, batch: &[Append], _: Millis) -> Result<Vec<Appended>, StoreError> {
        if batch.iter().any(|append| append.events.contains(&text(UNSTORABLE))) {
            return Err(StoreError::Corrupt("a chunk".to_owned()));
        }
        let calls = batch.iter().flat_map(|append| append.calls.clone());
        self.calls.lock().expect("unpoisoned").extend(calls);
        if self.fences.load(Ordering::Relaxed) {
            return Ok(vec![Appended::Fenced; batch.len()]);
        }
        let mut stored = self.stored.lock().expect("unpoisoned");
        stored.extend(batch.iter().map(|append| (append.lease.job, append.events.clone())));
        Ok(vec![Appended::Stored; batch.len()])
    }

    fn keys(&self) -> &dyn ApiKeys {
        unreachable!("publishing only appends")
    }

    async fn news(&self, _: &[(JobId, Seq)]) -> Result<Vec<News>, StoreError> {
        unreachable!("publishing only appends")
    }

    fn tickets(&self) -> &dyn Tickets {
        unreachable!("publishing only appends")
    }

    fn jobs(&self) -> &dyn OwnJobs {
        unreachable!("publishing only appends")
    }

    fn files(&self) -> &dyn Files {
        unreachable!("publishing only appends")
    }

    fn answers(&self) -> &dyn KeptAnswers {
        unreachable!("publishing only appends")
    }

    async fn offer(&self, _: &WorkerId, _: &Offer) -> Result<(), StoreError> {
        unreachable!("publishing only appends")
    }

    async fn calls(&self, _: JobId) -> Result<Vec<Call>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn usage(&self, _: &UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn prune_calls(&self, _: Millis, _: u32) -> Result<u64, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn enqueue(&self, _: &NewJob, _: u64) -> Result<Enqueued, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn job(&self, _: JobId) -> Result<Option<Job>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn events(&self, _: JobId, _: Seq, _: u32) -> Result<Vec<SeqEvent>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn cancel(&self, _: JobId, _: CancelReason, _: Millis) -> Result<Option<JobState>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn claim(&self, _: &WorkerId, _: LeaseToken, _: Millis) -> Result<Option<Claim>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn held(&self, _: &WorkerId) -> Result<Vec<Held>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn beat(&self, _: &WorkerReport, _: Millis) -> Result<(), StoreError> {
        unreachable!("publishing only appends")
    }

    async fn retire(&self, _: &WorkerId) -> Result<(), StoreError> {
        unreachable!("publishing only appends")
    }

    async fn rescue(&self, _: Millis, _: Millis) -> Result<u64, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn fleet(&self, _: Millis, _: Millis) -> Result<Fleet, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn prune(&self, _: Millis, _: u32) -> Result<u64, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn create_project(&self, _: &Project) -> Result<bool, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn project(&self, _: ProjectId) -> Result<Option<Project>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn create_session(&self, _: &Session) -> Result<bool, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn session(&self, _: SessionId) -> Result<Option<Session>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn projects(&self, _: &Owner, _: &Page<ProjectId>) -> Result<Listed<Project>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn change_project(
        &self,
        _: ProjectId,
        _: &ProjectChange,
        _: Millis,
    ) -> Result<Option<Project>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn sessions(
        &self,
        _: &Owner,
        _: Option<ProjectId>,
        _: &Page<SessionId>,
    ) -> Result<Listed<Session>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn session_sums(&self, _: &Owner) -> Result<SessionSums, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn change_session(
        &self,
        _: SessionId,
        _: &SessionChange,
        _: Millis,
    ) -> Result<Option<Session>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn delete_project(&self, _: ProjectId, _: Millis) -> Result<Removed, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn unwanted(&self, _: &WorkerId) -> Result<Vec<ProjectId>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn abandoned(&self, _: u32) -> Result<Vec<ProjectId>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn forget_project(&self, _: ProjectId) -> Result<(), StoreError> {
        unreachable!("publishing only appends")
    }

    async fn delete_session(&self, _: SessionId) -> Result<Removed, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn fork_session(&self, _: SessionId, _: &Session) -> Result<Forked, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn history(&self, _: SessionId, _: &Page<u64>) -> Result<Vec<PastTurn>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn prune_sessions(&self, _: Millis, _: u32) -> Result<u64, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn transcript(&self, _: SessionId) -> Result<Option<Vec<String>>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn remember(
        &self,
        _: &Lease,
        _: SessionId,
        _: &[String],
        _: Millis,
    ) -> Result<Appended, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn release(&self, _: &WorkerId, _: ProjectId) -> Result<bool, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn wanted(&self, _: &WorkerId, _: Millis) -> Result<Vec<ProjectId>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn listen(&self, _: RingRole, _: &str) -> Result<mpsc::Receiver<Ring>, StoreError> {
        unreachable!("publishing only appends")
    }

    async fn ready(&self) -> Result<(), StoreError> {
        unreachable!("publishing only appends")
    }
}
