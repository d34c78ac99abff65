//! API keys: what is known of them, and what they may use.

use std::sync::Arc;

use super::bench::{Bench, Hand, NOW, completed, completed_with, enqueue_this, give_back, job, new_job, say};
use super::ledger::{call, call_of};
use crate::schema::{
    ApiKey, Call, CancelReason, Denied, FailureKind, JobState, KeyChange, KeyDigest, KeyLimits, NewJob,
    Owner, Sampling, Scope, Terms, Usage,
};
use crate::store::{Append, Appended, Claim, Enqueued, KeyAdded, Millis, Store};

fn key(number: u8, limits: KeyLimits) -> (ApiKey, KeyDigest) {
    let key = ApiKey {
        owner: Owner(format!("key_{number:016x}")),
        name: format!("Schlüssel {number}"),
        scopes: [Scope::Chat, Scope::Jobs].into_iter().collect(),
        limits,
        priority: 0,
        created_at_ms: NOW - 1_000 + i64::from(number),
        expires_at_ms: None,
        last_used_at_ms: None,
        revoked_at_ms: None,
    };
    (key, [number; 32])
}

pub(super) async fn issue(store: &Arc<dyn Store>, number: u8, limits: KeyLimits) -> Owner {
    let (key, digest) = key(number, limits);
    let added = store.keys().create(&key, &digest, 100).await.expect("a store");
    assert_eq!(added, KeyAdded::Added);
    key.owner
}

pub(super) fn job_of(owner: &Owner, now: Millis) -> NewJob {
    NewJob { owner: owner.clone(), created_at_ms: now, deadline_at_ms: now + 86_400_000, ..new_job() }
}

async fn ask(store: &Arc<dyn Store>, owner: &Owner, now: Millis) -> Enqueued {
    store.enqueue(&job_of(owner, now), 1_000).await.expect("a store")
}

pub(in crate::store) async fn keys_are_kept_as_they_were_made(bench: &dyn Bench) {
    let store = bench.handle().await;
    let all = KeyLimits {
        requests_per_minute: Some(1),
        tokens_per_minute: Some(2),
        concurrent_jobs: Some(3),
        queued_jobs: Some(4),
        daily_budget_microusd: Some(0),
        monthly_budget_microusd: Some(6),
    };
    let before = store.keys().revision().await.expect("a store");
    let (second, second_digest) = key(2, all);
    let (first, first_digest) = key(1, KeyLimits::default());
    let keys = store.keys();
    assert_eq!(keys.create(&second, &second_digest, 2).await.expect("a store"), KeyAdded::Added);
    assert_eq!(keys.create(&second, &[9; 32], 2).await.expect("a store"), KeyAdded::Known);
    assert_eq!(keys.create(&first, &second_digest, 2).await.expect("a store"), KeyAdded::Known);
    assert_eq!(keys.create(&first, &first_digest, 2).await.expect("a store"), KeyAdded::Added);
    let (third, third_digest) = key(3, all);
    assert_eq!(keys.create(&third, &third_digest, 2).await.expect("a store"), KeyAdded::Full);
    let told = keys.all().await.expect("a store");
    assert_eq!(told.iter().map(|known| known.digest).collect::<Vec<_>>(), [first_digest, second_digest]);
    assert_eq!(told.into_iter().map(|known| known.key).collect::<Vec<_>>(), [first.clone(), second.clone()]);
    let after = keys.revision().await.expect("a store");
    assert!(after > before);

    let change = KeyChange { requests_per_minute: Some(None), priority: Some(-7), ..KeyChange::default() };
    let changed = keys.change(&second.owner, change).await.expect("a store").expect("a key");
    let limits = KeyLimits { requests_per_minute: None, ..all };
    assert_eq!(changed, ApiKey { priority: -7, limits, ..second });
    keys.note_use(&[(first.owner.clone(), NOW + 7), (Owner("key_none".to_owned()), NOW)])
        .await
        .expect("a store");
    keys.note_use(&[(first.owner.clone(), NOW + 5)]).await.expect("a store");
    let revoked = keys.revoke(&first.owner, NOW + 9).await.expect("a store").expect("a key");
    assert_eq!((revoked.last_used_at_ms, revoked.revoked_at_ms), (Some(NOW + 7), Some(NOW + 9)));
    assert_eq!(
        keys.revoke(&first.owner, NOW + 10).await.expect("a store"),
        Some(revoked.clone()),
        "once and for all"
    );
    assert_eq!(keys.find(&first.owner).await.expect("a store"), Some(revoked));
    assert_eq!(keys.find(&third.owner).await.expect("a store"), None);
    assert_eq!(keys.revoke(&third.owner, NOW).await.expect("a store"), None);
    assert!(keys.revision().await.expect("a store") > after);
}

pub(in crate::store) async fn only_so_many_requests_a_minute(bench: &dyn Bench) {
    let store = bench.handle().await;
    let limits = KeyLimits { requests_per_minute: Some(3), ..KeyLimits::default() };
    let owner = issue(&store, 1, limits).await;
    let denied = |after_ms| Enqueued::Denied(Denied::Requests { limit: 3, after_ms });
    for _ in 0..3 {
        // What is refused for another reason costs nothing.
        assert_eq!(store.enqueue(&job_of(&owner, NOW), 0).await.expect("a store"), Enqueued::QueueFull);
        assert_eq!(ask(&store, &owner, NOW).await, Enqueued::Added);
    }
    let spec = job_of(&owner, NOW).spec;
    let foreseen = store.keys().denied(&owner, &spec, NOW).await.expect("a store");
    assert_eq!(foreseen, Some(Denied::Requests { limit: 3, after_ms: 20_000 }));
    assert_eq!(ask(&store, &owner, NOW).await, denied(20_000));
    assert_eq!(ask(&store, &owner, NOW + 19_000).await, denied(1_000));
    let other = bench.handle().await;
    assert_eq!(
        store.keys().denied(&owner, &spec, NOW + 20_000).await.expect("a store"),
        None,
        "which takes nothing"
    );
    assert_eq!(ask(&other, &owner, NOW + 20_000).await, Enqueued::Added, "it refills");
    assert_eq!(ask(&other, &owner, NOW).await, denied(20_000), "and no clock that is behind fills it");
    let gauge =
        other.keys().allowance(&owner, NOW + 40_000).await.expect("a store").requests.expect("a limit");
    assert_eq!((gauge.limit, gauge.remaining, gauge.reset_ms), (3, 1, 40_000));
    assert_eq!(ask(&store, &Owner::anonymous(), NOW).await, Enqueued::Added, "others have no such limit");
}

pub(in crate::store) async fn tokens_are_set_aside_and_settled(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let store = &hand.store;
    let owner = issue(store, 1, KeyLimits { tokens_per_minute: Some(1_000), ..KeyLimits::default() }).await;
    let wish = |most: u32| {
        let mut job = job_of(&owner, NOW);
        job.spec.sampling = Sampling { max_tokens: Some(most), ..Sampling::default() };
        job
    };
    let left = async || {
        let allowance = store.keys().allowance(&owner, NOW).await.expect("a store");
        allowance.tokens.expect("a limit").remaining
    };
    let prompt = wish(0).spec.estimated_tokens();
    let first = wish(600);
    assert_eq!(store.enqueue(&first, 10).await.expect("a store"), Enqueued::Added);
    assert_eq!(left().await, 400 - prompt);
    let refused = store.enqueue(&wish(600), 10).await.expect("a store");
    assert!(
        matches!(refused, Enqueued::Denied(Denied::Tokens { limit: 1_000, after_ms: 1.. })),
        "{refused:?}"
    );
    let claim = hand.take(NOW).await;
    let usage = Usage { input_tokens: 50, output_tokens: 100, cache_read_tokens: 50, ..Usage::default() };
    hand.append(used(&claim, 1, usage)).await;
    assert_eq!(left().await, 800, "what was used is gone, and nothing else");
    // One that uses more than it was taken for leaves a debt.
    assert_eq!(store.enqueue(&wish(10), 10).await.expect("a store"), Enqueued::Added);
    let claim = hand.take(NOW).await;
    let usage = Usage { output_tokens: 1_800, ..Usage::default() };
    hand.append(used(&claim, 1, usage)).await;
    let indebted =
        store.enqueue(&NewJob { created_at_ms: NOW + 59_000, ..wish(1) }, 10).await.expect("a store");
    assert!(matches!(indebted, Enqueued::Denied(Denied::Tokens { .. })), "{indebted:?}");
    let paid = store.enqueue(&NewJob { created_at_ms: NOW + 62_000, ..wish(1) }, 10).await.expect("a store");
    assert_eq!(paid, Enqueued::Added);
    // What is called off before it has run has used nothing.
    let idle = issue(store, 2, KeyLimits { tokens_per_minute: Some(5_000), ..KeyLimits::default() }).await;
    let job = job_of(&idle, NOW);
    store.enqueue(&job, 10).await.expect("a store");
    store.cancel(job.id, CancelReason::Requested, NOW).await.expect("a store");
    let all = store.keys().allowance(&idle, NOW).await.expect("a store").tokens.expect("a limit");
    assert_eq!((all.remaining, all.reset_ms), (5_000, 0));
}

/// The end of a job, told with a call that was billed so much.
fn used(claim: &Claim, number: u32, usage: Usage) -> Append {
    Append {
        calls: vec![Call { usage, ..call(claim, number) }],
        ..say(claim, claim.last_seq + 1, &[completed_with(usage)])
    }
}

/// A key of 1,000 tokens a minute, and a job of its own for which 600 and its prompt's are set aside.
async fn thirsty(store: &Arc<dyn Store>, number: u8) -> (Owner, NewJob) {
    let limits =
        KeyLimits { tokens_per_minute: Some(1_000), requests_per_minute: Some(60), ..KeyLimits::default() };
    let owner = issue(store, number, limits).await;
    let mut job = job_of(&owner, NOW);
    job.spec.sampling = Sampling { max_tokens: Some(600), ..Sampling::default() };
    enqueue_this(store, job.clone()).await;
    (owner, job)
}

pub(in crate::store) async fn a_debt_is_not_paid_by_time_before_it(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let store = &hand.store;
    let (owner, _) = thirsty(store, 1).await;
    let claim = hand.take(NOW).await;
    // The bucket has long been full again when the job turns out to have used more than a minute's worth.
    let end = NOW + 60_000;
    let usage = Usage { output_tokens: 2_000, ..Usage::default() };
    store.append(&[used(&claim, 1, usage)], end).await.expect("a store");
    let allowance = async |now| store.keys().allowance(&owner, now).await.expect("a store");
    let at_once = allowance(end).await;
    assert_eq!(at_once.tokens.expect("a limit").remaining, 0);
    assert_eq!(at_once.requests.expect("a limit").remaining, 60, "of which as many are left as before");
    assert_eq!(allowance(end + 20_000).await.tokens.expect("a limit").remaining, 0);
    assert_eq!(allowance(end + 60_000).await.requests.expect("a limit").remaining, 60);
    // What is put back does not overflow, either.
    let (idle, job) = thirsty(store, 2).await;
    store.cancel(job.id, CancelReason::Requested, end).await.expect("a store");
    let tokens = store.keys().allowance(&idle, end).await.expect("a store").tokens.expect("a limit");
    assert_eq!((tokens.remaining, tokens.reset_ms), (1_000, 0));
    let refused = store.enqueue(&job_of(&owner, end + 19_000), 10).await.expect("a store");
    assert!(matches!(refused, Enqueued::Denied(Denied::Tokens { .. })), "{refused:?}");
}

pub(in crate::store) async fn every_attempt_is_paid_for(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let store = &hand.store;
    let (owner, _) = thirsty(store, 1).await;
    let left = async || {
        let allowance = store.keys().allowance(&owner, NOW).await.expect("a store");
        allowance.tokens.expect("a limit").remaining
    };
    let usage = |tokens| Usage { input_tokens: tokens, ..Usage::default() };
    let first = hand.take(NOW).await;
    let failed =
        Append { calls: vec![Call { usage: usage(100), ..call(&first, 1) }], ..give_back(&first, 0) };
    hand.append(failed).await;
    let second = hand.take(NOW).await;
    hand.append(used(&second, 1, usage(200))).await;
    assert_eq!(left().await, 700, "both attempts");
    // What the first worker tells when it has long lost the job is billed, too, and once.
    let late = Append {
        calls: vec![Call { usage: usage(50), ..call(&first, 2) }],
        ..say(&first, 9, &[completed()])
    };
    for _ in 0..2 {
        assert_eq!(hand.append(late.clone()).await, Appended::Fenced);
        assert_eq!(left().await, 650);
    }
    // So is what a worker had told before it died.
    let (poor, _) = thirsty(store, 2).await;
    let victim = Hand::hire(bench, "victim").await;
    let claim = victim.take(NOW).await;
    let begun = Append {
        calls: vec![Call { usage: usage(300), ..call(&claim, 1) }],
        ..say(&claim, 1, &[super::bench::text("Grü")])
    };
    victim.append(begun).await;
    hand.beat(NOW + 1).await;
    assert_eq!(hand.rescue(NOW + 1).await, 1);
    assert_eq!(job(store, claim.lease.job).await.state, JobState::Failed);
    let tokens = store.keys().allowance(&poor, NOW).await.expect("a store").tokens.expect("a limit");
    assert_eq!(tokens.remaining, 700);
}

pub(in crate::store) async fn only_valid_keys_count(bench: &dyn Bench) {
    let store = bench.handle().await;
    let keys = store.keys();
    let add = async |number: u8, expires_at_ms: Option<Millis>| {
        let (key, digest) = key(number, KeyLimits::default());
        let key = ApiKey { expires_at_ms, created_at_ms: NOW, ..key };
        keys.create(&key, &digest, 2).await.expect("a store")
    };
    assert_eq!(add(1, None).await, KeyAdded::Added);
    assert_eq!(add(2, Some(NOW + 1)).await, KeyAdded::Added);
    assert_eq!(add(3, None).await, KeyAdded::Full);
    keys.revoke(&key(1, KeyLimits::default()).0.owner, NOW).await.expect("a store");
    assert_eq!(add(3, Some(NOW)).await, KeyAdded::Added, "a revoked one leaves its place");
    assert_eq!(add(4, None).await, KeyAdded::Added, "and so does an expired one");
    assert_eq!(add(5, None).await, KeyAdded::Full);
    assert_eq!(keys.all().await.expect("a store").len(), 4, "though they are still known");
}

pub(in crate::store) async fn what_was_spent_long_ago_is_forgotten(bench: &dyn Bench) {
    const DAY: Millis = 86_400_000;
    let hand = Hand::hire(bench, "w").await;
    let limits = KeyLimits { monthly_budget_microusd: Some(10), ..KeyLimits::default() };
    let owner = issue(&hand.store, 1, limits).await;
    for day in 0..3 {
        // The job is as good a place as any for calls of other days.
        enqueue_this(&hand.store, NewJob { owner: Owner("other".to_owned()), ..job_of(&owner, NOW) }).await;
        let claim = hand.take(NOW).await;
        let spent = Call { owner: owner.clone(), ..call_of(&claim, NOW - day * DAY, 4) };
        hand.append(Append { calls: vec![spent], ..say(&claim, 1, &[completed()]) }).await;
    }
    let forget = async |before| hand.store.keys().forget_spent(before, 1).await.expect("a store");
    assert_eq!(ask(&hand.store, &owner, NOW).await, Enqueued::Denied(Denied::MonthlyBudget));
    assert_eq!(forget(NOW - 2 * DAY).await, 0, "a day is kept as a whole");
    assert_eq!((forget(NOW).await, forget(NOW).await, forget(NOW).await), (1, 1, 0));
    assert_eq!(ask(&hand.store, &owner, NOW).await, Enqueued::Added);
}

pub(in crate::store) async fn one_owner_leaves_room_for_others(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let of = |owner: &str, run_at_ms: Option<Millis>| NewJob {
        share: Some(2),
        terms: Terms { run_at_ms, ..Terms::default() },
        ..job_of(&Owner(owner.to_owned()), NOW)
    };
    let add = async |job: NewJob| hand.store.enqueue(&job, 4).await.expect("a store");
    let full = Enqueued::Denied(Denied::Share(2));
    for (run_at, expected) in [(None, Enqueued::Added), (None, Enqueued::Added), (None, full)] {
        assert_eq!(add(of("many", run_at)).await, expected);
    }
    // What is for later is counted for itself, as it is in the queue.
    let later = Some(NOW + 60_000);
    for expected in [Enqueued::Added, Enqueued::Added, full] {
        assert_eq!(add(of("many", later)).await, expected);
    }
    assert_eq!(add(of("many", None)).await, full);
    assert_eq!(
        add(NewJob { share: None, ..of("many", None) }).await,
        Enqueued::Added,
        "alone it may have all"
    );
    assert_eq!(add(of("one", None)).await, Enqueued::Added);
    assert_eq!(add(of("one", None)).await, Enqueued::QueueFull, "which is another matter");
    hand.take(NOW).await;
    hand.take(NOW).await;
    assert_eq!(add(of("one", None)).await, Enqueued::Added);
}

pub(in crate::store) async fn only_so_many_jobs_of_a_key_wait(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let owner = issue(&hand.store, 1, KeyLimits { queued_jobs: Some(2), ..KeyLimits::default() }).await;
    assert_eq!(ask(&hand.store, &owner, NOW).await, Enqueued::Added);
    assert_eq!(ask(&hand.store, &owner, NOW).await, Enqueued::Added);
    assert_eq!(ask(&hand.store, &owner, NOW).await, Enqueued::Denied(Denied::Queued(2)));
    let _running = hand.take(NOW).await;
    assert_eq!(ask(&hand.store, &owner, NOW).await, Enqueued::Added);
    assert_eq!(ask(&hand.store, &owner, NOW).await, Enqueued::Denied(Denied::Queued(2)));
}

pub(in crate::store) async fn many_at_once_get_no_more(bench: &dyn Bench) {
    let (one, two) = (bench.handle().await, bench.handle().await);
    let limits = KeyLimits { requests_per_minute: Some(10), ..KeyLimits::default() };
    let owner = issue(&one, 1, limits).await;
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..100 {
        let store = Arc::clone(if number % 2 == 0 { &one } else { &two });
        let owner = owner.clone();
        asking.spawn(async move { ask(&store, &owner, NOW).await });
    }
    let outcomes = asking.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Enqueued::Added).count(), 10);
}

pub(in crate::store) async fn a_key_that_is_gone_asks_for_nothing(bench: &dyn Bench) {
    let store = bench.handle().await;
    let owner = issue(&store, 1, KeyLimits::default()).await;
    let expiry = KeyChange { expires_at_ms: Some(Some(NOW + 1)), ..KeyChange::default() };
    store.keys().change(&owner, expiry).await.expect("a store");
    assert_eq!(ask(&store, &owner, NOW).await, Enqueued::Added);
    assert_eq!(ask(&store, &owner, NOW + 1).await, Enqueued::Denied(Denied::Key));
    store.keys().revoke(&owner, NOW).await.expect("a store");
    assert_eq!(ask(&store, &owner, NOW).await, Enqueued::Denied(Denied::Key));
}

pub(in crate::store) async fn what_is_spent_is_not_spent_again(bench: &dyn Bench) {
    /// 2025-10-09, a Thursday, as [`NOW`] is.
    const DAY: Millis = 86_400_000;
    let hand = Hand::hire(bench, "w").await;
    let store = &hand.store;
    let limits = KeyLimits {
        daily_budget_microusd: Some(100),
        monthly_budget_microusd: Some(150),
        ..KeyLimits::default()
    };
    let owner = issue(store, 1, limits).await;
    let spend = async |now: Millis, microusd: u64| {
        enqueue_this(store, job_of(&owner, now)).await;
        hand.beat(now).await;
        let claim = hand.take(now).await;
        let call = call_of(&claim, now, microusd);
        // Told twice, since its writer could not know that it was stored.
        let told = Append { calls: vec![call], ..say(&claim, 1, &[]) };
        hand.append(told.clone()).await;
        hand.append(Append { events: vec![completed_with(Usage::default())], ..told }).await;
    };
    spend(NOW, 99).await;
    let late = enqueue_this(store, job_of(&owner, NOW)).await;
    let claim = hand.take(NOW).await;
    assert_eq!(claim.lease.job, late);
    let waiting = enqueue_this(store, job_of(&owner, NOW)).await;
    hand.append(Append {
        calls: vec![call_of(&claim, NOW, 1)],
        ..say(&claim, 1, &[completed_with(Usage::default())])
    })
    .await;
    assert_eq!(ask(store, &owner, NOW).await, Enqueued::Denied(Denied::DailyBudget));
    assert!(hand.claim(NOW).await.is_none(), "nor is anything begun that waits");
    let failed = job(store, waiting).await;
    assert_eq!(failed.failure.map(|failure| failure.kind), Some(FailureKind::InsufficientQuota));
    spend(NOW + DAY, 50).await;
    assert_eq!(ask(store, &owner, NOW + DAY).await, Enqueued::Denied(Denied::MonthlyBudget));
    assert_eq!(
        ask(store, &owner, NOW + 22 * DAY).await,
        Enqueued::Denied(Denied::MonthlyBudget),
        "October 31st"
    );
    assert_eq!(ask(store, &owner, NOW + 23 * DAY).await, Enqueued::Added, "November 1st");
    store
        .keys()
        .change(&owner, KeyChange { daily_budget_microusd: Some(Some(0)), ..KeyChange::default() })
        .await
        .expect("a store");
    assert_eq!(
        ask(store, &owner, NOW + 23 * DAY).await,
        Enqueued::Denied(Denied::DailyBudget),
        "none at all"
    );
    assert_eq!(job(store, late).await.state, JobState::Completed);
}
