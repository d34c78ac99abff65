//! Which worker holds a project.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Barrier;

use super::bell::{expect, next};
use super::bench::{Bench, Hand, NOW, completed, enqueue_this, give_back, job, say, text};
use super::desk::{Desk, agent_job};
use crate::schema::{JobState, Page, ProjectChange, ProjectId};
use crate::store::{Appended, Enqueued, Removed, Ring, RingRole};

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
    let second = desk.second_session(&holder.store).await;
    enqueue_this(&holder.store, agent_job(second, desk.project.id)).await;
    assert!(wanted(&holder, NOW).await.is_empty(), "one runs");
    holder.append(give_back(&claim, 1_000)).await;
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

/// What the workers of a project that changes hands know of each other.
struct Turns {
    start: Barrier,
    busy: AtomicBool,
    left: AtomicUsize,
    ran: Mutex<Vec<(String, bool)>>,
}

impl Turns {
    /// Claims, runs and ends jobs until none is left, woken by rings alone. Lets go after every second job
    /// of its own.
    async fn take_part(&self, hand: &Hand, desk: &Desk) {
        let mut rings = hand.store.listen(RingRole::Worker, &hand.id.0).await.expect("a listener");
        self.start.wait().await;
        let mut ran = 0;
        while self.left.load(Ordering::SeqCst) > 0 {
            let Some(claim) = hand.claim(NOW).await else {
                assert_eq!(next(&mut rings).await, Ring::Task);
                continue;
            };
            assert!(!self.busy.swap(true, Ordering::SeqCst), "two jobs of the project run");
            self.ran.lock().expect("a log").push((hand.id.0.clone(), claim.unbroken));
            tokio::task::yield_now().await;
            self.busy.store(false, Ordering::SeqCst);
            self.left.fetch_sub(1, Ordering::SeqCst);
            assert_eq!(hand.append(say(&claim, 1, &[completed()])).await, Appended::Stored);
            ran += 1;
            if ran % 2 == 0 {
                assert!(release(hand, desk).await);
            }
        }
        assert!(release(hand, desk).await);
    }
}

pub(in crate::store) async fn a_project_changes_hands_without_two_at_work_in_it(bench: &dyn Bench) {
    let store = bench.handle().await;
    let desk = Arc::new(Desk::open(&store).await);
    let jobs = 12;
    for _ in 0..jobs {
        enqueue_this(&store, desk.job()).await;
    }
    let turns = Arc::new(Turns {
        start: Barrier::new(3),
        busy: AtomicBool::new(false),
        left: AtomicUsize::new(jobs),
        ran: Mutex::default(),
    });
    let mut workers = tokio::task::JoinSet::new();
    for name in ["one", "two", "three"] {
        let hand = Hand::hire(bench, name).await;
        let (turns, desk) = (Arc::clone(&turns), Arc::clone(&desk));
        workers.spawn(async move { turns.take_part(&hand, &desk).await });
    }
    workers.join_all().await;
    let ran = turns.ran.lock().expect("a log").clone();
    assert_eq!(ran.len(), jobs);
    let mut runs: HashSet<&str> = HashSet::new();
    for (at, (worker, unbroken)) in ran.iter().enumerate() {
        // Who has run one job holds on for the next; who has run two lets go.
        assert_eq!(*unbroken, !runs.insert(worker), "{at} of {ran:?}");
        if *unbroken {
            runs.remove(worker.as_str());
        }
    }
}

async fn delete(hand: &Hand, desk: &Desk) -> Removed {
    hand.store.delete_project(desk.project.id, NOW).await.expect("a store")
}

async fn abandoned(hand: &Hand) -> Vec<ProjectId> {
    hand.store.abandoned(10).await.expect("a store")
}

pub(in crate::store) async fn a_deleted_project_is_gone_at_once_and_forgotten_when_nobody_holds_it(
    bench: &dyn Bench,
) {
    let (holder, desk, other) = holder_and_other(bench).await;
    let (store, id) = (&other.store, desk.project.id);
    let unwanted = async |hand: &Hand| hand.store.unwanted(&hand.id).await.expect("a store");
    assert!(unwanted(&holder).await.is_empty(), "nobody has deleted anything");
    assert_eq!(delete(&other, &desk).await, Removed::Gone);
    assert_eq!(delete(&other, &desk).await, Removed::Unknown);
    assert_eq!(store.project(id).await.expect("a store"), None);
    assert_eq!(store.session(desk.session.id).await.expect("a store"), None);
    let change = ProjectChange { name: Some("again".to_owned()), ..ProjectChange::default() };
    assert_eq!(store.change_project(id, &change, NOW).await.expect("a store"), None);
    let page = Page { newest_first: true, after: None, skip: 0, limit: 10 };
    let listed = store.projects(&desk.project.owner, &page).await.expect("a store");
    assert_eq!((listed.items.len(), listed.total), (0, 0));
    assert!(!store.create_session(&desk.session).await.expect("a store"), "nothing begins there");
    assert_eq!(store.enqueue(&desk.job(), 10).await.expect("a store"), Enqueued::NoSuchSession);

    assert!(abandoned(&other).await.is_empty(), "it stands in a slot still");
    store.forget_project(id).await.expect("a store");
    assert_eq!((unwanted(&holder).await, unwanted(&other).await), (vec![id], vec![]));
    assert!(release(&holder, &desk).await);
    assert!(unwanted(&holder).await.is_empty());
    assert_eq!(abandoned(&other).await, [id]);
    assert!(!store.create_project(&desk.project).await.expect("a store"), "its files are there still");
    store.forget_project(id).await.expect("a store");
    assert!(abandoned(&other).await.is_empty());
    assert!(store.create_project(&desk.project).await.expect("a store"), "nothing is left of it");
    store.forget_project(id).await.expect("a store");
    assert!(store.project(id).await.expect("a store").is_some(), "who is not deleted is not forgotten");
}

pub(in crate::store) async fn a_project_with_jobs_is_not_deleted(bench: &dyn Bench) {
    let (holder, desk, _) = holder_and_other(bench).await;
    let waiting = enqueue_this(&holder.store, desk.job()).await;
    assert_eq!(delete(&holder, &desk).await, Removed::Busy);
    let claim = holder.take(NOW).await;
    assert_eq!(delete(&holder, &desk).await, Removed::Busy);
    holder.append(say(&claim, 1, &[completed()])).await;
    assert_eq!(delete(&holder, &desk).await, Removed::Gone);
    assert_eq!(job(&holder.store, waiting).await.state, JobState::Completed, "its jobs are told as before");
}
