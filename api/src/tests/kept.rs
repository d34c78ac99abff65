//! Answers that a store in a test's hands keeps.

use async_trait::async_trait;
use drover_shared::schema::{JobId, JobSpec, Keep, KeptAnswer, KeptQuery, Metadata, Owner};
use drover_shared::store::{KeptAnswers, Millis, StoreError};

use super::store::FakeStore;

#[async_trait]
impl KeptAnswers for FakeStore {
    async fn find(&self, _: &Owner, _: &str, job: JobId) -> Result<Option<KeptAnswer>, StoreError> {
        self.check()?;
        Ok(self.lock().kept.get(&job).cloned())
    }

    async fn list(&self, query: &KeptQuery) -> Result<Vec<KeptAnswer>, StoreError> {
        self.check()?;
        let mut state = self.lock();
        state.listed.push(query.clone());
        Ok(state.kept.values().take(query.limit as usize + 1).cloned().collect())
    }

    async fn form(&self, job: JobId) -> Result<Option<Keep>, StoreError> {
        self.check()?;
        Ok(self.lock().kept.get(&job).map(|kept| kept.keep.clone()))
    }

    async fn spec(&self, job: JobId) -> Result<Option<JobSpec>, StoreError> {
        self.check()?;
        Ok(Some(self.lock().specs.get(&job).cloned().unwrap_or_default()))
    }

    async fn label(&self, _: &Owner, _: &str, job: JobId, metadata: &Metadata) -> Result<bool, StoreError> {
        self.check()?;
        let mut state = self.lock();
        let kept = state.kept.get_mut(&job);
        Ok(kept.map(|kept| kept.keep.metadata.clone_from(metadata)).is_some())
    }

    async fn forget(&self, _: &Owner, _: &str, job: JobId) -> Result<bool, StoreError> {
        self.check()?;
        Ok(self.lock().kept.remove(&job).is_some())
    }

    async fn expire(&self, before: Millis, _: u32) -> Result<u64, StoreError> {
        self.check()?;
        self.lock().expiries.push(before);
        Ok(0)
    }
}
