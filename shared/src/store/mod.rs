//! The store, in the domain's verbs. api and worker meet here and nowhere else.
//!
//! The `job` row is the truth, the apalis task a wake-up, a ring a hint, the sweep the safety net: each
//! of the last three may be lost or doubled without harm.

#[cfg(test)]
mod conformance;
mod doorbell;
mod fate;
mod files;
mod jobs;
mod kept;
mod keys;
mod queue;
mod sqlite;
mod tickets;
mod url;
mod worker_lock;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::schema::{
    Call, CancelReason, Denied, Event, Fleet, Job, JobId, JobSpec, JobState, LeaseToken, Listed, NewJob,
    Offer, Origin, Owner, Page, PastTurn, Project, ProjectChange, ProjectId, Seq, SeqEvent, Session,
    SessionChange, SessionId, SessionSums, UsageQuery, UsageRow, WorkerId, WorkerReport,
};

pub use self::files::{Files, PieceAdded};
pub use self::jobs::{OwnJobs, Recalled};
pub use self::kept::KeptAnswers;
pub use self::keys::{ApiKeys, KeyAdded, KnownKey};
pub use self::sqlite::SqliteStore;
pub use self::tickets::{Ticket, Tickets};
pub use self::url::database_path;
pub use self::worker_lock::WorkerLock;

/// Opens the store that the URL names, creating and migrating what is missing.
pub async fn open(database_url: &str) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(SqliteStore::open(&database_path(database_url)?).await?))
}

/// The store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another kind of database.
    #[error("databases of the kind {0:?} are not supported; give a path or sqlite:<path>")]
    Scheme(String),
    /// Not the path of a file, or with options behind it.
    #[error("{0:?} does not name a database file")]
    Path(String),
    /// A file or directory that cannot be made or locked.
    #[error("cannot use {0:?}: {1}")]
    File(PathBuf, #[source] std::io::Error),
    /// The file is no usable database.
    #[error("cannot open the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The database is newer than this version, or broken.
    #[error("cannot migrate the database: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

/// Times are milliseconds since the Unix epoch, read by the caller.
pub type Millis = i64;

/// A duration in the same unit.
pub fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

/// What the store can do. Every method is one transaction; every one may fail with [`StoreError`] and has
/// then changed nothing.
#[async_trait]
pub trait Store: Send + Sync {
    /// Adds a job and its task in one transaction and rings the workers. Nothing is added when there is a job under its
    /// key, or when `max_queued` jobs wait already, those whose time has not come counted for themselves; nor a job
    /// whose session is not its owner's or not where the job works (an agent's in its project, a chat's in none), nor one
    /// for which the limits of its owner's API key leave no room. What is not added uses up nothing of them. The session
    /// keeps what the job's client said of it, where it has nothing yet.
    async fn enqueue(&self, job: &NewJob, max_queued: u64) -> Result<Enqueued, StoreError>;

    /// A job's row.
    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError>;

    /// Events of a job with a sequence number above `after`, in order, at most about `limit` of them
    /// (whole chunks are read, so a few more may come). Empty when there are none yet.
    async fn events(&self, id: JobId, after: Seq, limit: u32) -> Result<Vec<SeqEvent>, StoreError>;

    /// What has come of the jobs beyond the sequence number beside each; nothing of those that only go on.
    async fn news(&self, known: &[(JobId, Seq)]) -> Result<Vec<News>, StoreError>;

    /// Calls a job off. A queued one ends at once, with its terminal event; a running one is marked and
    /// its worker rung. Returns the state before; a terminal one is left as it is. `None`: no such job.
    async fn cancel(
        &self,
        id: JobId,
        reason: CancelReason,
        now: Millis,
    ) -> Result<Option<JobState>, StoreError>;

    /// Claims the next task and its job for `worker` under the lease `token`. Jobs past their deadline expire on the
    /// way. A job whose project has a running job, whose session has a running one or one that came
    /// before, or whose project another worker holds, is left where it is for later, and an agent's job is left to
    /// others by a worker that cannot run it while one lives that can. With an agent's job the worker becomes the
    /// holder of its project. A chat's job that continues a session comes with the session's history before what its
    /// client sent. Of several keys with waiting jobs that one is served whose priority is highest, then which has the
    /// fewest jobs running, then which has waited longest; a key that runs as many as it may is passed over, and a job
    /// whose key has spent its budget fails. The worker must have beaten before.
    async fn claim(
        &self,
        worker: &WorkerId,
        token: LeaseToken,
        now: Millis,
    ) -> Result<Option<Claim>, StoreError>;

    /// Appends events of several jobs in one commit, each fenced by its lease, and rings their readers.
    /// Outcomes are in the order of `batch`; what was fenced out wrote nothing. In the commit in which a job of a
    /// session completes, what its client has newly said and the model's answer become part of the session's history;
    /// however it ends, its usage is added to the session's.
    async fn append(&self, batch: &[Append], now: Millis) -> Result<Vec<Appended>, StoreError>;

    /// The running jobs whose leases this worker holds. What a worker runs and does not find here is
    /// somebody else's by now.
    async fn held(&self, worker: &WorkerId) -> Result<Vec<Held>, StoreError>;

    /// Registers the worker or renews its heartbeat.
    async fn beat(&self, report: &WorkerReport, now: Millis) -> Result<(), StoreError>;

    /// Notes what the worker, which has beaten before, offers from now on.
    async fn offer(&self, worker: &WorkerId, offer: &Offer) -> Result<(), StoreError>;

    /// Takes a worker that has nothing left to do out of the fleet; it holds no project any more.
    async fn retire(&self, worker: &WorkerId) -> Result<(), StoreError>;

    /// Takes up the jobs of dead workers: those that had not spoken go back into the queue while attempts
    /// remain, the others end with one clear error, a cancelled one as cancelled. Dead are workers whose
    /// last beat is older than `dead_before` and those whose lock file says so. Also makes new tasks for
    /// queued jobs that have lost theirs, puts away tasks that wake nobody, and expires jobs past their deadline. Returns how many jobs were
    /// touched.
    async fn rescue(&self, dead_before: Millis, now: Millis) -> Result<u64, StoreError>;

    /// Queue depth and the fleet; alive are workers whose last beat is at `alive_since` or later.
    async fn fleet(&self, alive_since: Millis, now: Millis) -> Result<Fleet, StoreError>;

    /// Deletes at most `limit` jobs that ended before `before` and whose answers are not kept, with events and task, job
    /// by job. Returns how many went.
    async fn prune(&self, before: Millis, limit: u32) -> Result<u64, StoreError>;

    /// The calls to providers that were made for a job, in order.
    async fn calls(&self, job: JobId) -> Result<Vec<Call>, StoreError>;

    /// Adds up calls to providers. Rows are in the order of their groups; one more than the limit comes if there are
    /// more than it allows.
    async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError>;

    /// Forgets at most `limit` calls that were made before `before`. Returns how many went.
    async fn prune_calls(&self, before: Millis, limit: u32) -> Result<u64, StoreError>;

    /// Adds a project. `false`: there is one with this id, which is left as it is.
    async fn create_project(&self, project: &Project) -> Result<bool, StoreError>;

    /// A project.
    async fn project(&self, id: ProjectId) -> Result<Option<Project>, StoreError>;

    /// A key's projects.
    async fn projects(&self, owner: &Owner, page: &Page<ProjectId>) -> Result<Listed<Project>, StoreError>;

    /// Changes a project. As it is then; `None`: there is none.
    async fn change_project(
        &self,
        id: ProjectId,
        change: &ProjectChange,
        now: Millis,
    ) -> Result<Option<Project>, StoreError>;

    /// Deletes a project with its sessions, unless a job of it waits or runs. From then on there is no such project for
    /// anybody; its ended jobs stay. What is left is taken away by those who ask for [`unwanted`](Self::unwanted) and
    /// [`abandoned`](Self::abandoned) projects.
    async fn delete_project(&self, id: ProjectId, now: Millis) -> Result<Removed, StoreError>;

    /// The deleted projects that the worker holds: it puts away what stands there, and releases them.
    async fn unwanted(&self, worker: &WorkerId) -> Result<Vec<ProjectId>, StoreError>;

    /// At most `limit` deleted projects that nobody holds: their files are to be removed.
    async fn abandoned(&self, limit: u32) -> Result<Vec<ProjectId>, StoreError>;

    /// Forgets a deleted project whose files are gone.
    async fn forget_project(&self, id: ProjectId) -> Result<(), StoreError>;

    /// Adds a session; its project, if it has one, must exist. `false`: there is one with this id, which is left as
    /// it is, or the project was deleted.
    async fn create_session(&self, session: &Session) -> Result<bool, StoreError>;

    /// A session.
    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError>;

    /// A key's sessions, or those of them in one project.
    async fn sessions(
        &self,
        owner: &Owner,
        project: Option<ProjectId>,
        page: &Page<SessionId>,
    ) -> Result<Listed<Session>, StoreError>;

    /// All sessions of a key, added up.
    async fn session_sums(&self, owner: &Owner) -> Result<SessionSums, StoreError>;

    /// Changes a session. As it is then; `None`: there is none.
    async fn change_session(
        &self,
        id: SessionId,
        change: &SessionChange,
        now: Millis,
    ) -> Result<Option<Session>, StoreError>;

    /// Deletes a session with its history and transcript, unless a job of it waits or runs. Its ended jobs stay.
    async fn delete_session(&self, id: SessionId) -> Result<Removed, StoreError>;

    /// Adds a session with the history and the transcript of another, in whose project it is. What the other was
    /// billed is not counted again.
    async fn fork_session(&self, from: SessionId, fork: &Session) -> Result<Forked, StoreError>;

    /// What was said in a session, turn by turn. Empty where there is no such session.
    async fn history(&self, session: SessionId, page: &Page<u64>) -> Result<Vec<PastTurn>, StoreError>;

    /// Deletes at most `limit` sessions that nobody has written to since `before` and no job of which waits or runs.
    /// Returns how many went.
    async fn prune_sessions(&self, before: Millis, limit: u32) -> Result<u64, StoreError>;

    /// What the CLI keeps of a session, in order; empty before its first turn. `None`: there is no such
    /// session, or its transcript has outgrown its limit and the session cannot be resumed from here.
    async fn transcript(&self, session: SessionId) -> Result<Option<Vec<String>>, StoreError>;

    /// Appends to the transcript of the session that the lease's job continues, before that job's end. What
    /// an attempt has added goes again if its job goes back into the queue.
    async fn remember(
        &self,
        lease: &Lease,
        session: SessionId,
        entries: &[String],
        now: Millis,
    ) -> Result<Appended, StoreError>;

    /// The worker gives a project up: its workspace is in no slot any more, and any worker may claim the
    /// project's next job. `false`: a job of it runs there, and the worker holds it as before.
    async fn release(&self, worker: &WorkerId, project: ProjectId) -> Result<bool, StoreError>;

    /// The projects that the worker holds idle while jobs wait for them: it claims one of the jobs, or gives
    /// the project up for others to claim them.
    async fn wanted(&self, worker: &WorkerId, now: Millis) -> Result<Vec<ProjectId>, StoreError>;

    /// The jobs of one key, as it sees and asks for them.
    fn jobs(&self) -> &dyn OwnJobs;

    /// The API keys, and what is left of what they may use.
    fn keys(&self) -> &dyn ApiKeys;

    /// What stands for a key for a moment.
    fn tickets(&self) -> &dyn Tickets;

    /// The answers that are kept for their clients.
    fn answers(&self) -> &dyn KeptAnswers;

    /// The files that clients have uploaded.
    fn files(&self) -> &dyn Files;

    /// Rings meant for this process. `name` is unique among living processes. Bounded: rings that nobody
    /// takes in time are dropped, which the sweep makes good.
    async fn listen(&self, role: RingRole, name: &str) -> Result<mpsc::Receiver<Ring>, StoreError>;

    /// Whether the store can be written to now.
    async fn ready(&self) -> Result<(), StoreError>;
}

/// Who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingRole {
    /// An api: hears of new events.
    Api,
    /// A worker: hears of new tasks and of jobs called off.
    Worker,
}

/// A hint that something has been committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ring {
    /// A task can be claimed.
    Task,
    /// The job has new events.
    Events(JobId),
    /// The job was called off.
    CalledOff(JobId),
}

/// A job in a worker's hands.
#[derive(Clone, Debug)]
pub struct Claim {
    /// What every write of the attempt is fenced by.
    pub lease: Lease,
    /// Who asked for it.
    pub owner: Owner,
    /// What to do; shared, since a conversation may be megabytes.
    pub spec: Arc<JobSpec>,
    /// How many attempts it has.
    pub max_attempts: u32,
    /// The sequence number of the job's last event, from earlier attempts; 0 if none.
    pub last_seq: Seq,
    /// When it was asked for.
    pub created_at_ms: Millis,
    /// From when on it could be run.
    pub due_at_ms: Millis,
    /// The request that it was made of, if that is known.
    pub origin: Option<Origin>,
    /// Whether the worker held the job's project already, since its own last job there. If not, others may
    /// have worked there meanwhile: a process that it kept for the session is out of date.
    pub unbroken: bool,
}

/// The right to write a job's events.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Which job.
    pub job: JobId,
    /// Which attempt; counts from 1.
    pub attempt: u32,
    /// Who holds it.
    pub worker: WorkerId,
    /// Proof.
    pub token: LeaseToken,
}

/// A job that a worker holds, as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which job.
    pub job: JobId,
    /// Under which lease.
    pub token: LeaseToken,
    /// Why it was called off, if it was.
    pub called_off: Option<CancelReason>,
}

/// Events to be stored as one chunk.
#[derive(Clone, Debug)]
pub struct Append {
    /// On whose behalf.
    pub lease: Lease,
    /// Sequence number of the first of `events`; the others follow without a gap.
    pub first_seq: Seq,
    /// What happened; may be empty only together with `give_back` or `calls`. When the last one is terminal
    /// the job ends with it, in the same commit.
    pub events: Vec<Event>,
    /// Gives the job back to the queue. Only for attempts that have not spoken.
    pub give_back: Option<GiveBack>,
    /// Calls to providers that are over, for the ledger. They are kept whoever holds the lease: they were made.
    pub calls: Vec<Call>,
}

/// Why a job goes back into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveBack {
    /// The attempt has failed. It is to be taken up after so many milliseconds.
    Failed {
        /// The pause.
        after_ms: u64,
    },
    /// The worker stops. The attempt costs the job none of its own, up to
    /// [`limits::ATTEMPTS_ALTOGETHER`](crate::schema::limits::ATTEMPTS_ALTOGETHER), and it may be taken up at once.
    Stopped,
}

/// What has come of a job beyond a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The job has later events.
    Events(JobId),
    /// It has none, and will have none: it has ended, or is not there.
    Over(JobId),
}

/// What became of a job that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It waits for a worker.
    Added,
    /// As many jobs wait as may.
    QueueFull,
    /// Its key may not ask for more now.
    Denied(Denied),
    /// As many jobs wait for its project as may.
    ProjectFull,
    /// Its session does not exist, is not where the job works, or is not its owner's.
    NoSuchSession,
    /// A job of its session waits or runs, and it was not to wait for it.
    SessionBusy,
    /// As many jobs wait for its session as may.
    SessionFull,
    /// The history of its session holds as much as it may.
    SessionTooLong,
    /// There is a job under its key that was asked for with the same request; the client's waiting for it is noted, as
    /// by [`OwnJobs::recall`].
    Known(JobId),
    /// There is a job under its key that was asked for with another request.
    KeyReused,
}

/// What became of a session or a project that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Gone,
    /// A job of it waits or runs; it is as before.
    Busy,
    /// There was none.
    Unknown,
}

/// What became of a session that was to be made from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forked {
    /// It is there.
    Made,
    /// A job of the other waits or runs.
    Busy,
    /// The other's transcript has outgrown its limit: it goes on in the process that knows it, and nowhere else.
    NotWhole,
    /// There is no such other session in the project.
    Unknown,
}

/// What became of something written under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is stored.
    Stored,
    /// The lease was lost; nothing was written.
    Fenced,
    /// The session's transcript would have outgrown its limit, now or before, and is gone: the session can
    /// go on only in the process that knows it. Only [`Store::remember`] says so.
    Full,
}

/// The store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Locked, full, read-only or out of reach: may pass; nothing was changed.
    #[error("the store cannot be used now: {0}")]
    Unavailable(String),
    /// A row that cannot be read; names the row.
    #[error("unreadable row: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// The same error, for another who has to hear of it.
    #[must_use]
    pub fn again(&self) -> Self {
        match self {
            Self::Unavailable(why) => Self::Unavailable(why.clone()),
            Self::Corrupt(row) => Self::Corrupt(row.clone()),
        }
    }
}
