//! How many sockets there are, altogether and of each key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drover_shared::dialect::Rejection;
use drover_shared::schema::{Owner, limits};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::try_again_ms;

/// The sockets of this process, and the jobs that they are subscribed to.
pub(crate) struct Seats {
    taken: Mutex<HashMap<Owner, usize>>,
    subscriptions: Arc<Semaphore>,
}

/// A place for a subscription.
pub(super) struct Place(
    #[expect(dead_code, reason = "it is free when this is dropped")] OwnedSemaphorePermit,
);

impl Default for Seats {
    fn default() -> Self {
        let subscriptions = Arc::new(Semaphore::new(limits::SUBSCRIPTIONS));
        Self { taken: Mutex::default(), subscriptions }
    }
}

/// A place for one; it is free again when this is dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    owner: Owner,
}

impl Seats {
    /// Takes a place, unless there are too many.
    pub(super) fn take(self: &Arc<Self>, owner: &Owner) -> Result<Seat, Rejection> {
        self.take_of(owner, limits::SOCKETS, limits::SOCKETS_OF_A_KEY)
    }

    /// Takes a place for a subscription, unless there are too many.
    pub(super) fn subscribe(&self) -> Result<Place, Rejection> {
        Arc::clone(&self.subscriptions).try_acquire_owned().map(Place).map_err(|_full| {
            let most = limits::SUBSCRIPTIONS;
            let message = format!("This server tells WebSockets of {most} jobs, and of no more.");
            Rejection::new(503, "too_many_subscriptions", message).retry_after_ms(try_again_ms())
        })
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.lock().values().sum()
    }

    fn take_of(self: &Arc<Self>, owner: &Owner, all: usize, of_a_key: usize) -> Result<Seat, Rejection> {
        let mut taken = self.lock();
        if taken.values().sum::<usize>() >= all {
            let message = format!("This server holds {all} WebSockets, and takes no more.");
            return Err(Rejection::new(503, "too_many_sockets", message).retry_after_ms(try_again_ms()));
        }
        let own = taken.entry(owner.clone()).or_default();
        if *own >= of_a_key {
            let message =
                format!("This key has {of_a_key} WebSockets open here, which is all that it may have.");
            return Err(Rejection::new(429, "too_many_sockets", message).retry_after_ms(try_again_ms()));
        }
        *own += 1;
        Ok(Seat { seats: Arc::clone(self), owner: owner.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Owner, usize>> {
        // Nothing in here panics half-way through a change.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        if let Some(own) = taken.get_mut(&self.owner) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_are_counted_and_given_back() {
        let seats = Seats::default();
        let mut places: Vec<Place> = (0..limits::SUBSCRIPTIONS)
            .map(|_| seats.subscribe().map_err(|it| it.code).expect("room"))
            .collect();
        let refused = seats.subscribe().err().expect("no room");
        assert_eq!((refused.status, refused.code), (503, "too_many_subscriptions"));
        places.pop();
        assert!(seats.subscribe().is_ok());
    }

    #[test]
    fn places_are_counted_and_given_back() {
        let seats = Arc::new(Seats::default());
        let (one, other) = (Owner("one".to_owned()), Owner("other".to_owned()));
        let status = |taken: Result<Seat, Rejection>| taken.map(drop).map_err(|rejection| rejection.status);
        let first = seats.take_of(&one, 3, 2).map_err(|rejection| rejection.status).expect("a place");
        let _second = seats.take_of(&one, 3, 2).map_err(|rejection| rejection.status).expect("a place");
        assert_eq!(status(seats.take_of(&one, 3, 2)), Err(429));
        let _third = seats.take_of(&other, 3, 2).map_err(|rejection| rejection.status).expect("a place");
        assert_eq!(status(seats.take_of(&other, 3, 2)), Err(503));
        drop(first);
        assert_eq!(status(seats.take_of(&one, 3, 2)), Ok(()));
        assert_eq!(seats.lock().get(&one), Some(&1));
    }
}
