//! Which worker holds a project.

use super::bell::expect;
use super::bench::{Bench, Hand, NOW, completed, enqueue_this, job, say, text};
use super::desk::Desk;
use crate::schema::{JobState, ProjectId};
use crate::store::{Appended, Ring, RingRole};

/// A worker that holds the project of a desk, idle, and one that does not.
async fn holder_and_other(bench: &dyn Bench) -> (Hand, Desk, Hand) {
    let holder = Hand::hire(bench, "holder").await;
    let desk = Desk::open(&holder.store).await;
    desk.hold(&holder).await;
    (holder, desk, Hand::hire(bench, "other").await)
}

async fn release(hand: &Hand, desk: &Desk) -> bool {
    hand.store.release(&hand.id, desk.project.id).await.expect("a store")
}

async fn wanted(hand: &Hand, now: i64) -> Vec<ProjectId> {
    hand.store.wanted(&hand.id, now).await.expect("a store")
}

pub(in crate::store) async fn who_ran_a_job_of_a_project_holds_it(bench: &dyn Bench) {
    let (holder, desk, other) = holder_and_other(bench).await;
    for _ in 0..2 {
        let id = enqueue_this(&other.store, desk.job()).await;
        assert!(other.claim(NOW).await.is_none());
        let claim = holder.take(NOW).await;
        assert_eq!((claim.lease.job, claim.unbroken), (id, true));
        holder.append(say(&claim, 1, &[completed()])).await;
    }
    assert!(release(&holder, &desk).await);
    for expected in [false, true] {
        enqueue_this(&other.store, desk.job()).await;
        let claim = other.take(NOW).await;
        assert_eq!(claim.unbroken, expected, "others may have worked there before");
        other.append(say(&claim, 1, &[completed()])).await;
    }
    assert!(holder.claim(NOW).await.is_none());
}

pub(in crate::store) async fn a_project_that_is_given_up_is_claimed_within_a_ring(bench: &dyn Bench) {
    let (holder, desk, other) = holder_and_other(bench).await;
    let id = enqueue_this(&other.store, desk.job()).await;
    let mut rings = other.store.listen(RingRole::Worker, "other").await.expect("a listener");
    assert!(release(&other, &desk).await, "it holds nothing");
    assert!(other.claim(NOW).await.is_none(), "and nobody else lets go for it");
    assert_eq!(wanted(&holder, NOW).await, [desk.project.id]);
    assert!(release(&holder, &desk).await);
    expect(&mut rings, Ring::Task).await;
    assert_eq!(other.take(NOW).await.lease.job, id);
    assert!(wanted(&holder, NOW).await.is_empty());
}

pub(in crate::store) async fn a_project_in_use_is_not_given_up(bench: &dyn Bench) {
    let (holder, desk, other) = holder_and_other(bench).await;
    enqueue_this(&holder.store, desk.job()).await;
    let claim = holder.take(NOW).await;
    assert!(!release(&holder, &desk).await);
    holder.append(say(&claim, 1, &[completed()])).await;
    enqueue_this(&holder.store, desk.job()).await;
    assert!(other.claim(NOW).await.is_none(), "it is held as before");
    assert!(release(&holder, &desk).await);
    other.take(NOW).await;
}

pub(in crate::store) async fn a_project_is_wanted_while_a_job_is_due_and_none_runs(bench: &dyn Bench) {
    let (holder, desk, other) = holder_and_other(bench).await;
    assert!(wanted(&holder, NOW).await.is_empty(), "nothing waits");
    enqueue_this(&holder.store, desk.job()).await;
    assert_eq!(wanted(&holder, NOW).await, [desk.project.id]);
    assert!(wanted(&other, NOW).await.is_empty(), "it holds nothing");
    let claim = holder.take(NOW).await;
    enqueue_this(&holder.store, desk.job()).await;
    assert!(wanted(&holder, NOW).await.is_empty(), "one runs");
    holder.append(super::bench::give_back(&claim, 1_000)).await;
    let waiting = holder.take(NOW).await;
    holder.append(say(&waiting, 1, &[completed()])).await;
    assert!(wanted(&holder, NOW + 999).await.is_empty(), "it is not due yet");
    assert_eq!(wanted(&holder, NOW + 1_000).await, [desk.project.id]);
}

pub(in crate::store) async fn the_projects_of_a_dead_worker_are_free_after_the_rescue(bench: &dyn Bench) {
    let (_holder, desk, other) = holder_and_other(bench).await;
    let id = enqueue_this(&other.store, desk.job()).await;
    let mut rings = other.store.listen(RingRole::Worker, "other").await.expect("a listener");
    other.beat(NOW + 1).await;
    assert!(other.claim(NOW + 1).await.is_none(), "nobody has judged it yet");
    other.rescue(NOW + 1).await;
    expect(&mut rings, Ring::Task).await;
    let claim = other.take(NOW + 1).await;
    assert_eq!((claim.lease.job, claim.unbroken), (id, false));
}

pub(in crate::store) async fn a_job_and_its_project_are_taken_from_the_dead_together(bench: &dyn Bench) {
    let (holder, desk, other) = holder_and_other(bench).await;
    let silent = enqueue_this(&other.store, desk.job()).await;
    let waiting = enqueue_this(&other.store, desk.job()).await;
    holder.take(NOW).await;
    other.beat(NOW + 1).await;
    assert_eq!(other.rescue(NOW + 1).await, 1);
    let again = other.take(NOW + 1).await;
    assert_eq!((again.lease.job, again.lease.attempt), (silent, 2));
    other.append(say(&again, 1, &[text("half an")])).await;

    let third = Hand::hire(bench, "third").await;
    third.beat(NOW + 2).await;
    assert!(third.claim(NOW + 2).await.is_none());
    let mut rings = third.store.listen(RingRole::Worker, "third").await.expect("a listener");
    assert_eq!(third.rescue(NOW + 2).await, 1);
    assert_eq!(job(&third.store, silent).await.state, JobState::Failed, "it had spoken");
    expect(&mut rings, Ring::Task).await;
    assert_eq!(third.take(NOW + 2).await.lease.job, waiting);
}

pub(in crate::store) async fn who_beats_again_keeps_its_projects(bench: &dyn Bench) {
    let (holder, desk, other) = holder_and_other(bench).await;
    holder.beat(NOW + 1).await;
    other.beat(NOW + 1).await;
    other.rescue(NOW + 1).await;
    enqueue_this(&other.store, desk.job()).await;
    assert!(other.claim(NOW + 1).await.is_none());
    assert_eq!(holder.rescue(NOW + 2).await, 0);
    let claim = holder.take(NOW + 2).await;
    assert!(claim.unbroken, "and nobody takes them from itself");
    assert_eq!(holder.append(say(&claim, 1, &[completed()])).await, Appended::Stored);
}

pub(in crate::store) async fn who_retires_holds_nothing(bench: &dyn Bench) {
    let (holder, desk, other) = holder_and_other(bench).await;
    let id = enqueue_this(&other.store, desk.job()).await;
    let mut rings = other.store.listen(RingRole::Worker, "other").await.expect("a listener");
    holder.store.retire(&holder.id).await.expect("a store");
    expect(&mut rings, Ring::Task).await;
    assert_eq!(other.take(NOW).await.lease.job, id);
}
