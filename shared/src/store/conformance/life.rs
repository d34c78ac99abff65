//! A job's life.

use super::bench::{
    Bench, Hand, NOW, assert_ended, completed, enqueue, events, job, new_job, opening, say, started, text,
};
use crate::schema::{JobState, SeqEvent, Usage};
use crate::store::{Appended, Enqueued};

pub(in crate::store) async fn a_job_is_told_from_beginning_to_end(bench: &dyn Bench) {
    let api = bench.handle().await;
    let hand = Hand::hire(bench, "w").await;
    let asked = new_job();
    assert_eq!(api.enqueue(&asked, 1).await.expect("a store"), Enqueued::Added);
    let queued = job(&api, asked.id).await;
    assert_eq!(
        (queued.state, queued.model.as_str(), queued.owner),
        (JobState::Queued, "sonnet", asked.owner)
    );

    let claim = hand.take(NOW + 7).await;
    assert_eq!((&*claim.spec, claim.last_seq, claim.lease.attempt), (&asked.spec, 0, 1));
    let running = job(&api, asked.id).await;
    assert_eq!(
        (running.state, running.attempts, running.worker),
        (JobState::Running, 1, Some(hand.id.clone()))
    );
    assert_eq!((running.started_at_ms, running.usage), (Some(NOW + 7), None));
    assert!(hand.claim(NOW + 8).await.is_none());

    let said = [started(1), opening(), text(" a"), text("b "), completed()];
    assert_eq!(hand.append(say(&claim, 1, &said[..2])).await, Appended::Stored);
    assert_eq!(hand.append(say(&claim, 3, &said[2..])).await, Appended::Stored);
    let numbered = (1..).zip(said).map(|(seq, event)| SeqEvent { seq, attempt: 1, event });
    assert_eq!(events(&api, asked.id).await, numbered.collect::<Vec<_>>());
    let ended = job(&api, asked.id).await;
    assert_eq!((ended.state, ended.finished_at_ms, ended.failure), (JobState::Completed, Some(NOW), None));
    assert_eq!(ended.usage, Some(Usage { input_tokens: 3, output_tokens: 5, ..Usage::default() }));
    assert_ended(&api, asked.id, JobState::Completed).await;
    assert!(hand.claim(NOW + 9).await.is_none());
    assert_eq!(hand.rescue(NOW + 10).await, 0);
}

pub(in crate::store) async fn a_full_queue_takes_no_more(bench: &dyn Bench) {
    let api = bench.handle().await;
    let (first, second) = (new_job(), new_job());
    assert_eq!(api.enqueue(&first, 1).await.expect("a store"), Enqueued::Added);
    assert_eq!(api.enqueue(&second, 1).await.expect("a store"), Enqueued::QueueFull);
    assert!(api.job(second.id).await.expect("a store").is_none());
    Hand::hire(bench, "w").await.take(NOW).await;
    let outcome = api.enqueue(&second, 1).await.expect("a store");
    assert_eq!(outcome, Enqueued::Added, "running jobs do not wait");
}

pub(in crate::store) async fn events_are_read_from_any_number(bench: &dyn Bench) {
    let api = bench.handle().await;
    let hand = Hand::hire(bench, "w").await;
    let id = enqueue(&api).await;
    assert!(events(&api, id).await.is_empty());
    let claim = hand.take(NOW).await;
    let words: Vec<_> = (1..=11).map(|number| text(&number.to_string())).collect();
    hand.append(say(&claim, 1, &words[..3])).await;
    hand.append(say(&claim, 4, &words[3..10])).await;
    hand.append(say(&claim, 11, &words[10..])).await;
    for (after, limit, first, last) in [
        (0, 100, 1, 11),
        (0, 1, 1, 3),
        (2, 1, 3, 3),
        (2, 2, 3, 10),
        (5, 100, 6, 11),
        (9, 1, 10, 10),
        (10, 1, 11, 11),
    ] {
        let read = api.events(id, after, limit).await.expect("a store");
        let seqs: Vec<u64> = read.iter().map(|event| event.seq).collect();
        assert_eq!(seqs, (first..=last).collect::<Vec<_>>(), "after {after}, limit {limit}");
        assert!(
            read.iter().all(|event| event.event == words[usize::try_from(event.seq).expect("small") - 1])
        );
    }
    for after in [11, 12, u64::MAX] {
        assert!(api.events(id, after, 100).await.expect("a store").is_empty());
    }
    assert!(api.events(new_job().id, 0, 100).await.expect("a store").is_empty());
}

pub(in crate::store) async fn only_old_jobs_are_pruned(bench: &dyn Bench) {
    let api = bench.handle().await;
    let hand = Hand::hire(bench, "w").await;
    let mut ended = Vec::new();
    for number in 0..3 {
        ended.push(enqueue(&api).await);
        let claim = hand.take(NOW).await;
        hand.store.append(&[say(&claim, 1, &[completed()])], NOW + number).await.expect("an append");
    }
    let (waiting, running) = (enqueue(&api).await, enqueue(&api).await);
    hand.take(NOW).await;
    assert_eq!(api.prune(NOW + 2, 1).await.expect("a store"), 1, "at most the limit");
    assert!(api.job(ended[0]).await.expect("a store").is_none(), "the oldest first");
    assert_eq!(api.prune(NOW + 2, 100).await.expect("a store"), 1);
    assert!(api.job(ended[1]).await.expect("a store").is_none() && events(&api, ended[1]).await.is_empty());
    for kept in [ended[2], waiting, running] {
        job(&api, kept).await;
    }
    assert_eq!(api.prune(NOW + 2, 100).await.expect("a store"), 0);
}
