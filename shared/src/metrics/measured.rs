//! A store that tells how long each of its verbs takes.

// Every verb names types of its own; a new one is to need no line here. In tests the lint says nothing.
#![cfg_attr(not(test), expect(clippy::wildcard_imports, reason = "the verbs name nearly all types"))]

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use metrics::{counter, histogram};
use tokio::sync::mpsc;

use super::store::{ERRORS, TIME};
use crate::schema::*;
use crate::store::*;

/// The store within, measured.
pub struct Measured(Arc<dyn Store>);

impl Measured {
    /// Measures every call to `store` that comes through here.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }
}

async fn timed<T>(
    verb: &'static str,
    call: impl Future<Output = Result<T, StoreError>> + Send,
) -> Result<T, StoreError> {
    let started = Instant::now();
    let outcome = call.await;
    histogram!(TIME.name, "verb" => verb).record(started.elapsed());
    if let Err(error) = &outcome {
        let kind = match error {
            StoreError::Unavailable(_) => "unavailable",
            StoreError::Corrupt(_) => "corrupt",
        };
        counter!(ERRORS.name, "kind" => kind).increment(1);
    }
    outcome
}

fn whole(store: &Arc<dyn Store>) -> &dyn Store {
    &**store
}

fn answers(store: &Arc<dyn Store>) -> &dyn KeptAnswers {
    store.answers()
}

fn files(store: &Arc<dyn Store>) -> &dyn Files {
    store.files()
}

fn jobs(store: &Arc<dyn Store>) -> &dyn OwnJobs {
    store.jobs()
}

fn tickets(store: &Arc<dyn Store>) -> &dyn Tickets {
    store.tickets()
}

fn keys(store: &Arc<dyn Store>) -> &dyn ApiKeys {
    store.keys()
}

/// Implements the traits of the store by the store within, and lists their verbs.
macro_rules! measured {
    ($($trait:ident $prefix:literal of $within:ident {
        $(fn $verb:ident($($name:ident: $type:ty),*) -> $told:ty;)*
    } { $($beside:tt)* })*) => {
        /// Every verb of the store.
        pub(super) const VERBS: &[&str] = &[$($(concat!($prefix, stringify!($verb)),)*)*];

        $(#[async_trait]
        impl $trait for Measured {
            $(async fn $verb(&self, $($name: $type),*) -> Result<$told, StoreError> {
                timed(concat!($prefix, stringify!($verb)), $within(&self.0).$verb($($name),*)).await
            })*

            $($beside)*
        })*
    };
}

measured! {
    Store "" of whole {
        fn enqueue(job: &NewJob, max_queued: u64) -> Enqueued;
        fn job(id: JobId) -> Option<Job>;
        fn events(id: JobId, after: Seq, limit: u32) -> Vec<SeqEvent>;
        fn news(known: &[(JobId, Seq)]) -> Vec<News>;
        fn cancel(id: JobId, reason: CancelReason, now: Millis) -> Option<JobState>;
        fn claim(worker: &WorkerId, token: LeaseToken, now: Millis) -> Option<Claim>;
        fn append(batch: &[Append], now: Millis) -> Vec<Appended>;
        fn held(worker: &WorkerId) -> Vec<Held>;
        fn beat(report: &WorkerReport, now: Millis) -> ();
        fn offer(worker: &WorkerId, offer: &Offer) -> ();
        fn retire(worker: &WorkerId) -> ();
        fn rescue(dead_before: Millis, now: Millis) -> u64;
        fn fleet(alive_since: Millis, now: Millis) -> Fleet;
        fn prune(before: Millis, limit: u32) -> u64;
        fn calls(job: JobId) -> Vec<Call>;
        fn usage(query: &UsageQuery) -> Vec<UsageRow>;
        fn prune_calls(before: Millis, limit: u32) -> u64;
        fn create_project(project: &Project) -> bool;
        fn project(id: ProjectId) -> Option<Project>;
        fn projects(owner: &Owner, page: &Page<ProjectId>) -> Listed<Project>;
        fn change_project(id: ProjectId, change: &ProjectChange, now: Millis) -> Option<Project>;
        fn delete_project(id: ProjectId, now: Millis) -> Removed;
        fn unwanted(worker: &WorkerId) -> Vec<ProjectId>;
        fn abandoned(limit: u32) -> Vec<ProjectId>;
        fn forget_project(id: ProjectId) -> ();
        fn create_session(session: &Session) -> bool;
        fn session(id: SessionId) -> Option<Session>;
        fn sessions(owner: &Owner, project: Option<ProjectId>, page: &Page<SessionId>) -> Listed<Session>;
        fn session_sums(owner: &Owner) -> SessionSums;
        fn change_session(id: SessionId, change: &SessionChange, now: Millis) -> Option<Session>;
        fn delete_session(id: SessionId) -> Removed;
        fn fork_session(from: SessionId, fork: &Session) -> Forked;
        fn history(session: SessionId, page: &Page<u64>) -> Vec<PastTurn>;
        fn prune_sessions(before: Millis, limit: u32) -> u64;
        fn transcript(session: SessionId) -> Option<Vec<String>>;
        fn remember(lease: &Lease, session: SessionId, entries: &[String], now: Millis) -> Appended;
        fn release(worker: &WorkerId, project: ProjectId) -> bool;
        fn wanted(worker: &WorkerId, now: Millis) -> Vec<ProjectId>;
        fn ready() -> ();
    } {
        fn answers(&self) -> &dyn KeptAnswers {
            self
        }

        fn files(&self) -> &dyn Files {
            self
        }

        fn jobs(&self) -> &dyn OwnJobs {
            self
        }

        fn keys(&self) -> &dyn ApiKeys {
            self
        }

        fn tickets(&self) -> &dyn Tickets {
            self
        }

        async fn listen(&self, role: RingRole, name: &str) -> Result<mpsc::Receiver<Ring>, StoreError> {
            self.0.listen(role, name).await
        }
    }
    OwnJobs "jobs_" of jobs {
        fn list(owner: &Owner, query: &JobQuery, page: &Page<JobId>) -> Listed<Job>;
        fn delete(owner: &Owner, id: JobId) -> Removed;
        fn recall(owner: &Owner, key: &RequestKey) -> Option<Recalled>;
        fn leave(id: JobId, times: u32, now: Millis) -> bool;
    } {}
    Tickets "tickets_" of tickets {
        fn add(ticket: &Ticket, most: u32, now: Millis) -> bool;
        fn redeem(digest: &KeyDigest, now: Millis) -> Option<Vec<KeyDigest>>;
        fn expire(now: Millis, limit: u32) -> u64;
    } {}
    ApiKeys "keys_" of keys {
        fn create(key: &ApiKey, digest: &KeyDigest, most: u32) -> KeyAdded;
        fn all() -> Vec<KnownKey>;
        fn revision() -> i64;
        fn find(owner: &Owner) -> Option<ApiKey>;
        fn change(owner: &Owner, change: KeyChange) -> Option<ApiKey>;
        fn revoke(owner: &Owner, now: Millis) -> Option<ApiKey>;
        fn note_use(used: &[(Owner, Millis)]) -> ();
        fn forget_spent(before: Millis, limit: u32) -> u64;
        fn denied(owner: &Owner, spec: &JobSpec, now: Millis) -> Option<Denied>;
        fn allowance(owner: &Owner, now: Millis) -> Allowance;
    } {}
    KeptAnswers "answers_" of answers {
        fn find(owner: &Owner, dialect: &str, job: JobId) -> Option<KeptAnswer>;
        fn list(query: &KeptQuery) -> Vec<KeptAnswer>;
        fn form(job: JobId) -> Option<Keep>;
        fn spec(job: JobId) -> Option<JobSpec>;
        fn label(owner: &Owner, dialect: &str, job: JobId, metadata: &Metadata) -> bool;
        fn forget(owner: &Owner, dialect: &str, job: JobId) -> bool;
        fn expire(before: Millis, limit: u32) -> u64;
    } {}
    Files "files_" of files {
        fn begin(owner: &Owner, id: FileId, now: Millis) -> ();
        fn add(id: FileId, number: u32, piece: &[u8], quota: u64) -> PieceAdded;
        fn finish(file: &StoredFile) -> bool;
        fn find(owner: &Owner, id: FileId, now: Millis) -> Option<StoredFile>;
        fn list(query: &FileQuery, now: Millis) -> Vec<StoredFile>;
        fn piece(id: FileId, number: u32) -> Option<Vec<u8>>;
        fn delete(owner: &Owner, id: FileId) -> bool;
        fn expire(stale: Millis, now: Millis, limit: u32) -> u64;
    } {}
}
