//! The jobs that run in this worker, and how each hears that it was called off or lost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drover_shared::schema::{CancelReason, LeaseToken};
use drover_shared::store::Held;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Clones share one list.
#[derive(Clone, Default)]
pub struct Running {
    attempts: Arc<Mutex<HashMap<LeaseToken, Lines>>>,
    /// How many processes run beside their jobs' first ones.
    companions: Arc<AtomicUsize>,
}

/// The right to a process beside a job's first, until it is dropped.
pub struct Companion(Arc<AtomicUsize>);

/// How an attempt is told.
struct Lines {
    call_off: watch::Sender<Option<CancelReason>>,
    lost: CancellationToken,
}

/// An attempt's place in the list; leaves it when dropped.
pub struct Place {
    running: Running,
    token: LeaseToken,
    called_off: watch::Receiver<Option<CancelReason>>,
}

impl Running {
    /// Puts an attempt on the list. `lost` is cancelled when its lease turns out to be somebody else's.
    pub fn enter(&self, token: LeaseToken, lost: CancellationToken) -> Place {
        let (call_off, called_off) = watch::channel(None);
        self.attempts().insert(token, Lines { call_off, lost });
        Place { running: self.clone(), token, called_off }
    }

    /// How many run.
    pub fn count(&self) -> u32 {
        u32::try_from(self.attempts().len()).unwrap_or(u32::MAX)
    }

    /// Room for another process of a job that runs, where not all of the worker's `slots` are in use. A job that is
    /// claimed meanwhile gets its own all the same.
    pub fn companion(&self, slots: u32) -> Option<Companion> {
        // Nobody else counts up meanwhile.
        let attempts = self.attempts();
        let has_room = attempts.len() + self.companions.load(Ordering::Relaxed) < slots as usize;
        has_room.then(|| {
            self.companions.fetch_add(1, Ordering::Relaxed);
            Companion(Arc::clone(&self.companions))
        })
    }

    /// The leases of all that run.
    pub fn tokens(&self) -> Vec<LeaseToken> {
        self.attempts().keys().copied().collect()
    }

    /// Tells every attempt in `known` what the store says of it: called off, or not held any more.
    pub fn compare(&self, known: &[LeaseToken], held: &[Held]) {
        let attempts = self.attempts();
        for token in known {
            let Some(lines) = attempts.get(token) else { continue };
            match held.iter().find(|held| held.token == *token) {
                None => lines.lost.cancel(),
                Some(Held { called_off: Some(reason), .. }) => {
                    lines.call_off.send_replace(Some(*reason));
                }
                Some(Held { called_off: None, .. }) => {}
            }
        }
    }

    fn attempts(&self) -> MutexGuard<'_, HashMap<LeaseToken, Lines>> {
        // The map is whole between any two statements, so a panic elsewhere cannot have torn it.
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until the job is called off.
    pub async fn called_off(&self) -> CancelReason {
        let mut called_off = self.called_off.clone();
        match called_off.wait_for(Option::is_some).await.map(|reason| *reason) {
            Ok(Some(reason)) => reason,
            // The sender lives as long as this place.
            _ => std::future::pending().await,
        }
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.attempts().remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use drover_shared::schema::JobId;
    use uuid::Uuid;

    use super::*;

    fn token(n: u128) -> LeaseToken {
        LeaseToken(Uuid::from_u128(n))
    }

    fn held(n: u128, called_off: Option<CancelReason>) -> Held {
        Held { job: JobId::from_uuid(Uuid::from_u128(n)), token: token(n), called_off }
    }

    #[tokio::test]
    async fn only_the_attempt_that_is_meant_hears_it() {
        let running = Running::default();
        let lost = [(); 3].map(|()| CancellationToken::new());
        let off = running.enter(token(1), lost[0].clone());
        let on = running.enter(token(2), lost[1].clone());
        let _gone = running.enter(token(3), lost[2].clone());
        let answer = [held(1, Some(CancelReason::ClientGone)), held(2, None)];
        running.compare(&running.tokens(), &answer);
        assert_eq!(off.called_off().await, CancelReason::ClientGone);
        assert_eq!(*on.called_off.borrow(), None);
        assert_eq!(lost.map(|lost| lost.is_cancelled()), [false, false, true]);
    }

    #[test]
    fn an_attempt_that_came_after_the_question_is_not_lost() {
        let running = Running::default();
        let known = running.tokens();
        let lost = CancellationToken::new();
        let _place = running.enter(token(1), lost.clone());
        running.compare(&known, &[]);
        assert!(!lost.is_cancelled());
    }

    #[test]
    fn companions_have_the_slots_that_no_job_uses() {
        let running = Running::default();
        let place = running.enter(token(1), CancellationToken::new());
        assert!(running.companion(1).is_none());
        let companion = running.companion(2).expect("the second slot");
        assert!(running.companion(2).is_none());
        drop(companion);
        let companion = running.companion(2).expect("it is free again");
        drop(place);
        assert!(running.clone().companion(2).is_some() && running.companion(1).is_none());
        drop(companion);
    }

    #[test]
    fn an_attempt_that_left_is_not_counted() {
        let running = Running::default();
        let place = running.enter(token(1), CancellationToken::new());
        assert_eq!(running.count(), 1);
        drop(place);
        assert_eq!(running.count(), 0);
    }
}
