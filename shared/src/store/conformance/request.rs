//! Jobs by the keys of their requests.

use std::sync::Arc;

use super::bench::{Bench, Hand, NOW, assert_ended, completed, enqueue_this, job, new_job, say, started};
use crate::schema::{
    CancelReason, Delivery, Event, JobId, JobState, NewJob, Owner, RequestKey, Terms, Usage,
};
use crate::store::{Enqueued, Recalled, Store};

fn key(digest: &str) -> RequestKey {
    RequestKey { key: "k".to_owned(), digest: digest.to_owned() }
}

fn keyed(digest: &str) -> NewJob {
    NewJob { key: Some(key(digest)), ..new_job() }
}

async fn recall(store: &Arc<dyn Store>, digest: &str) -> Option<Recalled> {
    store.jobs().recall(&Owner::anonymous(), &key(digest)).await.expect("a store")
}

async fn leave(store: &Arc<dyn Store>, id: JobId, times: u32) -> bool {
    store.jobs().leave(id, times, NOW).await.expect("a store")
}

pub(in crate::store) async fn a_key_stands_for_one_job(bench: &dyn Bench) {
    let (one, other) = (bench.handle().await, bench.handle().await);
    assert_eq!(recall(&one, "1").await, None);
    let id = enqueue_this(&one, keyed("1")).await;
    let add = async |job: NewJob| other.enqueue(&job, 1).await.expect("a store");
    // Also where the queue is full: nothing is added.
    assert_eq!(add(keyed("1")).await, Enqueued::Known(id));
    assert_eq!(add(keyed("2")).await, Enqueued::KeyReused);
    assert_eq!(
        (recall(&other, "1").await, recall(&other, "2").await),
        (Some(Recalled::Same(id)), Some(Recalled::Other))
    );
    let anothers = NewJob { owner: Owner("other".to_owned()), ..keyed("2") };
    enqueue_this(&one, anothers).await;
    let unlike = NewJob { key: Some(RequestKey { key: "K".to_owned(), ..key("1") }), ..new_job() };
    enqueue_this(&one, unlike).await;
    let hand = Hand::hire(bench, "w").await;
    let claim = hand.take(NOW).await;
    hand.append(say(&claim, 1, &[started(1), completed()])).await;
    assert_eq!(claim.lease.job, id);
    assert_eq!(recall(&one, "1").await, Some(Recalled::Same(id)), "whatever its end");
    assert_eq!(add(keyed("1")).await, Enqueued::Known(id));
    assert_eq!(hand.store.prune(NOW + 1, 10).await.expect("a store"), 1);
    assert_eq!(recall(&one, "1").await, None, "the key goes with the job");
    enqueue_this(&one, keyed("2")).await;
}

pub(in crate::store) async fn of_many_who_ask_at_once_one_adds_the_job(bench: &dyn Bench) {
    let handles = [bench.handle().await, bench.handle().await];
    let asking = (0..40).map(|number| {
        let store = Arc::clone(&handles[number % 2]);
        tokio::spawn(async move { store.enqueue(&keyed("1"), 100).await.expect("a store") })
    });
    let mut outcomes = Vec::new();
    for asking in asking.collect::<Vec<_>>() {
        outcomes.push(asking.await.expect("an outcome"));
    }
    let added = outcomes.iter().filter(|outcome| **outcome == Enqueued::Added).count();
    let known = outcomes.iter().filter(|outcome| matches!(outcome, Enqueued::Known(_))).count();
    assert_eq!((added, known), (1, 39));
    assert_eq!(handles[0].fleet(NOW, NOW).await.expect("a fleet").queued, 1);
}

pub(in crate::store) async fn the_last_who_leaves_calls_the_job_off(bench: &dyn Bench) {
    let store = bench.handle().await;
    let id = enqueue_this(&store, keyed("1")).await;
    assert_eq!(recall(&store, "1").await, Some(Recalled::Same(id)));
    assert_eq!(store.enqueue(&keyed("1"), 10).await.expect("a store"), Enqueued::Known(id));
    assert!(!leave(&store, id, 2).await);
    assert_eq!(job(&store, id).await.state, JobState::Queued, "another waits for it");
    assert!(leave(&store, id, 1).await);
    let end = assert_ended(&store, id, JobState::Cancelled).await;
    assert_eq!(end, Event::Cancelled { reason: CancelReason::ClientGone, usage: Usage::default() });
    assert_eq!(recall(&store, "1").await, None, "who asks again gets an answer");
    let again = enqueue_this(&store, keyed("1")).await;

    let hand = Hand::hire(bench, "w").await;
    let claim = hand.take(NOW).await;
    assert_eq!(claim.lease.job, again);
    assert!(leave(&store, again, 1).await);
    let held = store.held(&hand.id).await.expect("a store");
    assert_eq!(held[0].called_off, Some(CancelReason::ClientGone));
    assert_eq!(recall(&store, "1").await, None, "also before its worker has stopped it");

    let ended = enqueue_this(&store, keyed("1")).await;
    let claim = hand.take(NOW).await;
    hand.append(say(&claim, 1, &[started(1), completed()])).await;
    assert!(!leave(&store, ended, 1).await);
    assert_eq!(job(&store, ended).await.state, JobState::Completed);
    assert_eq!(recall(&store, "1").await, Some(Recalled::Same(ended)));
    assert!(!leave(&store, new_job().id, 1).await);
}

pub(in crate::store) async fn nobody_waits_for_a_job_in_the_background(bench: &dyn Bench) {
    let store = bench.handle().await;
    let terms = Terms { delivery: Delivery::Background, ..Terms::default() };
    let id = enqueue_this(&store, NewJob { terms, ..keyed("1") }).await;
    assert_eq!(recall(&store, "1").await, Some(Recalled::Same(id)));
    assert!(!leave(&store, id, 5).await);
    assert_eq!(job(&store, id).await.state, JobState::Queued);
}
