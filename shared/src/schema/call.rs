//! One call to a provider, as the ledger keeps it.

use serde::{Deserialize, Serialize};

use super::failure::FailureKind;
use super::id::{JobId, Owner, ProjectId, SessionId};
use super::usage::Usage;

/// One call to a provider on behalf of a job, answered or not: a row of the ledger. Kept longer than its job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// For which job.
    pub job: JobId,
    /// Of which of the job's attempts; counts from 1.
    pub attempt: u32,
    /// Which of the attempt's calls; counts from 1. A call that was retried or failed over counts anew.
    pub number: u32,
    /// Whose job it is.
    pub owner: Owner,
    /// The session that the job continues.
    pub session: Option<SessionId>,
    /// The project that it works in.
    pub project: Option<ProjectId>,
    /// The model, as the client named it.
    pub model: String,
    /// Who was asked: a provider's identifier.
    pub provider: String,
    /// With which of its keys: a fingerprint.
    pub provider_key: String,
    /// What the provider calls the model.
    pub upstream_model: String,
    /// When it was asked, in milliseconds since the Unix epoch.
    pub started_at_ms: i64,
    /// How long it took until the first byte of an answer, in milliseconds; `None` if there was none.
    pub first_byte_ms: Option<u32>,
    /// How long it took in all, in milliseconds.
    pub took_ms: u32,
    /// How it ended.
    pub outcome: CallOutcome,
    /// What was billed, with the cost by the price that held then.
    pub usage: Usage,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// With a whole answer.
    Answered,
    /// Its job was called off, or lost, while it was under way.
    BrokenOff,
    /// With a failure.
    Failed(FailureKind),
}

impl CallOutcome {
    /// The name in the database and on the wire: `answered`, `broken_off`, or a failure's code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::BrokenOff => "broken_off",
            Self::Failed(kind) => kind.code(),
        }
    }
}

impl CallOutcome {
    /// The outcome of that name.
    pub fn parse(code: &str) -> Option<Self> {
        match code {
            "answered" => Some(Self::Answered),
            "broken_off" => Some(Self::BrokenOff),
            code => FailureKind::parse(code).map(Self::Failed),
        }
    }
}

/// What calls are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// The day on which the call was made, in UTC.
    Day,
    /// The model, as the client named it.
    Model,
    /// The provider.
    Provider,
    /// What the provider calls the model.
    UpstreamModel,
    /// The job.
    Job,
    /// The session, a chat's or an agent's.
    Session,
    /// The agent's project.
    Project,
    /// The API key that the job came with.
    Key,
    /// The provider's key.
    ProviderKey,
    /// How the call ended.
    Outcome,
}

impl Dimension {
    /// All of them, in the order in which documents list them.
    pub const ALL: [Self; 10] = [
        Self::Day,
        Self::Model,
        Self::Provider,
        Self::UpstreamModel,
        Self::Job,
        Self::Session,
        Self::Project,
        Self::Key,
        Self::ProviderKey,
        Self::Outcome,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::UpstreamModel => "upstream_model",
            Self::Job => "job",
            Self::Session => "session",
            Self::Project => "project",
            Self::Key => "key",
            Self::ProviderKey => "provider_key",
            Self::Outcome => "outcome",
        }
    }

    /// The dimension of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.name() == name)
    }
}

/// Which calls to add up, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageQuery {
    /// Of whom; `None` for everybody.
    pub owner: Option<Owner>,
    /// Made at this time or later, in milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// Made before this time.
    pub until_ms: i64,
    /// Only those that are of this value in a dimension.
    pub only: Vec<(Dimension, String)>,
    /// What gets a row of its own; nothing for a single sum.
    pub group_by: Vec<Dimension>,
    /// Most rows.
    pub limit: u32,
}

/// What was billed for the calls that agree in the dimensions asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageRow {
    /// Their value in each dimension of the query; `None` where they have none, as chats have no
    /// project.
    pub group: Vec<(Dimension, Option<String>)>,
    /// How many they are.
    pub calls: u64,
    /// How many of them were not answered.
    pub failed_calls: u64,
    /// What they were billed together.
    pub usage: Usage,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_and_dimensions_are_known_by_their_names() {
        let failed = CallOutcome::Failed(FailureKind::ProviderOverloaded);
        for outcome in [CallOutcome::Answered, CallOutcome::BrokenOff, failed] {
            assert_eq!(CallOutcome::parse(outcome.code()), Some(outcome));
        }
        assert_eq!(CallOutcome::parse("lost"), None);
        for dimension in Dimension::ALL {
            assert_eq!(Dimension::parse(dimension.name()), Some(dimension));
        }
    }
}
