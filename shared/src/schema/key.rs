//! API keys, as api and store see them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::id::Owner;

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Asking for answers, and all that belongs to it: models, sessions, projects, files, stored completions, and the
    /// results and the calling off of its own jobs.
    Chat,
    /// Jobs as such: listing and reading them, their events, and long runs over a WebSocket.
    Jobs,
    /// The house itself: keys, providers, and what other keys have used.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Chat, Self::Jobs, Self::Admin];

    /// The name in the database, on the wire and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Jobs => "jobs",
            Self::Admin => "admin",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The text names no scope.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the scopes are chat, jobs and admin")]
pub struct NoScope;

impl FromStr for Scope {
    type Err = NoScope;

    fn from_str(text: &str) -> Result<Self, NoScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(NoScope)
    }
}

/// Several scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// All there are.
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Whether the scope is among them.
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl Serialize for Scopes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Scope>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// An API key that the store knows. Holds neither the secret nor its digest. Times are milliseconds since the Unix
/// epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its identifier, and the owner of all that it asks for.
    pub owner: Owner,
    /// What people call it.
    pub name: String,
    /// What it may be used for; never empty.
    pub scopes: Scopes,
    /// How much it may use.
    pub limits: KeyLimits,
    /// Between keys: whose is higher comes first.
    pub priority: i32,
    /// When it was made.
    pub created_at_ms: i64,
    /// From when on it is not valid any more.
    pub expires_at_ms: Option<i64>,
    /// When it was last used, give or take a minute.
    pub last_used_at_ms: Option<i64>,
    /// When it was revoked.
    pub revoked_at_ms: Option<i64>,
}

impl ApiKey {
    /// Whether it opens anything at `now`.
    pub fn is_valid(&self, now: i64) -> bool {
        self.revoked_at_ms.is_none() && self.expires_at_ms.is_none_or(|expiry| now < expiry)
    }
}

/// How much a key may use; `None` where it may use any amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyLimits {
    /// Jobs asked for in a minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens of prompts and answers in a minute.
    pub tokens_per_minute: Option<u32>,
    /// Jobs that run at once; more wait.
    pub concurrent_jobs: Option<u32>,
    /// Jobs that wait.
    pub queued_jobs: Option<u32>,
    /// What its calls may cost on a day in UTC, in millionths of a US dollar.
    pub daily_budget_microusd: Option<u64>,
    /// The same of a month.
    pub monthly_budget_microusd: Option<u64>,
}

impl KeyLimits {
    /// Whether what it costs matters.
    pub fn has_budget(&self) -> bool {
        self.daily_budget_microusd.is_some() || self.monthly_budget_microusd.is_some()
    }
}

/// What is to be changed of a key; `None` leaves things as they are, and an inner `None` lifts a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the key")]
pub struct KeyChange {
    pub name: Option<String>,
    pub scopes: Option<Scopes>,
    pub priority: Option<i32>,
    pub expires_at_ms: Option<Option<i64>>,
    pub requests_per_minute: Option<Option<u32>>,
    pub tokens_per_minute: Option<Option<u32>>,
    pub concurrent_jobs: Option<Option<u32>>,
    pub queued_jobs: Option<Option<u32>>,
    pub daily_budget_microusd: Option<Option<u64>>,
    pub monthly_budget_microusd: Option<Option<u64>>,
}

impl KeyChange {
    /// The key after the change.
    pub fn apply(self, key: &mut ApiKey) {
        fn set<T>(to: &mut T, from: Option<T>) {
            if let Some(value) = from {
                *to = value;
            }
        }
        set(&mut key.name, self.name);
        set(&mut key.scopes, self.scopes);
        set(&mut key.priority, self.priority);
        set(&mut key.expires_at_ms, self.expires_at_ms);
        let limits = &mut key.limits;
        set(&mut limits.requests_per_minute, self.requests_per_minute);
        set(&mut limits.tokens_per_minute, self.tokens_per_minute);
        set(&mut limits.concurrent_jobs, self.concurrent_jobs);
        set(&mut limits.queued_jobs, self.queued_jobs);
        set(&mut limits.daily_budget_microusd, self.daily_budget_microusd);
        set(&mut limits.monthly_budget_microusd, self.monthly_budget_microusd);
    }
}

/// SHA-256 of a key's secret.
pub type KeyDigest = [u8; 32];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_told_apart() {
        let scopes: Scopes = [Scope::Admin, Scope::Chat].into_iter().collect();
        assert_eq!(scopes.iter().collect::<Vec<_>>(), [Scope::Chat, Scope::Admin]);
        assert!(!scopes.contains(Scope::Jobs) && !scopes.is_empty() && Scopes::default().is_empty());
        assert!(Scope::ALL.into_iter().all(|scope| scope.as_str().parse() == Ok(scope)));
        assert_eq!("Chat".parse::<Scope>(), Err(NoScope));
    }
}
