//! Calling jobs off.

use super::bench::{Bench, Hand, NOW, assert_ended, completed, enqueue, job, new_job, say};
use crate::schema::{CancelReason, Event, JobState};
use crate::store::Held;

pub(in crate::store) async fn a_queued_job_ends_at_once(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = enqueue(&hand.store).await;
    let before = hand.store.cancel(id, CancelReason::Requested, NOW + 3).await.expect("a store");
    assert_eq!(before, Some(JobState::Queued));
    let end = assert_ended(&hand.store, id, JobState::Cancelled).await;
    assert!(matches!(end, Event::Cancelled { reason: CancelReason::Requested, .. }));
    assert_eq!(job(&hand.store, id).await.finished_at_ms, Some(NOW + 3));
    assert!(hand.claim(NOW + 4).await.is_none());
}

pub(in crate::store) async fn a_running_job_is_marked_for_its_worker(bench: &dyn Bench) {
    let (hand, other) = (Hand::hire(bench, "w").await, Hand::hire(bench, "other").await);
    let id = enqueue(&hand.store).await;
    let token = hand.take(NOW).await.lease.token;
    let held = |called_off| vec![Held { job: id, token, called_off }];
    assert_eq!(hand.store.held(&hand.id).await.expect("a store"), held(None));
    for reason in [CancelReason::ClientGone, CancelReason::Requested] {
        let before = other.store.cancel(id, reason, NOW).await.expect("a store");
        assert_eq!(before, Some(JobState::Running));
    }
    let marked = hand.store.held(&hand.id).await.expect("a store");
    assert_eq!(marked, held(Some(CancelReason::ClientGone)), "the first reason stays");
    assert!(other.store.held(&other.id).await.expect("a store").is_empty());
}

pub(in crate::store) async fn the_end_is_final(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = enqueue(&hand.store).await;
    let claim = hand.take(NOW).await;
    hand.append(say(&claim, 1, &[completed()])).await;
    let before = hand.store.cancel(id, CancelReason::Requested, NOW).await.expect("a store");
    assert_eq!(before, Some(JobState::Completed));
    assert_ended(&hand.store, id, JobState::Completed).await;
    assert_eq!(hand.store.cancel(new_job().id, CancelReason::Requested, NOW).await.expect("a store"), None);
}
