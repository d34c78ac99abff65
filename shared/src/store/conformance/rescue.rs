//! What becomes of the jobs of dead workers.

use super::bench::{Bench, Hand, NOW, assert_ended, enqueue, enqueue_this, job, new_job, say, started, text};
use crate::schema::{CancelReason, Event, FailureKind, JobId, JobState, NewJob, limits};
use crate::store::{Appended, Claim, millis};

/// A worker that has claimed a job and will not be heard of again, and one that will.
async fn victim_and_rescuer(bench: &dyn Bench) -> (Hand, Claim, Hand) {
    let victim = Hand::hire(bench, "victim").await;
    enqueue(&victim.store).await;
    let claim = victim.take(NOW).await;
    let rescuer = Hand::hire(bench, "rescuer").await;
    rescuer.beat(NOW + 1).await;
    (victim, claim, rescuer)
}

async fn state(hand: &Hand, id: JobId) -> JobState {
    job(&hand.store, id).await.state
}

pub(in crate::store) async fn a_silent_job_goes_back(bench: &dyn Bench) {
    let (victim, claim, rescuer) = victim_and_rescuer(bench).await;
    victim.append(say(&claim, 1, &[started(1)])).await;
    assert_eq!(rescuer.rescue(NOW + 1).await, 1);
    assert_eq!(victim.append(say(&claim, 2, &[text("late")])).await, Appended::Fenced);
    let again = rescuer.take(NOW + 1).await;
    assert_eq!((again.lease.job, again.lease.attempt, again.last_seq), (claim.lease.job, 2, 1));
    assert_eq!(rescuer.rescue(NOW + 1).await, 0);
}

pub(in crate::store) async fn a_job_that_spoke_ends_with_one_error(bench: &dyn Bench) {
    let (victim, claim, rescuer) = victim_and_rescuer(bench).await;
    victim.append(say(&claim, 1, &[started(1), text("half an")])).await;
    assert_eq!(rescuer.rescue(NOW + 1).await, 1);
    let end = assert_ended(&rescuer.store, claim.lease.job, JobState::Failed).await;
    assert!(matches!(end, Event::Failed { failure, .. } if failure.kind == FailureKind::WorkerLost));
    assert_eq!(victim.append(say(&claim, 3, &[text(" answer")])).await, Appended::Fenced);
    assert!(rescuer.claim(NOW + 1).await.is_none());
}

pub(in crate::store) async fn a_job_that_was_called_off_ends_as_cancelled(bench: &dyn Bench) {
    let (_victim, claim, rescuer) = victim_and_rescuer(bench).await;
    rescuer.store.cancel(claim.lease.job, CancelReason::ClientGone, NOW).await.expect("a store");
    assert_eq!(rescuer.rescue(NOW + 1).await, 1);
    let end = assert_ended(&rescuer.store, claim.lease.job, JobState::Cancelled).await;
    assert!(matches!(end, Event::Cancelled { reason: CancelReason::ClientGone, .. }));
}

pub(in crate::store) async fn nobody_rescues_themselves(bench: &dyn Bench) {
    let (victim, claim, rescuer) = victim_and_rescuer(bench).await;
    assert_eq!(victim.rescue(NOW + 1).await, 0);
    assert_eq!(state(&victim, claim.lease.job).await, JobState::Running);
    assert_eq!(rescuer.rescue(NOW + 1).await, 1, "others do");
}

pub(in crate::store) async fn a_late_beat_takes_the_right_to_judge(bench: &dyn Bench) {
    let (_victim, claim, rescuer) = victim_and_rescuer(bench).await;
    let dead_after = millis(limits::DEAD_AFTER);
    let sweep = async |now: i64| {
        rescuer.beat(now).await;
        rescuer.store.rescue(now - dead_after, now).await.expect("a rescue")
    };
    // Both were silent: perhaps the database was locked, and the other is about to beat.
    let mut now = NOW + 2 * dead_after;
    assert_eq!(sweep(now).await, 0);
    let until = now + dead_after;
    while now + 2_000 < until {
        now += 2_000;
        assert_eq!(sweep(now).await, 0, "{} ms after the late beat", now + dead_after - until);
    }
    assert_eq!(state(&rescuer, claim.lease.job).await, JobState::Running);
    assert_eq!(sweep(until).await, 1, "now the other's silence is its own");
}

pub(in crate::store) async fn who_beats_again_keeps_the_job(bench: &dyn Bench) {
    let (victim, claim, rescuer) = victim_and_rescuer(bench).await;
    victim.beat(NOW + 1).await;
    assert_eq!(rescuer.rescue(NOW + 1).await, 0);
    assert_eq!(victim.append(say(&claim, 1, &[text("still here")])).await, Appended::Stored);
}

pub(in crate::store) async fn what_a_retired_worker_left_is_taken_up(bench: &dyn Bench) {
    let (victim, claim, rescuer) = victim_and_rescuer(bench).await;
    victim.store.retire(&victim.id).await.expect("a store");
    assert_eq!(rescuer.store.rescue(NOW, NOW).await.expect("a rescue"), 1, "nobody is silent");
    assert_eq!(state(&rescuer, claim.lease.job).await, JobState::Queued);
}

pub(in crate::store) async fn the_deadline_passes_without_workers(bench: &dyn Bench) {
    let store = bench.handle().await;
    let id = enqueue_this(&store, NewJob { deadline_at_ms: NOW + 5, ..new_job() }).await;
    assert_eq!(store.rescue(NOW, NOW + 4).await.expect("a rescue"), 0);
    assert_eq!(store.rescue(NOW, NOW + 5).await.expect("a rescue"), 1);
    assert_ended(&store, id, JobState::Expired).await;
}
