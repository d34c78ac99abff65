//! On what terms a job is taken: what its client says of it besides what it is to do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::id::{JobId, ProjectId, SessionId};
use super::state::JobState;

/// How a client takes an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// In one piece, for which it waits.
    #[default]
    Whole,
    /// As a stream.
    Stream,
    /// Later, from its job; nobody waits for it.
    Background,
}

impl Delivery {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Whole, Self::Stream, Self::Background];

    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Stream => "stream",
            Self::Background => "background",
        }
    }

    /// The one of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|delivery| delivery.as_str() == name)
    }
}

/// A job's place among its owner's waiting jobs. Names, since some servers take a low number for soon and others a high
/// one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// After all others.
    Low,
    /// As they come.
    #[default]
    Normal,
    /// Before all others.
    High,
}

impl Priority {
    /// All of them, in their order.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// The one of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == name)
    }

    /// The number in the database: higher is sooner, 0 is normal.
    pub fn level(self) -> i64 {
        match self {
            Self::Low => -1,
            Self::Normal => 0,
            Self::High => 1,
        }
    }

    /// The one of that number.
    pub fn of_level(level: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.level() == level)
    }
}

/// What a job's client says of it besides what it is to do. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How its client takes the answer.
    pub delivery: Delivery,
    /// Its place in the queue.
    pub priority: Priority,
    /// When it is to be taken up at the earliest.
    pub run_at_ms: Option<i64>,
    /// Its client's labels, each once.
    pub tags: Vec<String>,
    /// The job that it repeats.
    pub retry_of: Option<JobId>,
}

/// A key that a client has given to a request, so that it can send the request again and get the same job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// The key, the client's own words.
    pub key: String,
    /// A digest of all of the request that matters.
    pub digest: String,
}

/// Which of an owner's jobs are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobQuery {
    /// In one of these states only; all of them if it is empty.
    pub states: Vec<JobState>,
    /// Of this model only, as clients named it.
    pub model: Option<String>,
    /// Of this session only.
    pub session: Option<SessionId>,
    /// Of this project only.
    pub project: Option<ProjectId>,
    /// With all of these labels only.
    pub tags: Vec<String>,
    /// Asked for at this time or later, in milliseconds since the Unix epoch.
    pub since_ms: Option<i64>,
    /// Asked for before this time.
    pub until_ms: Option<i64>,
    /// Only those in the background, or only the others.
    pub background: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back() {
        for priority in Priority::ALL {
            assert_eq!(Priority::parse(priority.as_str()), Some(priority));
            assert_eq!(Priority::of_level(priority.level()), Some(priority));
            assert_eq!(serde_json::to_value(priority).expect("a name"), priority.as_str());
        }
        assert!(Priority::ALL.map(Priority::level).is_sorted());
        for delivery in Delivery::ALL {
            assert_eq!(Delivery::parse(delivery.as_str()), Some(delivery));
            assert_eq!(serde_json::to_value(delivery).expect("a name"), delivery.as_str());
        }
        assert_eq!((Priority::parse("High"), Priority::of_level(2), Delivery::parse("")), (None, None, None));
    }
}
