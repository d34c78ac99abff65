//! Jobs as their owners see them, and as they ask for them again.

use async_trait::async_trait;

use super::{Millis, Removed, StoreError};
use crate::schema::{Job, JobId, JobQuery, Listed, Owner, Page, RequestKey};

/// The part of a store that keeps the jobs of a key for it. What is another owner's is not there.
#[async_trait]
pub trait OwnJobs: Send + Sync {
    /// Many of them, in the order of their age. The total is counted no further than
    /// [`JOBS_COUNTED`](crate::schema::limits::JOBS_COUNTED).
    async fn list(
        &self,
        owner: &Owner,
        query: &JobQuery,
        page: &Page<JobId>,
    ) -> Result<Listed<Job>, StoreError>;

    /// Deletes one that has ended, with events, answer and task, but not what it has cost.
    async fn delete(&self, owner: &Owner, id: JobId) -> Result<Removed, StoreError>;

    /// The job that was asked for under a key before. If the request was the same and it has not ended, it is noted that
    /// one api more has a client who waits for it, unless nobody does.
    async fn recall(&self, owner: &Owner, key: &RequestKey) -> Result<Option<Recalled>, StoreError>;

    /// An api's last client has left who had waited for a job under its key; the api had noted so `times`. If no other api
    /// has one, the job is called off, and its key is free for another. Whether it was.
    async fn leave(&self, id: JobId, times: u32, now: Millis) -> Result<bool, StoreError>;
}

/// A job that there is under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recalled {
    /// It was asked for with the same request.
    Same(JobId),
    /// With another.
    Other,
}
