//! Who gets which job.

use std::collections::HashSet;

use uuid::Uuid;

use super::bench::{Bench, Hand, NOW, assert_ended, enqueue, enqueue_this, job, new_job};
use crate::schema::{Event, FailureKind, JobState, LeaseToken, NewJob, WorkerId};
use crate::store::StoreError;

pub(in crate::store) async fn no_job_is_claimed_twice(bench: &dyn Bench) {
    let api = bench.handle().await;
    let mut jobs = HashSet::new();
    for _ in 0..60 {
        jobs.insert(enqueue(&api).await);
    }
    let mut claimers = tokio::task::JoinSet::new();
    for number in 0..6 {
        let hand = Hand::hire(bench, &format!("w{number}")).await;
        claimers.spawn(async move {
            let mut claimed = Vec::new();
            while let Some(claim) = hand.claim(NOW).await {
                claimed.push(claim.lease.job);
            }
            claimed
        });
    }
    let claimed: Vec<_> = claimers.join_all().await.concat();
    assert_eq!(claimed.len(), jobs.len());
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>(), jobs);
}

pub(in crate::store) async fn the_oldest_comes_first(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let mut jobs = Vec::new();
    for age in [0, 0, 1_000, 2_000] {
        jobs.push(enqueue_this(&hand.store, NewJob { created_at_ms: NOW + age, ..new_job() }).await);
    }
    for expected in jobs {
        assert_eq!(hand.take(NOW + 5_000).await.lease.job, expected);
    }
}

pub(in crate::store) async fn who_has_not_beaten_claims_nothing(bench: &dyn Bench) {
    let store = bench.handle().await;
    let id = enqueue(&store).await;
    let stranger = WorkerId("stranger".to_owned());
    let refused = store.claim(&stranger, LeaseToken(Uuid::new_v4()), NOW).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(job(&store, id).await.state, JobState::Queued);
}

pub(in crate::store) async fn a_job_past_its_deadline_expires_and_the_next_is_claimed(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let late = enqueue_this(&hand.store, NewJob { deadline_at_ms: NOW + 10, ..new_job() }).await;
    let good = enqueue(&hand.store).await;
    assert_eq!(hand.take(NOW + 10).await.lease.job, good);
    assert_ended(&hand.store, late, JobState::Expired).await;
    assert_eq!(job(&hand.store, late).await.attempts, 0);
}

pub(in crate::store) async fn a_poisoned_job_stops(bench: &dyn Bench) {
    let rescuer = Hand::hire(bench, "rescuer").await;
    let id = enqueue(&rescuer.store).await;
    for attempt in 1..=3 {
        let victim = Hand::hire(bench, &format!("victim-{attempt}")).await;
        assert_eq!(victim.take(NOW + 1).await.lease.attempt, attempt);
        rescuer.beat(NOW + 1).await;
        assert_eq!(rescuer.rescue(NOW + 1).await, 1);
    }
    let end = assert_ended(&rescuer.store, id, JobState::Failed).await;
    assert!(matches!(end, Event::Failed { failure, .. } if failure.kind == FailureKind::AttemptsExhausted));
    assert!(rescuer.claim(NOW + 1).await.is_none());
}
