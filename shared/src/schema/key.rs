//! API keys, as api and store see them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

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
