//! Whose turn it is.

use super::bench::{Bench, Hand, NOW, completed, enqueue_this, give_back, new_job, say};
use super::keys::{issue, job_of};
use crate::schema::{JobId, KeyChange, KeyLimits, NewJob, Owner};
use crate::store::{Claim, Ring, RingRole};

fn of(owner: &str) -> NewJob {
    NewJob { owner: Owner(owner.to_owned()), ..new_job() }
}

pub(in crate::store) async fn one_keys_many_jobs_starve_nobody(bench: &dyn Bench) {
    // One place in all: whoever has waited longest since its last turn comes next.
    let hand = Hand::hire(bench, "w").await;
    let mut many = Vec::new();
    for _ in 0..10 {
        many.push(enqueue_this(&hand.store, of("many")).await);
    }
    let turn = async |now| {
        let claim = hand.take(now).await;
        hand.append(say(&claim, 1, &[completed()])).await;
        claim.lease.job
    };
    assert_eq!(turn(NOW).await, many[0]);
    let one = enqueue_this(&hand.store, of("one")).await;
    let two = enqueue_this(&hand.store, of("two")).await;
    let next = [turn(NOW + 1).await, turn(NOW + 2).await];
    assert!(next.contains(&one) && next.contains(&two), "{next:?}");
    assert_eq!(turn(NOW + 3).await, many[1], "in the order in which they came");
}

pub(in crate::store) async fn turns_are_counted_and_not_timed(bench: &dyn Bench) {
    // One machine's clock is most of an hour ahead.
    let (ahead, hand) = (Hand::hire(bench, "ahead").await, Hand::hire(bench, "w").await);
    let turn = async |hand: &Hand, now| {
        let claim = hand.take(now).await;
        hand.append(say(&claim, 1, &[completed()])).await;
        claim.owner.0
    };
    enqueue_this(&hand.store, of("ann")).await;
    assert_eq!(turn(&ahead, NOW + 3_000_000).await, "ann");
    for _ in 0..3 {
        enqueue_this(&hand.store, of("bob")).await;
    }
    enqueue_this(&hand.store, of("ann")).await;
    assert_eq!([turn(&hand, NOW).await, turn(&hand, NOW + 1).await], ["bob", "ann"]);
}

pub(in crate::store) async fn what_only_ends_holds_nobody_up(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let late = |owner: &str| NewJob { deadline_at_ms: NOW + 1, ..of(owner) };
    for _ in 0..300 {
        enqueue_this(&hand.store, late("late")).await;
    }
    let one = enqueue_this(&hand.store, of("one")).await;
    assert_eq!(hand.take(NOW + 1).await.lease.job, one, "in the first call");
    // Nor those of its own owner, however many.
    let last = enqueue_this(&hand.store, of("late")).await;
    assert_eq!(hand.take(NOW + 1).await.lease.job, last, "in the first call, too");
}

pub(in crate::store) async fn who_runs_less_comes_first(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    for _ in 0..3 {
        enqueue_this(&hand.store, of("greedy")).await;
    }
    let first: Vec<Claim> = vec![hand.take(NOW).await, hand.take(NOW + 1).await];
    for _ in 0..2 {
        enqueue_this(&hand.store, of("late")).await;
    }
    let owners = [
        hand.take(NOW + 2).await.owner.0,
        hand.take(NOW + 3).await.owner.0,
        hand.take(NOW + 4).await.owner.0,
    ];
    assert_eq!(owners, ["late", "late", "greedy"]);
    assert_eq!(first.len(), 2);
}

pub(in crate::store) async fn a_higher_key_goes_before(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let (low, high) = (
        issue(&hand.store, 1, KeyLimits::default()).await,
        issue(&hand.store, 2, KeyLimits::default()).await,
    );
    for owner in [&low, &low, &high, &high] {
        enqueue_this(&hand.store, job_of(owner, NOW)).await;
    }
    let change = KeyChange { priority: Some(1), ..KeyChange::default() };
    hand.store.keys().change(&high, change).await.expect("a store");
    let mut owners = Vec::new();
    while let Some(claim) = hand.claim(NOW).await {
        owners.push(claim.owner);
    }
    assert_eq!(owners, [high.clone(), high, low.clone(), low]);
}

pub(in crate::store) async fn a_key_runs_only_so_many_at_once(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let owner = issue(&hand.store, 1, KeyLimits { concurrent_jobs: Some(2), ..KeyLimits::default() }).await;
    let mut jobs: Vec<JobId> = Vec::new();
    for _ in 0..4 {
        jobs.push(enqueue_this(&hand.store, job_of(&owner, NOW)).await);
    }
    let (first, second) = (hand.take(NOW).await, hand.take(NOW).await);
    assert!(hand.claim(NOW).await.is_none(), "two run");
    let other = enqueue_this(&hand.store, of("other")).await;
    assert_eq!(hand.take(NOW).await.lease.job, other, "which is nothing to others");
    let mut rings = hand.store.listen(RingRole::Worker, "listener").await.expect("a bell");
    while rings.try_recv().is_ok() {}
    hand.append(say(&first, 1, &[completed()])).await;
    let ring = tokio::time::timeout(std::time::Duration::from_secs(20), rings.recv()).await;
    assert_eq!(ring.expect("a ring"), Some(Ring::Task), "who waits for its place is told");
    assert_eq!(hand.take(NOW).await.lease.job, jobs[2]);
    assert!(hand.claim(NOW).await.is_none());
    // What goes back frees its place, and is the oldest.
    hand.append(give_back(&second, 0)).await;
    assert_eq!(hand.take(NOW).await.lease.job, jobs[1]);
    // A limit that is lifted holds nobody back.
    let change = KeyChange { concurrent_jobs: Some(None), ..KeyChange::default() };
    hand.store.keys().change(&owner, change).await.expect("a store");
    assert_eq!(hand.take(NOW).await.lease.job, jobs[3]);
}
