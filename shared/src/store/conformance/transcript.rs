//! What is kept of a session for resuming it.

use uuid::Uuid;

use super::bench::{Bench, Hand, NOW, completed, enqueue_this, give_back, new_job, say};
use super::desk::Desk;
use crate::schema::{LeaseToken, limits};
use crate::store::{Appended, Claim, Lease};

/// Entries as the CLI writes them: lines of JSON, a few more than one statement stores.
fn entries(from: usize, count: usize) -> Vec<String> {
    (from..from + count).map(|number| format!(r#"{{"number":{number},"text":"zwölf 🐕"}}"#)).collect()
}

async fn remember(hand: &Hand, lease: &Lease, desk: &Desk, entries: &[String]) -> Appended {
    hand.store.remember(lease, desk.session.id, entries, NOW + 1).await.expect("a store")
}

async fn told(hand: &Hand, desk: &Desk) -> Option<Vec<String>> {
    hand.store.transcript(desk.session.id).await.expect("a store")
}

async fn take(hand: &Hand, desk: &Desk) -> Claim {
    let id = enqueue_this(&hand.store, desk.job()).await;
    let claim = hand.take(NOW).await;
    assert_eq!(claim.lease.job, id);
    claim
}

async fn finish(hand: &Hand, claim: &Claim, desk: &Desk) {
    assert_eq!(hand.append(say(claim, 1, &[completed()])).await, Appended::Stored);
    assert!(hand.store.release(&hand.id, desk.project.id).await.expect("a store"));
}

pub(in crate::store) async fn a_transcript_is_told_in_order_across_workers(bench: &dyn Bench) {
    let (first, second) = (Hand::hire(bench, "first").await, Hand::hire(bench, "second").await);
    let desk = Desk::open(&first.store).await;
    assert_eq!(told(&second, &desk).await, Some(Vec::new()));
    let all = entries(0, limits::CHUNKS_PER_INSERT + 500);
    let claim = take(&first, &desk).await;
    assert_eq!(remember(&first, &claim.lease, &desk, &all[..7]).await, Appended::Stored);
    assert_eq!(remember(&first, &claim.lease, &desk, &[]).await, Appended::Stored);
    assert_eq!(remember(&first, &claim.lease, &desk, &all[7..9]).await, Appended::Stored);
    finish(&first, &claim, &desk).await;

    assert_eq!(told(&second, &desk).await.as_deref(), Some(&all[..9]));
    let claim = take(&second, &desk).await;
    assert_eq!(remember(&second, &claim.lease, &desk, &all[9..]).await, Appended::Stored);
    finish(&second, &claim, &desk).await;
    assert_eq!(told(&first, &desk).await, Some(all));
    let session = first.store.session(desk.session.id).await.expect("a store").expect("a session");
    assert_eq!(session.updated_at_ms, NOW + 1);
    assert_eq!(first.store.transcript(Desk::new().session.id).await.expect("a store"), None);
}

pub(in crate::store) async fn only_the_holder_of_the_lease_is_remembered(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let (desk, other) = (Desk::open(&hand.store).await, Desk::open(&hand.store).await);
    let claim = take(&hand, &desk).await;
    let chat = enqueue_this(&hand.store, new_job()).await;
    let chat = Lease { job: chat, ..hand.take(NOW).await.lease };
    let stolen = Lease { token: LeaseToken(Uuid::new_v4()), ..claim.lease.clone() };
    for (lease, desk) in [(&stolen, &desk), (&claim.lease, &other), (&chat, &desk)] {
        assert_eq!(remember(&hand, lease, desk, &entries(0, 1)).await, Appended::Fenced);
    }
    finish(&hand, &claim, &desk).await;
    assert_eq!(remember(&hand, &claim.lease, &desk, &entries(0, 1)).await, Appended::Fenced, "it has ended");
    assert_eq!(told(&hand, &desk).await, Some(Vec::new()));
    assert_eq!(told(&hand, &other).await, Some(Vec::new()));
}

pub(in crate::store) async fn a_transcript_that_outgrows_its_limit_is_gone_for_good(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let (wide, long) = (Desk::open(&hand.store).await, Desk::open(&hand.store).await);
    let too_large = "x".repeat(limits::TRANSCRIPT_ENTRY_BYTES + 1);
    let largest = too_large[1..].to_owned();

    let claim = take(&hand, &wide).await;
    let batch = [entries(0, 1), vec![too_large], entries(1, 1)].concat();
    assert_eq!(remember(&hand, &claim.lease, &wide, &entries(0, 1)).await, Appended::Stored);
    assert_eq!(remember(&hand, &claim.lease, &wide, &batch).await, Appended::Full);
    assert_eq!(remember(&hand, &claim.lease, &wide, &entries(2, 1)).await, Appended::Full, "it has a hole");
    assert_eq!(told(&hand, &wide).await, None);
    finish(&hand, &claim, &wide).await;
    assert!(!take(&hand, &wide).await.unbroken, "the session goes on");

    let claim = take(&hand, &long).await;
    let fit = limits::TRANSCRIPT_BYTES / limits::TRANSCRIPT_ENTRY_BYTES;
    for _ in 0..fit {
        let stored = remember(&hand, &claim.lease, &long, std::slice::from_ref(&largest)).await;
        assert_eq!(stored, Appended::Stored);
    }
    assert_eq!(told(&hand, &long).await.map(|entries| entries.len()), Some(fit));
    assert_eq!(remember(&hand, &claim.lease, &long, &["x".to_owned()]).await, Appended::Full);
    assert_eq!(told(&hand, &long).await, None);
}

pub(in crate::store) async fn what_an_attempt_added_goes_when_its_job_is_run_again(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let desk = Desk::open(&hand.store).await;
    let all = entries(0, 6);
    let claim = take(&hand, &desk).await;
    remember(&hand, &claim.lease, &desk, &all[..2]).await;
    finish(&hand, &claim, &desk).await;

    let lost = take(&hand, &desk).await;
    remember(&hand, &lost.lease, &desk, &entries(100, 3)).await;
    hand.append(give_back(&lost, 0)).await;
    assert_eq!(told(&hand, &desk).await.as_deref(), Some(&all[..2]));
    let again = hand.take(NOW).await;
    assert_eq!(again.lease.job, lost.lease.job);
    assert_eq!(remember(&hand, &lost.lease, &desk, &entries(200, 1)).await, Appended::Fenced);
    remember(&hand, &again.lease, &desk, &all[2..]).await;
    finish(&hand, &again, &desk).await;
    assert_eq!(told(&hand, &desk).await, Some(all));
}
