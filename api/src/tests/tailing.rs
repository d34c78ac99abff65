//! Every reader gets every event once and in order, whatever goes wrong in between.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use drover_shared::schema::{CancelReason, JobId, SeqEvent, limits};
use drover_shared::store::Store;
use tokio_util::sync::CancellationToken;

use super::store::{FakeStore, completed, text};
use super::{Api, STREAM, within};
use crate::Clock;
use crate::tail::{Reader, Tail};

/// A job that another api has enqueued.
async fn job(api: &Api) -> JobId {
    let asked = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [text("first")]);
    std::mem::forget(asked.await.expect("an answer"));
    job
}

async fn read_all(mut reader: Reader) -> Vec<u64> {
    let mut seqs = Vec::new();
    while let Some(batch) = within("more events", reader.next()).await {
        assert!(!batch.is_empty());
        seqs.extend(batch.iter().map(|event: &SeqEvent| event.seq));
    }
    assert!(reader.saw_the_end());
    seqs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_that_join_at_any_time_miss_nothing() {
    const EVENTS: u64 = 5_000;
    let api = Api::start().await;
    let job = job(&api).await;
    let mut readers = Vec::new();
    for seq in 2..EVENTS {
        api.store.say(job, [text("x")]);
        if seq % 100 == 0 {
            let after = if seq % 300 == 0 { seq / 2 } else { 0 };
            let reader = api.app.tail.open(job, after, false);
            readers.push((after, tokio::spawn(read_all(reader))));
        }
        if seq % 500 == 0 {
            tokio::task::yield_now().await;
        }
    }
    api.store.say(job, [completed()]);
    for (after, reader) in readers {
        let seqs = reader.await.expect("no panic");
        assert!(seqs.into_iter().eq(after + 1..=EVENTS), "after {after}");
    }
}

#[tokio::test]
async fn a_reader_that_lags_goes_back_to_the_store() {
    let api = Api::start().await;
    let job = job(&api).await;
    let mut slow = api.app.tail.open(job, 0, false);
    let mut seqs: Vec<u64> =
        within("the first", slow.next()).await.expect("events").iter().map(|event| event.seq).collect();
    let mut quick = api.app.tail.open(job, 0, false);
    within("the first", quick.next()).await.expect("events");
    // The quick reader shows that each batch was handed out before the next is said.
    for _ in 0..limits::READER_BACKLOG * 2 {
        api.store.say(job, [text("x")]);
        within("the next", quick.next()).await.expect("events");
    }
    api.store.say(job, [completed()]);
    seqs.extend(read_all(slow).await);
    let all = limits::READER_BACKLOG as u64 * 2 + 2;
    assert!(seqs.into_iter().eq(1..=all));
}

#[tokio::test]
async fn lost_rings_are_made_good_by_the_sweep() {
    let api = Api::start().await;
    let asked = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    api.store.lock().deaf = true;
    api.store.say(job, [text("unheard")]);
    let mut answer = asked.await.expect("an answer");
    answer.until("unheard").await;
    api.store.say(job, [completed()]);
    assert!(answer.rest().await.expect("an orderly end").ends_with("[DONE]\n\n"));
}

#[tokio::test]
async fn a_job_that_goes_is_waited_for_no_more() {
    let api = Api::start().await;
    let job = job(&api).await;
    let mut reader = api.app.tail.open(job, 0, false);
    within("the first", reader.next()).await.expect("events");
    api.store.lock().jobs.remove(&job);
    assert!(within("the end", reader.next()).await.is_none());
    assert!(!reader.saw_the_end());
}

#[tokio::test]
async fn a_job_that_is_being_added_is_not_taken_for_one_that_has_gone() {
    let api = Api::start().await;
    let asked = api.ask_behind_the_gate(STREAM).await;
    tokio::time::sleep(limits::SWEEP * 3).await;
    api.store.enqueue_gate.send_replace(true);
    let job = api.store.job_enqueued().await;
    tokio::time::sleep(limits::SWEEP * 3).await;
    drop(asked);
    assert_eq!(api.store.called_off(job).await, CancelReason::ClientGone);
}

#[tokio::test]
async fn a_broken_store_does_not_end_a_stream() {
    let api = Api::start().await;
    let asked = api.ask(STREAM);
    let job = api.store.job_enqueued().await;
    api.store.say(job, [text("before")]);
    let mut answer = asked.await.expect("an answer");
    let mut events = api.get(&format!("/v1/jobs/{job}/events")).await;
    answer.until("before").await;
    events.until("before").await;
    api.store.break_down(true);
    let reads = api.store.reads.load(Ordering::Relaxed);
    api.store.say(job, [text("after"), completed()]);
    within("reads that fail", async {
        while api.store.reads.load(Ordering::Relaxed) < reads + 3 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    api.store.break_down(false);
    assert_eq!(
        answer.rest().await.expect("an orderly end"),
        "data: before\n\ndata: after\n\ndata: [DONE]\n\n"
    );
    assert!(events.rest().await.expect("an orderly end").contains("id: 3\nevent: completed\n"));
}

#[tokio::test]
async fn many_streams_share_one_tailer() {
    const STREAMS: usize = 200;
    let api = Api::start().await;
    let asked: Vec<_> = (0..STREAMS).map(|_| api.ask(STREAM)).collect();
    let jobs = api
        .store
        .until("all jobs", |state| {
            (state.jobs.len() == STREAMS).then(|| state.jobs.keys().copied().collect::<Vec<_>>())
        })
        .await;
    for word in ["a", "b", "c"] {
        for job in &jobs {
            api.store.say(*job, [text(word)]);
        }
        tokio::task::yield_now().await;
    }
    for job in &jobs {
        api.store.say(*job, [completed()]);
    }
    for answer in asked {
        let mut answer = within("an answer", answer).await.expect("an answer");
        let all = answer.rest().await.expect("an orderly end");
        assert_eq!(all, "data: a\n\ndata: b\n\ndata: c\n\ndata: [DONE]\n\n");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_reading_means_no_reading() {
    let api = Api::start().await;
    tokio::time::sleep(limits::SWEEP * 20).await;
    assert_eq!(api.store.reads.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_reader_is_not_bound_to_its_api() {
    // The job lives in the store alone: an api that never heard of it can tell it.
    let first = Api::start().await;
    let job = job(&first).await;
    first.store.say(job, [completed()]);
    let second = Api::start().await;
    let row = first.store.lock().jobs[&job].clone();
    second.store.lock().jobs.insert(job, row);
    let mut answer = second.get(&format!("/v1/jobs/{job}/events")).await;
    assert!(answer.rest().await.expect("an orderly end").contains("event: completed"));
}

/// A tail that nobody feeds, and a job with three events.
async fn unfed() -> (Arc<FakeStore>, Arc<Tail>, JobId) {
    let api = Api::start().await;
    let job = job(&api).await;
    api.store.say(job, [text("second"), text("third")]);
    let store = Arc::new(FakeStore::default());
    let row = api.store.lock().jobs[&job].clone();
    store.lock().jobs.insert(job, row);
    let shared = Arc::clone(&store) as Arc<dyn Store>;
    (store, Arc::new(Tail::new(shared, Clock::system(), limits::RETURN_GRACE, CancellationToken::new())), job)
}

#[tokio::test]
async fn a_gap_is_filled_from_the_store() {
    let (store, tail, job) = unfed().await;
    let reader = tail.open_new(job, false);
    store.say(job, [completed()]);
    tail.skip_to(job, 2).await;
    assert_eq!(read_all(reader).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn what_a_client_claims_to_have_is_not_believed() {
    for (after, expected) in [(3, 3), (4, 3), (1_000, 3)] {
        let (_store, tail, job) = unfed().await;
        let mut reader = tail.open(job, after, false);
        let next = tokio::time::timeout(std::time::Duration::from_millis(50), reader.next()).await;
        assert!(next.is_err(), "there is nothing new");
        assert_eq!(tail.next_read(), Some(expected), "after {after}");
    }
}
