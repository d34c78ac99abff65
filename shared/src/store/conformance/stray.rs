//! Tasks are wake-ups: none of what may befall them harms a job.

use super::bench::{Bench, Hand, NOW, Tamper, assert_ended, completed, enqueue, give_back, new_job, say};
use crate::schema::JobState;

pub(in crate::store) async fn unreadable_tasks_are_put_away(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    bench.tamper(Tamper::AddUnreadableTask).await;
    bench.tamper(Tamper::AddUnreadableTask).await;
    let id = enqueue(&hand.store).await;
    assert_eq!(hand.take(NOW).await.lease.job, id, "in the same call");
    assert!(hand.claim(NOW).await.is_none());
}

pub(in crate::store) async fn tasks_without_a_job_are_put_away(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    bench.tamper(Tamper::AddTask(new_job().id)).await;
    let id = enqueue(&hand.store).await;
    assert_eq!(hand.take(NOW).await.lease.job, id);
    assert!(hand.claim(NOW).await.is_none());
}

pub(in crate::store) async fn doubled_tasks_run_once(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = enqueue(&hand.store).await;
    bench.tamper(Tamper::AddTask(id)).await;
    bench.tamper(Tamper::AddTask(id)).await;
    let claim = hand.take(NOW).await;
    assert!(hand.claim(NOW).await.is_none(), "it runs");
    hand.append(give_back(&claim, 0)).await;
    bench.tamper(Tamper::AddTask(id)).await;
    let claim = hand.take(NOW).await;
    hand.append(say(&claim, 1, &[completed()])).await;
    bench.tamper(Tamper::AddTask(id)).await;
    assert!(hand.claim(NOW).await.is_none(), "it has ended");
    assert_ended(&hand.store, id, JobState::Completed).await;
    assert_eq!(hand.rescue(NOW).await, 0);
}

pub(in crate::store) async fn lost_tasks_are_made_again(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = enqueue(&hand.store).await;
    bench.tamper(Tamper::LoseTasks(id)).await;
    assert!(hand.claim(NOW).await.is_none());
    assert_eq!(hand.rescue(NOW).await, 1);
    assert_eq!(hand.rescue(NOW).await, 0);
    let claim = hand.take(NOW).await;
    bench.tamper(Tamper::LoseTasks(id)).await;
    hand.append(give_back(&claim, 0)).await;
    assert_eq!(hand.rescue(NOW).await, 1);
    let claim = hand.take(NOW).await;
    bench.tamper(Tamper::LoseTasks(id)).await;
    hand.append(say(&claim, 1, &[completed()])).await;
    assert_ended(&hand.store, id, JobState::Completed).await;
}
