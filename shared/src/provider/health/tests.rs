use super::*;

const NOW: Millis = 1_000_000;

fn health() -> Health {
    let keys = |keys: &[&str]| keys.iter().map(ToString::to_string).collect();
    Health::new(&[("one".to_owned(), keys(&["a", "b"])), ("two".to_owned(), keys(&["c"]))])
}

fn failure(kind: FailureKind) -> Failure {
    Failure::new(kind, "")
}

fn state(health: &Health, now: Millis) -> ProviderState {
    health.report(now)[0].state
}

#[test]
fn a_provider_that_fails_in_a_row_rests_longer_each_time() {
    let mut health = health();
    let overloaded = failure(FailureKind::ProviderOverloaded);
    for _ in 1..limits::PROVIDER_FAILURES {
        health.failed("one", 0, &overloaded, NOW);
    }
    health.answered("one", 0, 10);
    let mut now = NOW;
    for failures in 1..=limits::PROVIDER_FAILURES {
        assert_eq!(state(&health, now), ProviderState::Ready, "{failures}");
        health.failed("one", 1, &overloaded, now);
    }
    let mut pause = millis(limits::PROVIDER_REST);
    for _ in 0..12 {
        assert_eq!(state(&health, now), ProviderState::Resting);
        assert_eq!((health.free_at("one", 0, now), health.free_at("two", 0, now)), (now + pause, 0));
        now += pause;
        assert_eq!(health.free_at("one", 0, now), 0);
        // One call tries; the others wait for what comes of it.
        health.asked("one", 0, now);
        assert!(health.free_at("one", 1, now) > now);
        health.failed("one", 0, &overloaded, now);
        pause = (pause * 2).min(millis(limits::PROVIDER_REST_MAX));
    }
    health.asked("one", 0, now + pause);
    health.left("one", 0);
    assert_eq!(health.free_at("one", 0, now + pause), 0, "a trial that was given up keeps nobody off");
    health.answered("one", 0, 30);
    assert_eq!((state(&health, now), health.free_at("one", 1, now)), (ProviderState::Ready, 0));
}

#[test]
fn a_key_is_left_out_by_itself_for_what_the_provider_says_of_it() {
    for (kind, retry_after_ms, state, pause) in [
        (FailureKind::ProviderRateLimited, Some(7_000), KeyState::Limited, 7_000),
        (FailureKind::ProviderRateLimited, Some(u64::MAX), KeyState::Limited, 5_000),
        (FailureKind::ProviderRateLimited, Some(1 << 40), KeyState::Limited, millis(limits::KEY_LIMITED_MAX)),
        (FailureKind::ProviderRateLimited, None, KeyState::Limited, millis(limits::KEY_REST)),
        (FailureKind::ProviderAuthFailed, None, KeyState::Refused, millis(limits::KEY_OUT)),
        (FailureKind::ProviderBillingFailed, Some(1), KeyState::Unpaid, millis(limits::KEY_OUT)),
    ] {
        let mut health = health();
        health.failed("one", 0, &Failure { retry_after_ms, ..failure(kind) }, NOW);
        assert_eq!(health.key_state("one", 0, NOW), state);
        assert_eq!(
            (health.free_at("one", 0, NOW), health.free_at("one", 1, NOW)),
            (NOW + pause, 0),
            "{kind:?}"
        );
        let told = &health.report(NOW)[0];
        assert_eq!((told.state, told.keys[0].until_ms), (ProviderState::Ready, Some(NOW + pause)));
        assert_eq!((told.keys[0].state, told.keys[1].state), (state, KeyState::Ready));
        health.failed("one", 1, &failure(kind), NOW);
        assert_eq!(health.report(NOW)[0].state, ProviderState::NoKey);
        assert_eq!(health.report(NOW + pause)[0].state, ProviderState::Ready);
    }
}

#[test]
fn calls_that_fail_together_are_one_reason_to_be_left_alone() {
    let until = |health: &Health| (health.free_at("one", 0, NOW), health.report(NOW)[0].keys[0].until_ms);
    for (kind, retry_after_ms, provider_until, key_until) in [
        (FailureKind::ProviderOverloaded, None, NOW + millis(limits::PROVIDER_REST), None),
        (
            FailureKind::ProviderRateLimited,
            None,
            NOW + millis(limits::KEY_REST),
            Some(NOW + millis(limits::KEY_REST)),
        ),
        (FailureKind::ProviderRateLimited, Some(9_000), NOW + 9_000, Some(NOW + 9_000)),
        (
            FailureKind::ProviderAuthFailed,
            None,
            NOW + millis(limits::KEY_OUT),
            Some(NOW + millis(limits::KEY_OUT)),
        ),
    ] {
        let mut health = health();
        for _ in 0..20 {
            health.failed("one", 0, &Failure { retry_after_ms, ..failure(kind) }, NOW);
        }
        assert_eq!(until(&health), (provider_until, key_until), "{kind:?}");
    }
    let mut health = health();
    for retry_after_ms in [Some(60_000), Some(1_000), None] {
        let limited = Failure { retry_after_ms, ..failure(FailureKind::ProviderRateLimited) };
        health.failed("one", 0, &limited, NOW);
    }
    assert_eq!(health.free_at("one", 0, NOW), NOW + 60_000, "the longest time that was told counts");
    health.failed("one", 0, &failure(FailureKind::ProviderAuthFailed), NOW);
    assert_eq!(health.key_state("one", 0, NOW), KeyState::Refused, "what else is told, counts at once");
}

#[test]
fn what_the_request_is_to_blame_for_harms_nobody() {
    let mut health = health();
    for _ in 0..10 {
        health.failed("one", 0, &failure(FailureKind::InvalidRequest), NOW);
    }
    assert_eq!((state(&health, NOW), health.free_at("one", 0, NOW)), (ProviderState::Ready, 0));
    assert_eq!(health.report(NOW)[0].failures, 10);
}

#[test]
fn latency_follows_the_latest_answers() {
    let mut health = health();
    assert_eq!(health.pace("one"), 0, "nobody has asked yet");
    health.asked("one", 0, NOW);
    assert_eq!(health.pace("one"), u32::MAX, "nobody was answered yet");
    health.answered("one", 0, 1_000);
    assert_eq!(health.pace("one"), 1_000);
    for _ in 0..30 {
        health.answered("one", 1, 100);
    }
    assert!((95..=110).contains(&health.pace("one")), "{health:?}");
}

#[test]
fn turns_are_as_the_weights_say_and_spread() {
    let mut health = health();
    let routes = [5, 1, 1].map(|weight| Route {
        provider: "one".to_owned(),
        model: format!("m{weight}"),
        weight,
        tariff: None,
    });
    let turns: Vec<usize> = (0..7).filter_map(|_| health.turn("m", &routes)).collect();
    assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0]);
    let mut counts = [0; 3];
    for _ in 0..700 {
        counts[health.turn("m", &routes).expect("a route")] += 1;
    }
    assert_eq!(counts, [500, 100, 100]);
    assert_eq!(health.turn("m", &[]), None);
}

#[test]
fn a_reload_keeps_what_is_known_of_those_that_stay() {
    let mut health = health();
    health.failed("one", 1, &failure(FailureKind::ProviderAuthFailed), NOW);
    health.answered("two", 0, 5);
    health
        .reload(&[("one".to_owned(), vec!["b".to_owned(), "new".to_owned()]), ("three".to_owned(), vec![])]);
    assert_eq!(
        (health.key_state("one", 0, NOW), health.key_state("one", 1, NOW)),
        (KeyState::Refused, KeyState::Ready)
    );
    assert_eq!((health.pace("two"), health.keys("three").count()), (0, 0));
    assert_eq!(health.free_at("two", 0, NOW), Millis::MAX, "it is gone");
}
