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
