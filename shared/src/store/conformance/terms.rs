//! When jobs are taken up.

use super::bench::{Bench, Hand, NOW, assert_ended, completed, enqueue_this, new_job, say, started};
use super::desk::chat_job;
use super::{Desk, Tamper};
use crate::schema::{IfBusy, JobState, NewJob, Priority, Terms};
use crate::store::Enqueued;

fn at(run_at_ms: i64, job: NewJob) -> NewJob {
    let terms = Terms { run_at_ms: Some(run_at_ms), ..job.terms };
    NewJob { terms, deadline_at_ms: run_at_ms + 1_000_000, ..job }
}

fn of(priority: Priority) -> NewJob {
    NewJob { terms: Terms { priority, ..Terms::default() }, ..new_job() }
}

pub(in crate::store) async fn jobs_are_taken_by_priority_and_then_by_age(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let mut ids = Vec::new();
    for priority in [Priority::Low, Priority::Normal, Priority::High, Priority::Normal, Priority::High] {
        ids.push(enqueue_this(&hand.store, of(priority)).await);
    }
    bench.tamper(Tamper::LoseTasks(ids[4])).await;
    assert_eq!(hand.rescue(NOW).await, 1, "its task is made anew");
    for expected in [2, 4, 1, 3, 0] {
        assert_eq!(hand.take(NOW).await.lease.job, ids[expected]);
    }
}

pub(in crate::store) async fn a_job_is_not_taken_before_its_time(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let later = enqueue_this(&hand.store, at(NOW + 1_234, of(Priority::High))).await;
    let now = enqueue_this(&hand.store, new_job()).await;
    assert_eq!(hand.take(NOW).await.lease.job, now, "it holds nobody up");
    assert!(hand.claim(NOW + 1_233).await.is_none());
    bench.tamper(Tamper::LoseTasks(later)).await;
    assert_eq!(hand.rescue(NOW).await, 1);
    assert!(hand.claim(NOW + 1_233).await.is_none(), "nor by a task that was made anew");
    assert_eq!(hand.take(NOW + 1_234).await.lease.job, later);

    let late = enqueue_this(&hand.store, at(NOW + 5, new_job())).await;
    hand.beat(NOW + 2_000_000).await;
    assert_eq!(hand.rescue(NOW + 2_000_000).await, 1);
    assert_ended(&hand.store, late, JobState::Expired).await;
}

pub(in crate::store) async fn what_comes_due_takes_its_place(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    // More than one claim brings up at once.
    let mut later = Vec::new();
    for number in 0..600 {
        later.push(enqueue_this(&hand.store, at(NOW + 10 + number, new_job())).await);
    }
    let desk = Desk::open(&hand.store).await;
    let agent = enqueue_this(&hand.store, at(NOW + 5, desk.job())).await;
    let high = enqueue_this(&hand.store, at(NOW + 700, of(Priority::High))).await;
    assert!(hand.claim(NOW + 4).await.is_none());
    assert_eq!(hand.take(NOW + 5).await.lease.job, agent);
    assert!(hand.claim(NOW + 5).await.is_none());
    let mut taken = std::collections::HashSet::new();
    for _ in 0..600 {
        taken.insert(hand.take(NOW + 690).await.lease.job);
    }
    assert_eq!(taken, later.into_iter().collect());
    let usual = enqueue_this(&hand.store, new_job()).await;
    let order = [hand.take(NOW + 700).await.lease.job, hand.take(NOW + 700).await.lease.job];
    assert_eq!(order, [high, usual]);
    // Chats and agents' jobs come in one order.
    let other = Desk::open(&hand.store).await;
    let jobs = [new_job(), other.job(), of(Priority::High), new_job()];
    let mut ids = Vec::new();
    for job in jobs {
        ids.push(enqueue_this(&hand.store, job).await);
    }
    for expected in [2, 0, 1, 3] {
        assert_eq!(hand.take(NOW + 700).await.lease.job, ids[expected]);
    }
}

pub(in crate::store) async fn what_is_for_later_does_not_count_as_waiting(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let store = &hand.store;
    let add = async |job: &NewJob| store.enqueue(job, 1).await.expect("a store");
    assert_eq!(add(&at(NOW + 100, new_job())).await, Enqueued::Added);
    assert_eq!(add(&new_job()).await, Enqueued::Added, "the queue is as long as before");
    assert_eq!(add(&new_job()).await, Enqueued::QueueFull);
    assert_eq!(add(&at(NOW + 100, new_job())).await, Enqueued::QueueFull, "there is an end to it, too");
    let fleet = async |now| store.fleet(now, now).await.expect("a fleet");
    let before = fleet(NOW + 50).await;
    assert_eq!((before.queued, before.scheduled, before.oldest_queued_ms), (1, 1, Some(50)));
    hand.take(NOW + 50).await;
    let alone = fleet(NOW + 60).await;
    assert_eq!((alone.queued, alone.scheduled, alone.oldest_queued_ms), (0, 1, None));
    let due = fleet(NOW + 130).await;
    assert_eq!(
        (due.queued, due.scheduled, due.oldest_queued_ms),
        (1, 0, Some(30)),
        "it waits since its time"
    );
    assert_eq!(store.enqueue(&new_job(), 1).await.expect("a store"), Enqueued::Added);
}

pub(in crate::store) async fn a_session_goes_on_before_what_is_for_later(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let desk = Desk::open(&hand.store).await;
    let session = desk.chat(&hand.store).await;
    let later = enqueue_this(&hand.store, at(NOW + 100, chat_job(session, &["later"]))).await;
    let impatient = NewJob { if_busy: IfBusy::Refuse, ..chat_job(session, &["now"]) };
    assert_eq!(enqueue_this(&hand.store, impatient.clone()).await, impatient.id, "nobody is busy yet");
    let claim = hand.take(NOW).await;
    assert_eq!(claim.lease.job, impatient.id);
    assert!(hand.claim(NOW + 100).await.is_none(), "one after the other");
    hand.append(say(&claim, 1, &[started(1), completed()])).await;
    // Once its time has come, it came first.
    let last = enqueue_this(&hand.store, chat_job(session, &["last"])).await;
    let claim = hand.take(NOW + 100).await;
    assert_eq!(claim.lease.job, later);
    hand.append(say(&claim, 1, &[started(1), completed()])).await;
    assert_eq!(hand.take(NOW + 100).await.lease.job, last);

    enqueue_this(&hand.store, at(NOW + 100, desk.job())).await;
    let now = enqueue_this(&hand.store, desk.job()).await;
    assert_eq!(hand.take(NOW).await.lease.job, now, "nor is a project held up");
}
