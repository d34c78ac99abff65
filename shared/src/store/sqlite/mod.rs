//! The store in one SQLite file, for any number of processes on one machine.
//!
//! Every process has one connection that writes and a few that read. Transactions that write begin with
//! `BEGIN IMMEDIATE`, so that none finds out at its end that it may not; nothing is read across an await
//! inside a read transaction. Rings go out after the commit.

mod abandon;
mod allowance;
mod append;
mod chunk;
mod claim;
mod error;
mod file;
mod fork;
mod history;
mod hold;
mod intake;
mod job;
mod jobs;
mod kept;
mod keys;
mod ledger;
mod migrate;
mod open;
mod own;
mod project;
mod prune;
mod request;
mod rescue;
mod session;
mod share;
#[cfg(test)]
mod tests;
mod tickets;
mod transcript;
mod worker;

use std::path::PathBuf;

use async_trait::async_trait;
use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::sync::mpsc;

use self::intake::Intake;
use self::own::Own;
use super::doorbell::Doorbell;
use super::{
    ApiKeys, Append, Appended, Claim, Enqueued, Files, Forked, Held, KeptAnswers, Lease, Millis, News,
    OwnJobs, Removed, Ring, RingRole, Store, StoreError, Tickets,
};
use crate::schema::{
    Call, CancelReason, Fleet, Job, JobId, JobState, LeaseToken, Listed, NewJob, Offer, Owner, Page,
    PastTurn, Project, ProjectChange, ProjectId, Seq, SeqEvent, Session, SessionChange, SessionId,
    SessionSums, UsageQuery, UsageRow, WorkerId, WorkerReport,
};

/// A handle on the database. One per process is enough.
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    bell: Doorbell,
    /// Where the database file is; locks and sockets lie beside it.
    dir: PathBuf,
    own: Own,
    intake: Intake,
}

impl SqliteStore {
    /// The statement by which a claim finds its job, which takes the time and the worker; for benchmarks.
    pub const SEARCH: &str = super::queue::DUE;

    /// Begins a transaction that holds the write lock.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Tells everybody's readers that these jobs have new events.
    fn ring_events(&self, jobs: impl IntoIterator<Item = JobId>) {
        self.bell.ring(RingRole::Api, jobs.into_iter().map(Ring::Events));
    }

    /// Tells everybody's workers that there may be something to claim.
    fn ring_task(&self) {
        self.bell.ring(RingRole::Worker, [Ring::Task]);
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn enqueue(&self, job: &NewJob, max_queued: u64) -> Result<Enqueued, StoreError> {
        intake::enqueue(self, job, max_queued).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        jobs::read(&self.readers, id).await
    }

    async fn events(&self, id: JobId, after: Seq, limit: u32) -> Result<Vec<SeqEvent>, StoreError> {
        chunk::read(&self.readers, id, after, limit).await
    }

    async fn news(&self, known: &[(JobId, Seq)]) -> Result<Vec<News>, StoreError> {
        chunk::news(&self.readers, known).await
    }

    async fn cancel(
        &self,
        id: JobId,
        reason: CancelReason,
        now: Millis,
    ) -> Result<Option<JobState>, StoreError> {
        job::cancel(self, id, reason, now).await
    }

    async fn claim(
        &self,
        worker: &WorkerId,
        token: LeaseToken,
        now: Millis,
    ) -> Result<Option<Claim>, StoreError> {
        claim::claim(self, worker, token, now).await
    }

    async fn append(&self, batch: &[Append], now: Millis) -> Result<Vec<Appended>, StoreError> {
        append::append(self, batch, now).await
    }

    async fn held(&self, worker: &WorkerId) -> Result<Vec<Held>, StoreError> {
        job::held(&self.readers, worker).await
    }

    async fn beat(&self, report: &WorkerReport, now: Millis) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        worker::beat(&mut tx, report, now).await?;
        super::queue::beat(&mut tx, &report.id, report.started_at_ms, now).await?;
        tx.commit().await?;
        self.own.beat(&report.id, now);
        Ok(())
    }

    async fn offer(&self, worker: &WorkerId, offer: &Offer) -> Result<(), StoreError> {
        worker::offer(&self.writer, worker, offer).await
    }

    async fn retire(&self, worker: &WorkerId) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        worker::retire(&mut tx, worker).await?;
        let freed = hold::let_all_go(&mut tx, worker).await?;
        tx.commit().await?;
        self.own.forget(worker);
        if freed {
            self.ring_task();
        }
        Ok(())
    }

    async fn rescue(&self, dead_before: Millis, now: Millis) -> Result<u64, StoreError> {
        rescue::rescue(self, dead_before, now).await
    }

    async fn fleet(&self, alive_since: Millis, now: Millis) -> Result<Fleet, StoreError> {
        worker::fleet(&self.readers, alive_since, now).await
    }

    async fn prune(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        prune::prune(self, before, limit).await
    }

    async fn calls(&self, job: JobId) -> Result<Vec<Call>, StoreError> {
        ledger::calls(&self.readers, job).await
    }

    async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
        ledger::usage(&self.readers, query).await
    }

    async fn prune_calls(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        ledger::prune(&self.writer, before, limit).await
    }

    async fn create_project(&self, project: &Project) -> Result<bool, StoreError> {
        project::create(&self.writer, project).await
    }

    async fn project(&self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        project::read(&self.readers, id).await
    }

    async fn projects(&self, owner: &Owner, page: &Page<ProjectId>) -> Result<Listed<Project>, StoreError> {
        project::list(&self.readers, owner, page).await
    }

    async fn change_project(
        &self,
        id: ProjectId,
        change: &ProjectChange,
        now: Millis,
    ) -> Result<Option<Project>, StoreError> {
        project::change(&self.writer, id, change, now).await
    }

    async fn delete_project(&self, id: ProjectId, now: Millis) -> Result<Removed, StoreError> {
        project::delete(self, id, now).await
    }

    async fn unwanted(&self, worker: &WorkerId) -> Result<Vec<ProjectId>, StoreError> {
        project::unwanted(&self.readers, worker).await
    }

    async fn abandoned(&self, limit: u32) -> Result<Vec<ProjectId>, StoreError> {
        project::abandoned(&self.readers, limit).await
    }

    async fn forget_project(&self, id: ProjectId) -> Result<(), StoreError> {
        project::forget(&self.writer, id).await
    }

    async fn create_session(&self, session: &Session) -> Result<bool, StoreError> {
        session::create(&mut *self.writer.acquire().await?, session).await
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        session::read(&self.readers, id).await
    }

    async fn sessions(
        &self,
        owner: &Owner,
        project: Option<ProjectId>,
        page: &Page<SessionId>,
    ) -> Result<Listed<Session>, StoreError> {
        session::list(&self.readers, owner, project, page).await
    }

    async fn session_sums(&self, owner: &Owner) -> Result<SessionSums, StoreError> {
        session::sums(&self.readers, owner).await
    }

    async fn change_session(
        &self,
        id: SessionId,
        change: &SessionChange,
        now: Millis,
    ) -> Result<Option<Session>, StoreError> {
        session::change(&self.writer, id, change, now).await
    }

    async fn delete_session(&self, id: SessionId) -> Result<Removed, StoreError> {
        session::delete(self, id).await
    }

    async fn fork_session(&self, from: SessionId, fork: &Session) -> Result<Forked, StoreError> {
        fork::fork(self, from, fork).await
    }

    async fn history(&self, session: SessionId, page: &Page<u64>) -> Result<Vec<PastTurn>, StoreError> {
        history::read(&self.readers, session, page).await
    }

    async fn prune_sessions(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        session::prune(self, before, limit).await
    }

    async fn transcript(&self, session: SessionId) -> Result<Option<Vec<String>>, StoreError> {
        transcript::read(&self.readers, session).await
    }

    async fn remember(
        &self,
        lease: &Lease,
        session: SessionId,
        entries: &[String],
        now: Millis,
    ) -> Result<Appended, StoreError> {
        transcript::remember(self, lease, session, entries, now).await
    }

    async fn release(&self, worker: &WorkerId, project: ProjectId) -> Result<bool, StoreError> {
        hold::release(self, worker, project).await
    }

    async fn wanted(&self, worker: &WorkerId, now: Millis) -> Result<Vec<ProjectId>, StoreError> {
        hold::wanted(&self.readers, worker, now).await
    }

    fn keys(&self) -> &dyn ApiKeys {
        self
    }

    fn tickets(&self) -> &dyn Tickets {
        self
    }

    fn answers(&self) -> &dyn KeptAnswers {
        self
    }

    fn jobs(&self) -> &dyn OwnJobs {
        self
    }

    fn files(&self) -> &dyn Files {
        self
    }

    async fn listen(&self, role: RingRole, name: &str) -> Result<mpsc::Receiver<Ring>, StoreError> {
        self.bell.listen(role, name).map_err(|error| StoreError::Unavailable(format!("doorbell: {error}")))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        sqlx::query("UPDATE readiness SET checks = checks + 1 WHERE id = 1").execute(&self.writer).await?;
        Ok(())
    }
}
