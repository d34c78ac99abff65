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

    /// From call to first byte, in milliseconds, for comparing: 0 where nobody has asked yet, and as long as can be
    /// where nobody was answered.
    pub fn pace(&self, provider: &str) -> u32 {
        let Some(provider) = self.providers.get(provider) else { return 0 };
        provider.first_byte_ms.unwrap_or(if provider.calls > 0 { u32::MAX } else { 0 })
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
        // What fails while it rests began before, or had nobody else to ask: many calls that fail together are
        // one reason to rest, not many.
        if self.rest.until_ms > now {
            return;
        }
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
        let told = failure.retry_after_ms.and_then(|ms| Millis::try_from(ms).ok());
        let (state, pause) = match failure.kind {
            FailureKind::ProviderRateLimited => {
                let doubling = self.rest.pause(millis(limits::KEY_REST), millis(limits::KEY_REST_MAX));
                let told = told.map(|told| told.min(millis(limits::KEY_LIMITED_MAX)));
                (KeyState::Limited, told.unwrap_or(doubling))
            }
            FailureKind::ProviderAuthFailed => (KeyState::Refused, millis(limits::KEY_OUT)),
            FailureKind::ProviderBillingFailed => (KeyState::Unpaid, millis(limits::KEY_OUT)),
            // It is about the request: the key did its work.
            _ => {
                (self.state, self.rest) = (KeyState::Ready, Rest::default());
                return;
            }
        };
        if self.state_at(now) == state {
            // Many calls that fail together are one reason to leave it out, not many; of what the provider says of
            // the time, the longest counts.
            let until = told.map_or(self.rest.until_ms, |_| self.rest.until_ms.max(now + pause));
            (self.rest.until_ms, self.rest.trial_until_ms) = (until, 0);
        } else {
            self.state = state;
            self.rest.lasts(now, pause);
        }
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
mod tests;
