//! The states of a job. Written three times on purpose: the diagram in ARCHITECTURE.md, this enum with
//! its one transition function, and the CHECK constraint in `migrations/`; a test compares them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for a worker.
    Queued,
    /// A worker holds its lease.
    Running,
    /// Ended with a whole answer.
    Completed,
    /// Ended with an error.
    Failed,
    /// Called off.
    Cancelled,
    /// Nobody took it before its deadline.
    Expired,
}

/// What may happen to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// A worker claims it.
    Claim,
    /// Its worker was lost or its CLI failed before it had spoken, and attempts remain.
    Requeue,
    /// Its answer is whole.
    Complete,
    /// It ends with an error.
    Fail,
    /// It is called off.
    Cancel,
    /// Its deadline passed while it waited.
    Expire,
}

impl JobState {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Completed, Self::Failed, Self::Cancelled, Self::Expired];

    /// The name in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether nothing can happen to the job any more.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// The state after `transition`, or `None` where it cannot happen.
    pub fn after(self, transition: Transition) -> Option<Self> {
        match (self, transition) {
            (Self::Queued, Transition::Claim) => Some(Self::Running),
            (Self::Running, Transition::Requeue) => Some(Self::Queued),
            (Self::Running, Transition::Complete) => Some(Self::Completed),
            (Self::Queued | Self::Running, Transition::Fail) => Some(Self::Failed),
            (Self::Queued | Self::Running, Transition::Cancel) => Some(Self::Cancelled),
            (Self::Queued, Transition::Expire) => Some(Self::Expired),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSITIONS: [Transition; 6] = [
        Transition::Claim,
        Transition::Requeue,
        Transition::Complete,
        Transition::Fail,
        Transition::Cancel,
        Transition::Expire,
    ];

    #[test]
    fn terminal_states_are_final() {
        for state in JobState::ALL.into_iter().filter(|state| state.is_terminal()) {
            assert!(TRANSITIONS.iter().all(|t| state.after(*t).is_none()), "{state:?}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for state in JobState::ALL {
            assert_eq!(JobState::parse(state.as_str()), Some(state));
        }
    }
}
