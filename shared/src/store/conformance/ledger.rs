//! What calls to providers have cost.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::bench::{Bench, Hand, NOW, completed, enqueue, give_back, say};
use crate::schema::{
    Call, CallOutcome, Dimension, FailureKind, JobId, Owner, ProjectId, SessionId, Usage, UsageQuery,
};
use crate::store::{Append, Appended, Claim, Millis};

const DAY_MS: i64 = 86_400_000;

/// The `number`th call of the claim's attempt.
pub(super) fn call(claim: &Claim, number: u32) -> Call {
    Call { owner: claim.owner.clone(), attempt: claim.lease.attempt, ..any(claim.lease.job, number) }
}

/// A call of the claim's, made at this time and at this cost.
pub(super) fn call_of(claim: &Claim, started_at_ms: Millis, cost_microusd: u64) -> Call {
    Call { started_at_ms, usage: Usage { cost_microusd, ..Usage::default() }, ..call(claim, 1) }
}

pub(super) fn any(job: JobId, number: u32) -> Call {
    Call {
        job,
        attempt: 1,
        number,
        owner: Owner::anonymous(),
        session: None,
        project: None,
        model: "sonnet".to_owned(),
        provider: "anthropic".to_owned(),
        provider_key: "0badcafe".to_owned(),
        upstream_model: "sonnet-5".to_owned(),
        started_at_ms: NOW,
        first_byte_ms: Some(12),
        took_ms: 34,
        outcome: CallOutcome::Answered,
        usage: Usage { input_tokens: 3, output_tokens: 5, cost_microusd: 7, ..Usage::default() },
    }
}

fn billing(append: Append, calls: Vec<Call>) -> Append {
    Append { calls, ..append }
}

fn everything() -> UsageQuery {
    UsageQuery { until_ms: i64::MAX, limit: 1_000, ..UsageQuery::default() }
}

pub(in crate::store) async fn calls_are_told_as_they_were_made(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = enqueue(&hand.store).await;
    let claim = hand.take(NOW).await;
    let failed = Call {
        session: Some(SessionId::from_uuid(Uuid::now_v7())),
        project: Some(ProjectId::from_uuid(Uuid::now_v7())),
        first_byte_ms: None,
        outcome: CallOutcome::Failed(FailureKind::ProviderOverloaded),
        usage: Usage { unpriced_calls: 1, web_searches: 2, thinking_tokens: 1, ..Usage::default() },
        ..call(&claim, 1)
    };
    let answered = call(&claim, 2);
    let calls = vec![answered.clone(), failed.clone()];
    let outcome = hand.append(billing(say(&claim, 1, &[]), calls.clone())).await;
    assert_eq!(outcome, Appended::Stored);
    // Its writer could not know that it was stored.
    hand.append(billing(say(&claim, 1, &[completed()]), calls)).await;
    assert_eq!(hand.store.calls(id).await.expect("calls"), [failed, answered]);
    assert_eq!(hand.store.calls(JobId::from_uuid(Uuid::now_v7())).await.expect("calls"), []);
}

pub(in crate::store) async fn calls_are_kept_whoever_holds_the_lease(bench: &dyn Bench) {
    let (one, two) = (Hand::hire(bench, "one").await, Hand::hire(bench, "two").await);
    let id = enqueue(&one.store).await;
    let first = one.take(NOW).await;
    two.beat(NOW + 1).await;
    assert_eq!(two.rescue(NOW + 1).await, 1);
    let second = two.take(NOW + 1).await;
    let late = one.append(billing(say(&first, 1, &[completed()]), vec![call(&first, 1)])).await;
    assert_eq!(late, Appended::Fenced, "it writes nothing, but what it has spent is known");
    two.append(billing(give_back(&second, 0), vec![call(&second, 1)])).await;
    let attempts: Vec<u32> =
        two.store.calls(id).await.expect("calls").iter().map(|call| call.attempt).collect();
    assert_eq!(attempts, [1, 2]);
}

pub(in crate::store) async fn sums_are_those_of_the_calls(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    enqueue(&hand.store).await;
    let claim = hand.take(NOW).await;
    let job = |n: u32| JobId::from_uuid(Uuid::from_u128(n.into()));
    let calls: Vec<Call> = (1..=200_u32)
        .map(|n| Call {
            owner: Owner(format!("key_{}", n % 2)),
            model: format!("m{}", n % 3),
            provider: format!("p{}", n % 5),
            outcome: if n % 7 == 0 { CallOutcome::BrokenOff } else { CallOutcome::Answered },
            started_at_ms: NOW + i64::from(n) * DAY_MS / 50,
            usage: Usage {
                input_tokens: n.into(),
                cost_microusd: u64::from(n) * 3,
                unpriced_calls: u64::from(n % 2),
                ..Usage::default()
            },
            ..any(job(n), 1)
        })
        .collect();
    hand.append(billing(say(&claim, 1, &[]), calls.clone())).await;
    let mine = Owner("key_1".to_owned());
    let (since_ms, until_ms) = (NOW + DAY_MS, NOW + 3 * DAY_MS);
    let group_by = vec![Dimension::Model, Dimension::Provider];
    let only = vec![(Dimension::Provider, "p1".to_owned())];
    let query = UsageQuery { owner: Some(mine.clone()), since_ms, until_ms, group_by, only, limit: 1_000 };
    let rows = hand.store.usage(&query).await.expect("usage");
    let mut expected: BTreeMap<(String, String), (u64, u64, Usage)> = BTreeMap::new();
    let in_time = |call: &&Call| (since_ms..until_ms).contains(&call.started_at_ms);
    for call in calls.iter().filter(in_time).filter(|call| call.owner == mine && call.provider == "p1") {
        let sum = expected.entry((call.model.clone(), call.provider.clone())).or_default();
        sum.0 += 1;
        sum.1 += u64::from(call.outcome != CallOutcome::Answered);
        sum.2 += call.usage;
    }
    let told: Vec<_> = rows.iter().map(|row| (row.calls, row.failed_calls, row.usage)).collect();
    assert_eq!(told, expected.values().copied().collect::<Vec<_>>());
    assert!(
        rows.len() > 1 && rows.iter().all(|row| row.group[1] == (Dimension::Provider, Some("p1".to_owned())))
    );
    let all = &hand.store.usage(&everything()).await.expect("usage")[0];
    assert_eq!((all.calls, all.usage.input_tokens, all.group.len()), (200, 20_100, 0));
    let some = UsageQuery { group_by: vec![Dimension::Job], limit: 10, ..everything() };
    assert_eq!(hand.store.usage(&some).await.expect("usage").len(), 11, "one more tells that there are more");
    let sessions = UsageQuery { group_by: vec![Dimension::Session], ..everything() };
    assert_eq!(hand.store.usage(&sessions).await.expect("usage")[0].group, [(Dimension::Session, None)]);
}

/// Calls that look random and are the same in every run, with few values in each dimension, so that they meet.
fn random_calls(job: JobId, random: &mut impl FnMut(u64) -> u64) -> Vec<Call> {
    let id = |n: u64| Uuid::from_u128(u128::from(n) + 1);
    (1..=300)
        .map(|number| {
            // An agent's call has both, a chat's neither.
            let place = random(3).checked_sub(1);
            Call {
                owner: Owner(format!("key_{}", random(3))),
                session: place.map(|n| SessionId::from_uuid(id(n))),
                project: place.map(|_| ProjectId::from_uuid(id(random(2)))),
                job: JobId::from_uuid(id(random(4))),
                model: format!("m{}", random(3)),
                provider: format!("p{}", random(3)),
                provider_key: format!("k{}", random(2)),
                upstream_model: format!("u{}", random(2)),
                started_at_ms: NOW + i64::try_from(random(5 * 86_400_000)).expect("a few days"),
                outcome: match random(4) {
                    0 => CallOutcome::BrokenOff,
                    1 => CallOutcome::Failed(FailureKind::ProviderOverloaded),
                    _ => CallOutcome::Answered,
                },
                usage: Usage {
                    input_tokens: random(1_000),
                    output_tokens: random(1_000),
                    cache_read_tokens: random(1_000),
                    cache_write_tokens: random(1_000),
                    thinking_tokens: random(100),
                    web_searches: random(3),
                    cost_microusd: random(1_000_000),
                    unpriced_calls: random(2),
                },
                ..any(job, number)
            }
        })
        .collect()
}

/// A call's value in a dimension, reckoned without the database. A day is its number, which sorts as its name does.
fn value(call: &Call, dimension: Dimension) -> Option<String> {
    match dimension {
        Dimension::Day => Some((call.started_at_ms / DAY_MS).to_string()),
        Dimension::Model => Some(call.model.clone()),
        Dimension::Provider => Some(call.provider.clone()),
        Dimension::UpstreamModel => Some(call.upstream_model.clone()),
        Dimension::Job => Some(call.job.to_string()),
        Dimension::Session => call.session.map(|id| id.to_string()),
        Dimension::Project => call.project.map(|id| id.to_string()),
        Dimension::Key => Some(call.owner.0.clone()),
        Dimension::ProviderKey => Some(call.provider_key.clone()),
        Dimension::Outcome => Some(call.outcome.code().to_owned()),
    }
}

/// What the store has to answer, row by row.
fn added_up(calls: &[Call], query: &UsageQuery) -> Vec<(u64, u64, Usage)> {
    let mut sums: BTreeMap<Vec<Option<String>>, (u64, u64, Usage)> = BTreeMap::new();
    let asked = |call: &&Call| {
        (query.since_ms..query.until_ms).contains(&call.started_at_ms)
            && query.owner.as_ref().is_none_or(|owner| *owner == call.owner)
            && query.only.iter().all(|(by, only)| value(call, *by).as_ref() == Some(only))
    };
    for call in calls.iter().filter(asked) {
        let group = query.group_by.iter().map(|by| value(call, *by)).collect();
        let sum = sums.entry(group).or_default();
        sum.0 += 1;
        sum.1 += u64::from(call.outcome != CallOutcome::Answered);
        sum.2 += call.usage;
    }
    sums.into_values().collect()
}

pub(in crate::store) async fn any_grouping_adds_up_to_the_same(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = enqueue(&hand.store).await;
    let claim = hand.take(NOW).await;
    let mut seed = 7_u64;
    // Knuth's linear congruential generator (The Art of Computer Programming, 3.3.4); its upper bits are good.
    let mut random = |bound: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % bound
    };
    let calls = random_calls(id, &mut random);
    hand.append(billing(say(&claim, 1, &[]), calls.clone())).await;
    for round in 0..150 {
        let mut group_by = Dimension::ALL.to_vec();
        group_by.retain(|_| random(3) == 0);
        if random(2) == 0 {
            group_by.reverse();
        }
        let days = |n: u64| NOW + i64::try_from(n).expect("a few") * DAY_MS;
        let since_ms = days(random(2));
        let query = UsageQuery {
            owner: (random(2) == 0).then(|| Owner(format!("key_{}", random(3)))),
            since_ms,
            until_ms: since_ms + DAY_MS * i64::try_from(1 + random(5)).expect("a few"),
            only: if random(3) == 0 { vec![(Dimension::Model, "m1".to_owned())] } else { Vec::new() },
            group_by,
            limit: 1_000,
        };
        let rows = hand.store.usage(&query).await.expect("usage");
        let told: Vec<_> = rows.iter().map(|row| (row.calls, row.failed_calls, row.usage)).collect();
        assert_eq!(told, added_up(&calls, &query), "round {round}: {query:?}");
    }
}

pub(in crate::store) async fn a_day_begins_at_midnight(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    enqueue(&hand.store).await;
    let claim = hand.take(NOW).await;
    // 1 March 2024, 0:00 UTC.
    let midnight = 1_709_251_200_000;
    let at = |number, started_at_ms| Call { started_at_ms, ..call(&claim, number) };
    let calls = vec![at(1, midnight - 1), at(2, midnight), at(3, midnight + DAY_MS - 1)];
    hand.append(billing(say(&claim, 1, &[]), calls)).await;
    let days = UsageQuery { group_by: vec![Dimension::Day], ..everything() };
    let days = hand.store.usage(&days).await.expect("usage");
    let told: Vec<_> = days.iter().map(|row| (row.group[0].1.as_deref(), row.calls)).collect();
    assert_eq!(told, [(Some("2024-02-29"), 1), (Some("2024-03-01"), 2)]);
}

pub(in crate::store) async fn the_ledger_outlives_its_jobs(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = enqueue(&hand.store).await;
    let claim = hand.take(NOW).await;
    hand.append(billing(say(&claim, 1, &[completed()]), vec![call(&claim, 1), call(&claim, 2)])).await;
    hand.store.prune(i64::MAX, 100).await.expect("a store");
    assert_eq!(hand.store.job(id).await.expect("a store"), None);
    assert_eq!(hand.store.calls(id).await.expect("calls").len(), 2);
    assert_eq!(hand.store.prune_calls(NOW, 100).await.expect("a store"), 0);
    assert_eq!(hand.store.prune_calls(NOW + 1, 1).await.expect("a store"), 1);
    assert_eq!(hand.store.prune_calls(NOW + 1, 100).await.expect("a store"), 1);
}
