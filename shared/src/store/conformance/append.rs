//! Writing under a lease.

use uuid::Uuid;

use super::bench::{
    Bench, Hand, NOW, assert_ended, completed, enqueue, enqueue_this, events, give_back, job, new_job, say,
    started, text,
};
use crate::schema::{
    CancelReason, Change, Changes, Event, FailureKind, FileChange, JobState, LeaseToken, limits,
};
use crate::store::{Append, Appended, Claim, GiveBack, Lease, News};

pub(in crate::store) async fn a_lost_lease_writes_nothing_and_harms_nobody(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let (first, second) = (enqueue(&hand.store).await, enqueue(&hand.store).await);
    let (one, two) = (hand.take(NOW).await, hand.take(NOW).await);
    let stolen = Lease { token: LeaseToken(Uuid::new_v4()), ..one.lease.clone() };
    let stranger = Lease { job: new_job().id, ..one.lease.clone() };
    let batch = [
        Append { lease: stolen.clone(), ..say(&one, 1, &[text("stolen"), completed()]) },
        say(&two, 1, &[text("kept")]),
        Append { lease: stranger, ..say(&one, 1, &[text("nobody's")]) },
        Append { lease: stolen, ..give_back(&one, 0) },
    ];
    let outcomes = hand.store.append(&batch, NOW).await.expect("an append");
    assert_eq!(outcomes, [Appended::Fenced, Appended::Stored, Appended::Fenced, Appended::Fenced]);
    assert_eq!(job(&hand.store, first).await.state, JobState::Running);
    assert!(events(&hand.store, first).await.is_empty());
    assert_eq!(events(&hand.store, second).await.len(), 1);
}

pub(in crate::store) async fn of_many_jobs_those_with_news_are_told(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let (first, second, third) =
        (enqueue(&hand.store).await, enqueue(&hand.store).await, enqueue(&hand.store).await);
    let (one, two) = (hand.take(NOW).await, hand.take(NOW).await);
    let batch = [say(&one, 1, &[started(1), text("a")]), say(&two, 1, &[started(1)])];
    hand.store.append(&batch, NOW).await.expect("an append");
    let news = async |known: &[_]| hand.store.news(known).await.expect("a store");
    assert!(news(&[]).await.is_empty());
    assert_eq!(news(&[(first, 1), (second, 1), (third, 0)]).await, [News::Events(first)]);
    let both = [News::Events(second), News::Events(first)];
    assert_eq!(news(&[(third, 0), (second, 0), (first, 0)]).await, both);
    assert!(news(&[(first, 2), (second, u64::MAX)]).await.is_empty());
    hand.append(say(&one, 3, &[completed()])).await;
    hand.store.cancel(third, CancelReason::Requested, NOW).await.expect("a store");
    let unknown = new_job().id;
    let all = [News::Events(first), News::Over(first), News::Events(third), News::Over(unknown)];
    assert_eq!(news(&[(first, 2), (first, 3), (second, 1), (third, 0), (unknown, 0)]).await, all);
}

pub(in crate::store) async fn two_attempts_of_one_process_are_told_apart(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = enqueue(&hand.store).await;
    let lost = hand.take(NOW).await;
    hand.append(give_back(&lost, 0)).await;
    let held = hand.take(NOW).await;
    let batch = [say(&lost, 1, &[completed()]), say(&held, 1, &[text("kept")])];
    let outcomes = hand.store.append(&batch, NOW).await.expect("an append");
    assert_eq!(outcomes, [Appended::Fenced, Appended::Stored]);
    assert_eq!(job(&hand.store, id).await.state, JobState::Running);
    assert_eq!(events(&hand.store, id).await[0].event, text("kept"));
}

pub(in crate::store) async fn nothing_follows_the_end(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = enqueue(&hand.store).await;
    let claim = hand.take(NOW).await;
    let batch = [say(&claim, 1, &[text("a")]), say(&claim, 2, &[completed()]), say(&claim, 3, &[text("b")])];
    let outcomes = hand.store.append(&batch, NOW).await.expect("an append");
    assert_eq!(outcomes, [Appended::Stored, Appended::Stored, Appended::Fenced]);
    assert_eq!(hand.append(say(&claim, 3, &[text("c")])).await, Appended::Fenced);
    assert_ended(&hand.store, id, JobState::Completed).await;
}

pub(in crate::store) async fn the_job_knows_what_it_has_done_to_files(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = enqueue(&hand.store).await;
    let claim = hand.take(NOW).await;
    assert_eq!(job(&hand.store, id).await.changes, None);
    let file = FileChange { path: "src/a.rs".to_owned(), change: Change::Created };
    let changes = Changes { files: vec![file], complete: true };
    let last = say(&claim, 1, &[text("a"), Event::FilesChanged(changes.clone()), completed()]);
    assert_eq!(hand.append(last).await, Appended::Stored);
    assert_eq!(job(&hand.store, id).await.changes, Some(changes));
    assert_ended(&hand.store, id, JobState::Completed).await;
}

pub(in crate::store) async fn storing_twice_is_storing_once(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = enqueue(&hand.store).await;
    let claim = hand.take(NOW).await;
    for _ in 0..2 {
        assert_eq!(hand.append(say(&claim, 1, &[text("a"), text("b")])).await, Appended::Stored);
    }
    assert_eq!(hand.append(say(&claim, 1, &[text("a"), text("b"), text("c")])).await, Appended::Stored);
    let read = events(&hand.store, id).await;
    let words: Vec<_> = read.into_iter().map(|event| (event.seq, event.event)).collect();
    assert_eq!(words, [(1, text("a")), (2, text("b")), (3, text("c"))]);
}

pub(in crate::store) async fn sequence_numbers_rise_across_attempts(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = enqueue(&hand.store).await;
    let first = hand.take(NOW).await;
    let failed =
        Append { give_back: Some(GiveBack::Failed { after_ms: 0 }), ..say(&first, 1, &[started(1)]) };
    assert_eq!(hand.append(failed).await, Appended::Stored);
    assert_eq!(job(&hand.store, id).await.state, JobState::Queued);
    let second = hand.take(NOW).await;
    assert_eq!((second.last_seq, second.lease.attempt), (1, 2));
    assert_eq!(hand.append(say(&first, 2, &[text("late")])).await, Appended::Fenced);
    assert_eq!(hand.append(say(&second, 2, &[started(2), completed()])).await, Appended::Stored);
    let attempts: Vec<u32> = events(&hand.store, id).await.iter().map(|event| event.attempt).collect();
    assert_eq!(attempts, [1, 2, 2]);
    assert_ended(&hand.store, id, JobState::Completed).await;
}

pub(in crate::store) async fn a_requeued_job_waits_to_the_millisecond(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    enqueue(&hand.store).await;
    let claim = hand.take(NOW).await;
    hand.append(give_back(&claim, 1_250)).await;
    assert!(hand.claim(NOW + 1_249).await.is_none());
    assert_eq!(hand.rescue(NOW).await, 0, "it has its task");
    hand.take(NOW + 1_250).await;
}

pub(in crate::store) async fn a_job_that_cannot_go_back_ends(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let give_up = async |claim: &Claim| assert_eq!(hand.append(give_back(claim, 0)).await, Appended::Stored);

    let cancelled = enqueue(&hand.store).await;
    let claim = hand.take(NOW).await;
    hand.store.cancel(cancelled, CancelReason::Requested, NOW).await.expect("a store");
    give_up(&claim).await;
    assert_ended(&hand.store, cancelled, JobState::Cancelled).await;

    let last = enqueue_this(&hand.store, crate::schema::NewJob { max_attempts: 1, ..new_job() }).await;
    give_up(&hand.take(NOW).await).await;
    let end = assert_ended(&hand.store, last, JobState::Failed).await;
    assert!(matches!(end, Event::Failed { failure, .. } if failure.kind == FailureKind::AttemptsExhausted));
    assert!(hand.claim(NOW).await.is_none());
}

pub(in crate::store) async fn a_stopping_worker_costs_a_job_no_attempt(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = enqueue_this(&hand.store, crate::schema::NewJob { max_attempts: 1, ..new_job() }).await;
    let give_back = async |claim: &Claim, why| {
        let append = Append { give_back: Some(why), ..say(claim, claim.last_seq + 1, &[]) };
        assert_eq!(hand.append(append).await, Appended::Stored);
    };
    for attempt in 1..limits::ATTEMPTS_ALTOGETHER {
        let claim = hand.take(NOW).await;
        assert_eq!(
            (claim.lease.attempt, claim.max_attempts),
            (attempt, attempt),
            "it is always the last one"
        );
        give_back(&claim, GiveBack::Stopped).await;
        assert_eq!(hand.append(say(&claim, 1, &[text("late")])).await, Appended::Fenced);
    }
    give_back(&hand.take(NOW).await, GiveBack::Stopped).await;
    let end = assert_ended(&hand.store, id, JobState::Failed).await;
    assert!(matches!(end, Event::Failed { failure, .. } if failure.kind == FailureKind::AttemptsExhausted));

    let id = enqueue(&hand.store).await;
    give_back(&hand.take(NOW).await, GiveBack::Stopped).await;
    for _ in 0..3 {
        give_back(&hand.take(NOW).await, GiveBack::Failed { after_ms: 0 }).await;
    }
    assert_ended(&hand.store, id, JobState::Failed).await;
}

pub(in crate::store) async fn a_large_batch_is_one_commit(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = enqueue(&hand.store).await;
    let claim = hand.take(NOW).await;
    let many: u64 = 6_000;
    let mut batch: Vec<_> = (1..many).map(|seq| say(&claim, seq, &[text("x")])).collect();
    batch.push(say(&claim, many, &[completed()]));
    let outcomes = hand.store.append(&batch, NOW).await.expect("an append");
    assert!(outcomes.iter().all(|outcome| *outcome == Appended::Stored));
    assert_ended(&hand.store, id, JobState::Completed).await;
    assert_eq!(events(&hand.store, id).await.len(), batch.len());
}
