//! How providers and their keys do, and so whether they are asked. Pure: the time is told.
//!
//! A provider that fails several times in a row rests; then one call tries whether it is back. A key whose rate
//! limit is reached, or that is refused, is left out by itself.

use std::collections::{BTreeMap, HashMap};

use crate::schema::offer::{KeyHealth, KeyState, ProviderHealth, ProviderState, Route};
use crate::schema::{Failure, FailureKind, limits};

/// Milliseconds since the Unix epoch.
type Millis = i64;

/// What is known of every provider that there is a key for.
#[derive(Clone, Debug, Default)]
pub struct Health {
    providers: BTreeMap<String, Provider>,
    /// What each route of a model has saved up for its next turn, by the model's identifier.
    turns: HashMap<String, Vec<i64>>,
}

#[derive(Clone, Debug, Default)]
struct Provider {
    rest: Rest,
    keys: Vec<Key>,
    first_byte_ms: Option<u32>,
    calls: u64,
    failures: u64,
}

#[derive(Clone, Debug)]
struct Key {
    fingerprint: String,
    state: KeyState,
    rest: Rest,
}

/// How long something is left alone.
#[derive(Clone, Copy, Debug, Default)]
struct Rest {
    /// Failures without a success between them.
    failures: u32,
    /// How often it was left alone without a success since.
    rests: u32,
    /// When it may be tried again; 0 if it is not left alone.
    until_ms: Millis,
    /// A trial is under way, which keeps others off until then.
    trial_until_ms: Millis,
}

impl Rest {
    /// When it may be asked: 0 stands for now.
    fn free_at(&self, now: Millis) -> Millis {
        let until = self.until_ms.max(self.trial_until_ms);
        if until <= now { 0 } else { until }
    }

    /// It is asked. The first call after a rest is a trial: others wait for what comes of it.
    fn ask(&mut self, now: Millis) {
        if self.until_ms > 0 {
            self.trial_until_ms = now + millis(limits::PROVIDER_TRIAL);
        }
    }

    fn lasts(&mut self, now: Millis, ms: Millis) {
        self.rests += 1;
        self.until_ms = now + ms;
        self.trial_until_ms = 0;
    }

    /// A pause that doubles with each rest in a row.
    fn pause(&self, first: Millis, longest: Millis) -> Millis {
        first.saturating_mul(1 << self.rests.min(20)).min(longest)
    }
}

impl Health {
    /// Of providers with the fingerprints of their keys.
    pub fn new(keys: &[(String, Vec<String>)]) -> Self {
        let mut health = Self::default();
        health.reload(keys);
        health
    }

    /// Goes on with these providers and keys. What is known of those that stay is kept.
    pub fn reload(&mut self, keys: &[(String, Vec<String>)]) {
        let mut before = std::mem::take(&mut self.providers);
        self.turns.clear();
        for (id, fingerprints) in keys {
            let mut provider = before.remove(id).unwrap_or_default();
            let known = std::mem::take(&mut provider.keys);
            provider.keys = fingerprints.iter().map(|fingerprint| Key::known(&known, fingerprint)).collect();
            self.providers.insert(id.clone(), provider);
        }
    }

    /// The fingerprints of a provider's keys, in order; empty for a provider without any.
    pub fn keys(&self, provider: &str) -> impl Iterator<Item = &str> {
        self.providers.get(provider).into_iter().flat_map(|it| &it.keys).map(|key| key.fingerprint.as_str())
    }

    /// When the provider may be asked with its `key`th key: 0 for now.
    pub fn free_at(&self, provider: &str, key: usize, now: Millis) -> Millis {
        let Some(provider) = self.providers.get(provider) else { return Millis::MAX };
        let Some(key) = provider.keys.get(key) else { return Millis::MAX };
        provider.rest.free_at(now).max(key.rest.free_at(now))
    }

    /// Whether the key is fit, however its provider does.
    pub fn key_state(&self, provider: &str, key: usize, now: Millis) -> KeyState {
        let key = self.providers.get(provider).and_then(|provider| provider.keys.get(key));
        key.map_or(KeyState::Refused, |key| key.state_at(now))
    }

    /// From call to first byte, in milliseconds, as far as it is known.
    pub fn first_byte_ms(&self, provider: &str) -> Option<u32> {
        self.providers.get(provider)?.first_byte_ms
    }

    /// A call is made.
    pub fn asked(&mut self, provider: &str, key: usize, now: Millis) {
        if let Some(provider) = self.providers.get_mut(provider) {
            provider.calls += 1;
            provider.rest.ask(now);
            if let Some(key) = provider.keys.get_mut(key) {
                key.rest.ask(now);
            }
        }
    }

    /// An answer has begun, its first byte so long after the call.
    pub fn answered(&mut self, provider: &str, key: usize, first_byte_ms: u32) {
        if let Some(provider) = self.providers.get_mut(provider) {
            provider.rest = Rest::default();
            let before = provider.first_byte_ms.unwrap_or(first_byte_ms);
            // Each answer counts a fifth.
            provider.first_byte_ms = Some(before - before / 5 + first_byte_ms / 5);
            if let Some(key) = provider.keys.get_mut(key) {
                (key.state, key.rest) = (KeyState::Ready, Rest::default());
            }
        }
    }

    /// A call has failed.
    pub fn failed(&mut self, provider: &str, key: usize, failure: &Failure, now: Millis) {
        let Some(provider) = self.providers.get_mut(provider) else { return };
        provider.failures += 1;
        if is_the_providers(failure.kind) {
            provider.fails(now);
            return;
        }
        // It has answered, whatever it said.
        provider.rest = Rest::default();
        if let Some(key) = provider.keys.get_mut(key) {
            key.fails(failure, now);
        }
    }

    /// A call was given up before it was known how the provider does.
    pub fn left(&mut self, provider: &str, key: usize) {
        if let Some(provider) = self.providers.get_mut(provider) {
            provider.rest.trial_until_ms = 0;
            if let Some(key) = provider.keys.get_mut(key) {
                key.rest.trial_until_ms = 0;
            }
        }
    }

    /// Whose turn it is among the routes of a model: each as often as its weight says, evenly spread (smooth
    /// weighted round robin, as nginx does it). `None` without routes.
    pub fn turn(&mut self, model: &str, routes: &[Route]) -> Option<usize> {
        let saved = self.turns.entry(model.to_owned()).or_default();
        saved.resize(routes.len(), 0);
        let mut sum = 0;
        for (saved, route) in saved.iter_mut().zip(routes) {
            *saved += i64::from(route.weight);
            sum += i64::from(route.weight);
        }
        let turn = (0..routes.len()).max_by_key(|at| (saved[*at], std::cmp::Reverse(*at)))?;
        saved[turn] -= sum;
        Some(turn)
    }

    /// All of it, by provider.
    pub fn report(&self, now: Millis) -> Vec<ProviderHealth> {
        self.providers.iter().map(|(id, provider)| provider.report(id, now)).collect()
    }
}

/// Whether the failure says something of the provider, and not of the request or the key.
fn is_the_providers(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::ProviderOverloaded
            | FailureKind::ProviderError
            | FailureKind::ProviderUnreachable
            | FailureKind::StreamInterrupted
    )
}

impl Provider {
    fn fails(&mut self, now: Millis) {
        self.rest.failures += 1;
        self.rest.trial_until_ms = 0;
        // A trial that fails is enough.
        if self.rest.failures >= limits::PROVIDER_FAILURES || self.rest.rests > 0 {
            let pause = self.rest.pause(millis(limits::PROVIDER_REST), millis(limits::PROVIDER_REST_MAX));
            self.rest.lasts(now, pause);
        }
    }

    fn report(&self, id: &str, now: Millis) -> ProviderHealth {
        let resting = self.rest.until_ms > now;
        let fit = self.keys.iter().any(|key| key.state_at(now) == KeyState::Ready);
        let soonest = self.keys.iter().map(|key| key.rest.until_ms).min().unwrap_or(0);
        let (state, until_ms) = match (resting, fit) {
            (true, _) => (ProviderState::Resting, Some(self.rest.until_ms)),
            (false, true) => (ProviderState::Ready, None),
            (false, false) => (ProviderState::NoKey, Some(soonest)),
        };
        ProviderHealth {
            id: id.to_owned(),
            state,
            until_ms,
            first_byte_ms: self.first_byte_ms,
            calls: self.calls,
            failures: self.failures,
            keys: self.keys.iter().map(|key| key.report(now)).collect(),
        }
    }
}

impl Key {
    fn known(before: &[Self], fingerprint: &str) -> Self {
        let known = before.iter().find(|key| key.fingerprint == fingerprint).cloned();
        known.unwrap_or_else(|| Self {
            fingerprint: fingerprint.to_owned(),
            state: KeyState::Ready,
            rest: Rest::default(),
        })
    }

    fn fails(&mut self, failure: &Failure, now: Millis) {
        let pause = match failure.kind {
            FailureKind::ProviderRateLimited => {
                self.state = KeyState::Limited;
                let doubling = self.rest.pause(millis(limits::KEY_REST), millis(limits::KEY_REST_MAX));
                let told = failure.retry_after_ms.and_then(|ms| Millis::try_from(ms).ok());
                told.map_or(doubling, |told| told.min(millis(limits::KEY_LIMITED_MAX)))
            }
            FailureKind::ProviderAuthFailed => {
                self.state = KeyState::Refused;
                millis(limits::KEY_OUT)
            }
            FailureKind::ProviderBillingFailed => {
                self.state = KeyState::Unpaid;
                millis(limits::KEY_OUT)
            }
            // It is about the request: the key did its work.
            _ => {
                (self.state, self.rest) = (KeyState::Ready, Rest::default());
                return;
            }
        };
        self.rest.lasts(now, pause);
    }

    fn state_at(&self, now: Millis) -> KeyState {
        if self.rest.until_ms <= now { KeyState::Ready } else { self.state }
    }

    fn report(&self, now: Millis) -> KeyHealth {
        let state = self.state_at(now);
        KeyHealth {
            fingerprint: self.fingerprint.clone(),
            state,
            until_ms: (state != KeyState::Ready).then_some(self.rest.until_ms),
        }
    }
}

fn millis(duration: std::time::Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
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
            (
                FailureKind::ProviderRateLimited,
                Some(1 << 40),
                KeyState::Limited,
                millis(limits::KEY_LIMITED_MAX),
            ),
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
        assert_eq!(health.first_byte_ms("one"), None);
        health.answered("one", 0, 1_000);
        assert_eq!(health.first_byte_ms("one"), Some(1_000));
        for _ in 0..30 {
            health.answered("one", 1, 100);
        }
        assert!(health.first_byte_ms("one").is_some_and(|ms| (95..=110).contains(&ms)), "{health:?}");
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
        health.reload(&[
            ("one".to_owned(), vec!["b".to_owned(), "new".to_owned()]),
            ("three".to_owned(), vec![]),
        ]);
        assert_eq!(
            (health.key_state("one", 0, NOW), health.key_state("one", 1, NOW)),
            (KeyState::Refused, KeyState::Ready)
        );
        assert_eq!((health.first_byte_ms("two"), health.keys("three").count()), (None, 0));
        assert_eq!(health.free_at("two", 0, NOW), Millis::MAX, "it is gone");
    }
}
