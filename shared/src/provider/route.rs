//! Whom one call goes to, and whom next when that one fails. Pure: time and chance are told.
//!
//! Nothing here happens after a model has said something: then a failure is the answer.

use std::cmp::Reverse;

use super::health::Health;
use super::price;
use crate::schema::offer::{KeyState, Policy, Route, Tariff};
use crate::schema::{Failure, FailureKind, limits};

/// Milliseconds since the Unix epoch.
type Millis = i64;

/// Somebody to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The provider's identifier.
    pub provider: String,
    /// Which of its keys, counted from 0.
    pub key: usize,
    /// That key's fingerprint.
    pub fingerprint: String,
    /// What the provider calls the model.
    pub model: String,
    /// What it charges, if that is known.
    pub tariff: Option<Tariff>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask this one.
    Ask(Candidate),
    /// Nothing for so many milliseconds, then ask anew what to do.
    Wait(u64),
    /// Nobody is left to ask; the last failure stands. Without any, this is why.
    GiveUp(Failure),
}

/// The way of one call through the routes of its model.
#[derive(Debug)]
pub struct Course {
    routes: Vec<Way>,
    /// Who served the conversation before.
    known: Option<(String, String)>,
    attempts: u32,
    /// How often everybody was asked in vain.
    rounds: u32,
    most_attempts: u32,
    deadline: Millis,
    /// Not before: everybody was asked in vain a moment ago.
    not_before: Millis,
    last: Option<Failure>,
    over: bool,
}

/// A route, and what became of it in this round.
#[derive(Debug)]
struct Way {
    route: Route,
    /// It does not have the model.
    dead: bool,
    /// The keys that were asked in this round.
    tried: Vec<usize>,
    /// Those of them that have reached a rate limit, which may be waited for.
    limited: Vec<usize>,
    /// Whether the last failure there may pass by itself.
    may_recover: bool,
}

/// What the call is about.
#[derive(Clone, Copy, Debug)]
pub struct Errand<'a> {
    /// The model, by its identifier.
    pub model: &'a str,
    /// In which order its routes are taken.
    pub policy: Policy,
    /// The routes that can serve the job, in the registry's order.
    pub routes: &'a [Route],
    /// Provider and fingerprint of the key that served the conversation before.
    pub known: Option<(&'a str, &'a str)>,
    /// Most calls to providers.
    pub most_attempts: u32,
}

impl Course {
    /// A course that begins now.
    pub fn new(errand: Errand, health: &mut Health, now: Millis) -> Self {
        let routes = ordered(&errand, health).into_iter().map(|route| Way {
            route,
            dead: false,
            tried: Vec::new(),
            limited: Vec::new(),
            may_recover: false,
        });
        Self {
            routes: routes.collect(),
            known: errand.known.map(|(provider, key)| (provider.to_owned(), key.to_owned())),
            attempts: 0,
            rounds: 0,
            most_attempts: errand.most_attempts,
            deadline: now + millis(limits::PROVIDER_DEADLINE),
            not_before: now,
            last: None,
            over: false,
        }
    }

    /// How many were asked so far.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// What to do now. `chance` is any number from 0 to 1: it spreads the pauses of many calls.
    pub fn next(&mut self, health: &Health, now: Millis, chance: f64) -> Next {
        if self.over || self.attempts >= self.most_attempts || now >= self.deadline {
            return self.give_up(health, now);
        }
        if now < self.not_before {
            return Next::Wait(wait(self.not_before - now));
        }
        if let Some((way, key)) = self.free(health, now) {
            return Next::Ask(self.ask(health, way, key));
        }
        if let Some((way, key)) = self.left_out(health, now) {
            return Next::Ask(self.ask(health, way, key));
        }
        if self.routes.iter().any(|way| way.may_recover && !way.dead) {
            return self.pause(now, chance);
        }
        self.wait(health, now)
    }

    /// The one that was asked has failed.
    pub fn failed(&mut self, candidate: &Candidate, failure: Failure) {
        let way = self
            .routes
            .iter_mut()
            .find(|way| way.route.provider == candidate.provider && way.route.model == candidate.model);
        match (consequence(failure.kind), way) {
            (Consequence::Fatal, _) => self.over = true,
            (_, None) => {}
            (Consequence::NoRoute, Some(way)) => way.dead = true,
            (Consequence::NoKey, Some(way)) => {
                way.may_recover = false;
                if failure.kind == FailureKind::ProviderRateLimited {
                    way.limited.push(candidate.key);
                }
            }
            (Consequence::MayPass, Some(way)) => {
                way.may_recover = true;
                // The provider's trouble is the same with each of its keys.
                way.tried = (0..limits::PROVIDER_KEYS).collect();
            }
        }
        self.last = Some(failure);
    }

    /// The first route with a key that may be asked now and was not in this round.
    fn free(&self, health: &Health, now: Millis) -> Option<(usize, usize)> {
        self.untried(health)
            .find(|(way, key)| health.free_at(&self.routes[*way].route.provider, *key, now) == 0)
    }

    /// Every route and key that was not asked in this round, in order; those that served the conversation first.
    fn untried<'a>(&'a self, health: &'a Health) -> impl Iterator<Item = (usize, usize)> + 'a {
        let all = self.routes.iter().enumerate().filter(|(_, way)| !way.dead).flat_map(move |(at, way)| {
            let keys = health.keys(&way.route.provider).enumerate();
            keys.filter(|(key, _)| !way.tried.contains(key)).map(move |(key, name)| (at, key, name))
        });
        let mut all: Vec<_> = all.collect();
        if let Some((provider, fingerprint)) = &self.known {
            all.sort_by_key(|(way, _, name)| {
                let same = self.routes[*way].route.provider == *provider;
                Reverse(u8::from(same) + u8::from(same && name == fingerprint))
            });
        }
        all.into_iter().map(|(way, key, _)| (way, key))
    }

    fn ask(&mut self, health: &Health, way: usize, key: usize) -> Candidate {
        self.attempts += 1;
        let way = &mut self.routes[way];
        way.tried.push(key);
        let route = &way.route;
        Candidate {
            provider: route.provider.clone(),
            key,
            fingerprint: health.keys(&route.provider).nth(key).unwrap_or_default().to_owned(),
            model: route.model.clone(),
            tariff: route.tariff,
        }
    }

    /// Everybody was asked: a pause, longer each time, and everybody who may have recovered is asked again.
    fn pause(&mut self, now: Millis, chance: f64) -> Next {
        let longest =
            limits::PROVIDER_RETRY.saturating_mul(1 << self.rounds.min(10)).min(limits::PROVIDER_RETRY_MAX);
        self.rounds += 1;
        let pause = longest.mul_f64(chance.clamp(0.0, 1.0));
        self.not_before = now + millis(pause).max(1);
        if self.not_before >= self.deadline {
            self.over = true;
        }
        for way in &mut self.routes {
            if std::mem::take(&mut way.may_recover) {
                way.tried.clear();
                way.limited.clear();
            }
        }
        Next::Wait(wait(self.not_before - now))
    }

    /// One whose provider merely rests, else one whose key was refused a while ago. Where nobody else is left they
    /// are asked all the same, since the alternative is no answer at all; an account may have been topped up.
    fn left_out(&self, health: &Health, now: Millis) -> Option<(usize, usize)> {
        let state =
            |(way, key): &(usize, usize)| health.key_state(&self.routes[*way].route.provider, *key, now);
        let resting = self.untried(health).find(|it| state(it) == KeyState::Ready);
        resting.or_else(|| self.untried(health).find(|it| state(it) != KeyState::Limited))
    }

    /// Everybody who is left has reached a rate limit. If that is for a moment only, it is waited for, and the keys
    /// that were asked before are asked again.
    fn wait(&mut self, health: &Health, now: Millis) -> Next {
        let at = self.soonest(health, now);
        let Some(at) = at.filter(|at| at - now <= millis(limits::PROVIDER_PATIENCE) && *at < self.deadline)
        else {
            return self.give_up(health, now);
        };
        for way in &mut self.routes {
            let limited = std::mem::take(&mut way.limited);
            way.tried.retain(|key| !limited.contains(key));
        }
        self.not_before = at;
        Next::Wait(wait(at - now))
    }

    /// When the first key is free again that is limited now, or was when it was asked.
    fn soonest(&self, health: &Health, now: Millis) -> Option<Millis> {
        let limited = self.routes.iter().enumerate().filter(|(_, way)| !way.dead);
        let limited = limited.flat_map(|(at, way)| way.limited.iter().map(move |key| (at, *key)));
        let free_at = |(way, key): (usize, usize)| health.free_at(&self.routes[way].route.provider, key, now);
        self.untried(health).chain(limited).map(free_at).min().map(|at| at.max(now))
    }

    fn give_up(&mut self, health: &Health, now: Millis) -> Next {
        self.over = true;
        Next::GiveUp(self.last.clone().unwrap_or_else(|| self.why(health, now)))
    }

    /// Why nobody could be asked.
    fn why(&self, health: &Health, now: Millis) -> Failure {
        let soonest = self.soonest(health, now).unwrap_or(now);
        let message = "The rate limits of all providers of the model are reached; try again later.";
        let failure = Failure::new(FailureKind::ProviderRateLimited, message);
        Failure { retry_after_ms: Some(wait(soonest - now)), ..failure }
    }
}

/// What a failure means for the call.
enum Consequence {
    /// It is the request's, and everybody else would say the same.
    Fatal,
    /// The provider does not have the model.
    NoRoute,
    /// The key is of no use now.
    NoKey,
    /// The provider is in trouble, which may pass.
    MayPass,
}

fn consequence(kind: FailureKind) -> Consequence {
    match kind {
        FailureKind::ModelNotFound => Consequence::NoRoute,
        FailureKind::ProviderAuthFailed
        | FailureKind::ProviderBillingFailed
        | FailureKind::ProviderRateLimited => Consequence::NoKey,
        FailureKind::ProviderOverloaded
        | FailureKind::ProviderError
        | FailureKind::ProviderUnreachable
        | FailureKind::StreamInterrupted => Consequence::MayPass,
        _ => Consequence::Fatal,
    }
}

/// The routes in the order in which the policy takes them.
fn ordered(errand: &Errand, health: &mut Health) -> Vec<Route> {
    let mut routes = errand.routes.to_vec();
    match errand.policy {
        Policy::Priority => {}
        Policy::Cheapest => routes.sort_by_key(|route| route.tariff.map_or(u64::MAX, |it| price::rank(&it))),
        Policy::Fastest => routes.sort_by_key(|route| health.pace(&route.provider)),
        Policy::RoundRobin => {
            // A conversation that is known somewhere takes no turn.
            let turn = match errand.known {
                Some(_) => None,
                None => health.turn(errand.model, &routes),
            };
            routes.rotate_left(turn.unwrap_or(0));
        }
    }
    routes
}

fn wait(ms: Millis) -> u64 {
    u64::try_from(ms).unwrap_or(0).max(1)
}

fn millis(duration: std::time::Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests;
