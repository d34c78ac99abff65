//! The jobs that run in this worker, and how each hears that it was called off.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drover_shared::schema::{CancelReason, JobId};
use tokio::sync::watch;

/// Clones share one list.
#[derive(Clone, Default)]
pub struct Running {
    jobs: Arc<Mutex<HashMap<JobId, watch::Sender<Option<CancelReason>>>>>,
}

/// A job's place in the list; leaves it when dropped.
pub struct Place {
    running: Running,
    job: JobId,
    /// Why the job was called off, once it was.
    pub called_off: watch::Receiver<Option<CancelReason>>,
}

impl Running {
    /// Puts a job on the list.
    pub fn enter(&self, job: JobId) -> Place {
        let (call_off, called_off) = watch::channel(None);
        self.jobs().insert(job, call_off);
        Place { running: self.clone(), job, called_off }
    }

    /// How many run.
    pub fn count(&self) -> u32 {
        u32::try_from(self.jobs().len()).unwrap_or(u32::MAX)
    }

    /// Tells a job that it was called off, if it runs here.
    pub fn call_off(&self, job: JobId, reason: CancelReason) {
        if let Some(call_off) = self.jobs().get(&job) {
            call_off.send_replace(Some(reason));
        }
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<JobId, watch::Sender<Option<CancelReason>>>> {
        // The map is whole between any two statements, so a panic elsewhere cannot have torn it.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until the job is called off.
    pub async fn called_off(&mut self) -> CancelReason {
        match self.called_off.wait_for(Option::is_some).await.map(|reason| *reason) {
            Ok(Some(reason)) => reason,
            // The sender lives as long as this place.
            _ => std::future::pending().await,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.jobs().remove(&self.job);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn only_the_job_that_is_meant_hears_it() {
        let running = Running::default();
        let [one, other] = [1, 2].map(|n| JobId::from_uuid(Uuid::from_u128(n)));
        let (mut first, second) = (running.enter(one), running.enter(other));
        running.call_off(one, CancelReason::ClientGone);
        assert_eq!(first.called_off().await, CancelReason::ClientGone);
        assert_eq!(*second.called_off.borrow(), None);
    }

    #[test]
    fn a_job_that_left_is_not_counted() {
        let running = Running::default();
        let place = running.enter(JobId::from_uuid(Uuid::from_u128(1)));
        assert_eq!(running.count(), 1);
        drop(place);
        assert_eq!(running.count(), 0);
    }
}
