//! How answers are told, and those that are stored for their clients.

use async_trait::async_trait;

use super::{Millis, StoreError};
use crate::schema::{JobId, JobSpec, Keep, KeptAnswer, KeptQuery, Metadata, Owner};

/// The part of a store that keeps answers. A [`Keep`] comes with its job. One that is to be stored counts once the job
/// is completed, which is then kept as a whole until its answer is forgotten. What is another owner's, or was told in
/// another dialect, is not there.
#[async_trait]
pub trait KeptAnswers: Send + Sync {
    /// One of them.
    async fn find(&self, owner: &Owner, dialect: &str, job: JobId) -> Result<Option<KeptAnswer>, StoreError>;

    /// Many of them, and one more than the limit if there are more.
    async fn list(&self, query: &KeptQuery) -> Result<Vec<KeptAnswer>, StoreError>;

    /// How a job's answer is told, be it stored or not, and whether or not there is one yet.
    async fn form(&self, job: JobId) -> Result<Option<Keep>, StoreError>;

    /// What a job asks for.
    async fn spec(&self, job: JobId) -> Result<Option<JobSpec>, StoreError>;

    /// Replaces the labels of one. `false`: there is none.
    async fn label(
        &self,
        owner: &Owner,
        dialect: &str,
        job: JobId,
        metadata: &Metadata,
    ) -> Result<bool, StoreError>;

    /// Deletes one, with all of its job but what it has cost. `false`: there is none.
    async fn forget(&self, owner: &Owner, dialect: &str, job: JobId) -> Result<bool, StoreError>;

    /// Stores at most `limit` answers no longer whose jobs were asked for before `before`; their jobs go when those
    /// of their age go. Returns how many.
    async fn expire(&self, before: Millis, limit: u32) -> Result<u64, StoreError>;
}
