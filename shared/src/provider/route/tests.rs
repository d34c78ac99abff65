use std::time::Duration;

use super::*;
use crate::schema::offer::Price;

const NOW: Millis = 1_000_000;
/// Most calls of the tests' errands.
const MOST: u32 = 5;

fn routes(list: &[(&str, u64)]) -> Vec<Route> {
    let route = |(provider, input): &(&str, u64)| Route {
        provider: (*provider).to_owned(),
        model: format!("{provider}-m"),
        weight: 1,
        tariff: (*input > 0)
            .then(|| Tariff { price: Price { input: *input, ..Price::default() }, long: None }),
    };
    list.iter().map(route).collect()
}

/// Providers `a` with two keys, `b` and `c` with one.
fn health() -> Health {
    let keys = |id: &str, keys: &[&str]| (id.to_owned(), keys.iter().map(ToString::to_string).collect());
    Health::new(&[keys("a", &["a0", "a1"]), keys("b", &["b0"]), keys("c", &["c0"])])
}

fn errand<'a>(policy: Policy, routes: &'a [Route], known: Option<(&'a str, &'a str)>) -> Errand<'a> {
    Errand { model: "m", policy, routes, known, most_attempts: MOST }
}

/// Plays a call until it is answered or given up. Each candidate fails as `fails` says; `None` is an answer. Who was
/// asked, how long was waited, and the failure at the end.
fn play(
    errand: Errand,
    health: &mut Health,
    mut fails: impl FnMut(&Candidate) -> Option<Failure>,
) -> (Vec<String>, u64, Option<FailureKind>) {
    let mut course = Course::new(errand, health, NOW);
    let (mut now, mut asked) = (NOW, Vec::new());
    for _ in 0..100 {
        match course.next(health, now, 1.0) {
            Next::Ask(candidate) => {
                asked.push(candidate.fingerprint.clone());
                health.asked(&candidate.provider, candidate.key, now);
                let Some(failure) = fails(&candidate) else {
                    return (asked, (now - NOW).unsigned_abs(), None);
                };
                health.failed(&candidate.provider, candidate.key, &failure, now);
                course.failed(&candidate, failure);
            }
            Next::Wait(ms) => now += ms.cast_signed(),
            Next::GiveUp(failure) => {
                assert_eq!(course.next(health, now, 0.0), Next::GiveUp(failure.clone()), "it stays given up");
                return (asked, (now - NOW).unsigned_abs(), Some(failure.kind));
            }
        }
    }
    panic!("no end: {asked:?}");
}

fn failing(kind: FailureKind) -> impl FnMut(&Candidate) -> Option<Failure> {
    move |_| Some(Failure::new(kind, ""))
}

fn millis_u64(duration: Duration) -> u64 {
    duration.as_millis().try_into().expect("a short time")
}

#[test]
fn a_failure_leads_to_whoever_may_do_better() {
    use FailureKind::{
        ContextLengthExceeded, InvalidRequest, ModelNotFound, ProviderAuthFailed, ProviderBillingFailed,
        ProviderOverloaded, ProviderRateLimited, ProviderUnreachable, RequestTooLarge, StreamInterrupted,
    };
    let all = routes(&[("a", 1), ("b", 1)]);
    for (kind, asked) in [
        // The request's own fault: nobody else is asked.
        (InvalidRequest, &["a0"][..]),
        (ContextLengthExceeded, &["a0"]),
        (RequestTooLarge, &["a0"]),
        // The route's: none of its keys would do better.
        (ModelNotFound, &["a0", "b0"]),
        // The key's.
        (ProviderAuthFailed, &["a0", "a1", "b0"]),
        (ProviderBillingFailed, &["a0", "a1", "b0"]),
        // The key's, for a moment that is waited for once nobody else is left.
        (ProviderRateLimited, &["a0", "a1", "b0", "a0", "a1"]),
        // The provider's: then everybody is asked again.
        (ProviderOverloaded, &["a0", "b0", "a0", "b0", "a0"]),
        (ProviderUnreachable, &["a0", "b0", "a0", "b0", "a0"]),
        (StreamInterrupted, &["a0", "b0", "a0", "b0", "a0"]),
    ] {
        let (told, _, end) = play(errand(Policy::Priority, &all, None), &mut health(), failing(kind));
        assert_eq!((told.as_slice(), end), (asked.map_to_strings().as_slice(), Some(kind)), "{kind:?}");
    }
}

trait MapToStrings {
    fn map_to_strings(&self) -> Vec<String>;
}

impl MapToStrings for &[&str] {
    fn map_to_strings(&self) -> Vec<String> {
        self.iter().map(ToString::to_string).collect()
    }
}

#[test]
fn the_first_answer_ends_it() {
    let all = routes(&[("a", 1), ("b", 1)]);
    let answer = |good: &'static str| {
        move |asked: &Candidate| {
            (asked.provider != good).then(|| Failure::new(FailureKind::ProviderOverloaded, ""))
        }
    };
    let told = play(errand(Policy::Priority, &all, None), &mut health(), answer("a"));
    assert_eq!(told, (vec!["a0".to_owned()], 0, None));
    let told = play(errand(Policy::Priority, &all, None), &mut health(), answer("b"));
    assert_eq!(told, (vec!["a0".to_owned(), "b0".to_owned()], 0, None));
}

#[test]
fn pauses_between_rounds_grow() {
    let one = routes(&[("b", 1)]);
    let (asked, waited, _) =
        play(errand(Policy::Priority, &one, None), &mut health(), failing(FailureKind::ProviderError));
    assert_eq!(asked.len(), MOST as usize);
    let expected: Duration =
        [1, 2, 4, 8].into_iter().map(|n| (limits::PROVIDER_RETRY * n).min(limits::PROVIDER_RETRY_MAX)).sum();
    // A provider that rests by then is asked all the same where nobody else is left.
    assert_eq!(waited, millis_u64(expected));
}

#[test]
fn policies_order_the_routes() {
    let all = routes(&[("a", 30), ("b", 10), ("c", 0)]);
    let first = |policy, health: &mut Health, known| {
        let mut course = Course::new(errand(policy, &all, known), health, NOW);
        match course.next(health, NOW, 0.0) {
            Next::Ask(candidate) => candidate.fingerprint,
            next => panic!("{next:?}"),
        }
    };
    let mut health = health();
    health.answered("a", 0, 50);
    health.answered("b", 0, 90);
    assert_eq!(first(Policy::Priority, &mut health, None), "a0");
    assert_eq!(first(Policy::Cheapest, &mut health, None), "b0");
    assert_eq!(first(Policy::Fastest, &mut health, None), "c0", "what was not measured is tried");
    health.answered("c", 0, 60);
    assert_eq!(first(Policy::Fastest, &mut health, None), "a0");
    let turns: Vec<_> = (0..6).map(|_| first(Policy::RoundRobin, &mut health, None)).collect();
    assert_eq!(turns, ["a0", "b0", "c0", "a0", "b0", "c0"]);
    // A conversation stays where its prompt is cached, whatever the policy, and with its key.
    for policy in [Policy::Priority, Policy::Cheapest, Policy::Fastest, Policy::RoundRobin] {
        assert_eq!(first(policy, &mut health, Some(("c", "c0"))), "c0", "{policy:?}");
        assert_eq!(first(policy, &mut health, Some(("a", "a1"))), "a1", "{policy:?}");
        assert_ne!(first(policy, &mut health, Some(("gone", "x"))), "", "{policy:?}");
    }
    health.failed("c", 0, &Failure::new(FailureKind::ProviderAuthFailed, ""), NOW);
    assert_eq!(first(Policy::Priority, &mut health, Some(("c", "c0"))), "a0", "unless it cannot");
}

#[test]
fn who_is_left_alone_is_asked_where_nobody_else_is_left() {
    let all = routes(&[("b", 1), ("c", 1)]);
    let mut resting = health();
    for _ in 0..limits::PROVIDER_FAILURES {
        resting.failed("b", 0, &Failure::new(FailureKind::ProviderOverloaded, ""), NOW);
    }
    let told = play(errand(Policy::Priority, &all, None), &mut resting.clone(), |_| None);
    assert_eq!(told.0, ["c0"]);
    let told = play(errand(Policy::Priority, &all[..1], None), &mut resting, |_| None);
    assert_eq!(told, (vec!["b0".to_owned()], 0, None));
}

#[test]
fn a_limited_key_is_waited_for_if_it_is_for_a_moment() {
    let one = routes(&[("b", 1)]);
    let limited = |ms| {
        let mut health = health();
        let failure =
            Failure { retry_after_ms: Some(ms), ..Failure::new(FailureKind::ProviderRateLimited, "") };
        health.failed("b", 0, &failure, NOW);
        health
    };
    let told = play(errand(Policy::Priority, &one, None), &mut limited(900), |_| None);
    assert_eq!(told, (vec!["b0".to_owned()], 900, None));
    let mut long = limited(60_000);
    let mut course = Course::new(errand(Policy::Priority, &one, None), &mut long, NOW);
    let Next::GiveUp(failure) = course.next(&long, NOW, 0.0) else { panic!("a minute is long") };
    assert_eq!((failure.kind, failure.retry_after_ms), (FailureKind::ProviderRateLimited, Some(60_000)));
    let mut refused = health();
    refused.failed("b", 0, &Failure::new(FailureKind::ProviderAuthFailed, ""), NOW);
    let told = play(errand(Policy::Priority, &one, None), &mut refused, |_| None);
    assert_eq!(told, (vec!["b0".to_owned()], 0, None), "it may have been topped up");
}

#[test]
fn a_key_that_is_limited_for_a_moment_is_asked_again_by_the_same_call() {
    let limited = |ms| Failure { retry_after_ms: ms, ..Failure::new(FailureKind::ProviderRateLimited, "") };
    let one = routes(&[("b", 1)]);
    for (told, waited) in [(Some(0), 1), (Some(1_000), 1_000), (Some(6_000), 6_000), (None, 5_000)] {
        let mut failures = vec![limited(told)];
        let played = play(errand(Policy::Priority, &one, None), &mut health(), |_| failures.pop());
        assert_eq!(played, (vec!["b0".to_owned(), "b0".to_owned()], waited, None), "{told:?}");
    }
    let played = play(errand(Policy::Priority, &one, None), &mut health(), |_| Some(limited(Some(6_001))));
    assert_eq!(played, (vec!["b0".to_owned()], 0, Some(FailureKind::ProviderRateLimited)), "that is long");
    let played = play(errand(Policy::Priority, &one, None), &mut health(), |_| Some(limited(Some(1_000))));
    assert_eq!(played.0.len(), MOST as usize, "the calls are bounded");
    // Whoever else is left comes first.
    let both = routes(&[("b", 1), ("c", 1)]);
    let played = play(errand(Policy::Priority, &both, None), &mut health(), |asked| {
        (asked.provider == "b").then(|| limited(Some(1_000)))
    });
    assert_eq!(played, (vec!["b0".to_owned(), "c0".to_owned()], 0, None));
}

#[test]
fn a_first_byte_that_does_not_come_leaves_time_for_another_provider() {
    let all = routes(&[("b", 1), ("c", 1)]);
    let mut health = health();
    let mut course = Course::new(errand(Policy::Priority, &all, None), &mut health, NOW);
    let Next::Ask(silent) = course.next(&health, NOW, 0.0) else { panic!("nobody is asked") };
    let later = NOW + millis(limits::PROVIDER_CONNECT + limits::PROVIDER_FIRST_BYTE);
    course.failed(&silent, Failure::new(FailureKind::ProviderUnreachable, ""));
    let next = course.next(&health, later, 0.0);
    assert!(matches!(&next, Next::Ask(candidate) if candidate.provider == "c"), "{next:?}");
}

#[test]
fn who_never_answered_is_not_the_fastest() {
    let all = routes(&[("b", 1), ("c", 1)]);
    let mut health = health();
    let missing =
        |asked: &Candidate| (asked.provider == "b").then(|| Failure::new(FailureKind::ModelNotFound, ""));
    assert_eq!(play(errand(Policy::Fastest, &all, None), &mut health, missing).0, ["b0", "c0"]);
    health.answered("c", 0, 50_000);
    assert_eq!(play(errand(Policy::Fastest, &all, None), &mut health, missing).0, ["c0"]);
}

#[test]
fn no_call_goes_on_past_its_deadline() {
    let one = routes(&[("b", 1)]);
    let mut health = health();
    let mut course = Course::new(errand(Policy::Priority, &one, None), &mut health, NOW);
    assert!(matches!(course.next(&health, NOW, 0.0), Next::Ask(_)));
    let late = NOW + millis(limits::PROVIDER_DEADLINE);
    assert!(matches!(course.next(&health, late, 0.0), Next::GiveUp(_)));
}
