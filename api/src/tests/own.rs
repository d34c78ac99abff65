//! Jobs of a key, as a store in a test's hands has them.

use async_trait::async_trait;
use drover_shared::schema::{CancelReason, Job, JobId, JobQuery, Listed, Owner, Page, RequestKey};
use drover_shared::store::{Millis, OwnJobs, Recalled, Removed, Store as _, StoreError};

use super::store::FakeStore;

#[async_trait]
impl OwnJobs for FakeStore {
    async fn list(
        &self,
        owner: &Owner,
        query: &JobQuery,
        page: &Page<JobId>,
    ) -> Result<Listed<Job>, StoreError> {
        self.check()?;
        let mut state = self.lock();
        state.jobs_asked.push((query.clone(), *page));
        let jobs = state.jobs.values().map(|(job, _)| job).filter(|job| job.owner == *owner);
        let mut items: Vec<Job> = jobs.cloned().collect();
        items.reverse();
        Ok(Listed { total: items.len() as u64, has_more: false, items })
    }

    async fn delete(&self, owner: &Owner, id: JobId) -> Result<Removed, StoreError> {
        self.check()?;
        let mut state = self.lock();
        match state.jobs.get(&id) {
            Some((job, _)) if job.owner == *owner && job.state.is_terminal() => {
                state.jobs.remove(&id);
                Ok(Removed::Gone)
            }
            Some((job, _)) if job.owner == *owner => Ok(Removed::Busy),
            _ => Ok(Removed::Unknown),
        }
    }

    async fn recall(&self, _: &Owner, key: &RequestKey) -> Result<Option<Recalled>, StoreError> {
        self.check()?;
        self.note(|state| state.recalling += 1);
        self.recall_gate.subscribe().wait_for(|open| *open).await.expect("the gate stands");
        Ok(self.note(|state| state.recall(key)))
    }

    async fn leave(&self, id: JobId, times: u32, now: Millis) -> Result<bool, StoreError> {
        self.check()?;
        let is_alone = self.note(|state| {
            let attended = state.attended.entry(id).or_default();
            *attended = attended.saturating_sub(times);
            *attended == 0
        });
        if is_alone {
            self.cancel(id, CancelReason::ClientGone, now).await?;
        }
        Ok(is_alone)
    }
}
