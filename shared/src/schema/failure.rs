//! How a job fails: one closed list of kinds, each with a stable code.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a job failed, in words for its client. Never holds a key, a prompt or a path of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// Which kind; decides status and code in every dialect.
    pub kind: FailureKind,
    /// For the client's eyes.
    pub message: String,
    /// How long the provider asked to wait, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure with nothing to add to its message.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after_ms: None }
    }
}

/// The kinds of failure. `snake_case` names are stable codes that clients may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The provider refused the request as invalid (400).
    InvalidRequest,
    /// The conversation is longer than the model's context window.
    ContextLengthExceeded,
    /// The request is larger than the provider accepts (413).
    RequestTooLarge,
    /// The provider does not know the model (404).
    ModelNotFound,
    /// The provider refused the key that Drover holds (401, 403).
    ProviderAuthFailed,
    /// The provider's account has no credit (402).
    ProviderBillingFailed,
    /// The provider's rate limit (429).
    ProviderRateLimited,
    /// The provider is overloaded (503, 529).
    ProviderOverloaded,
    /// The provider failed (500 and other 5xx), or answered what is no answer.
    ProviderError,
    /// No connection to the provider, or it broke before the answer began.
    ProviderUnreachable,
    /// The provider's answer broke off after it had begun.
    StreamInterrupted,
    /// The job ran longer than it may.
    JobTimeout,
    /// Nothing happened for longer than it may.
    JobStalled,
    /// The agent called the model as often as it may.
    TurnsExceeded,
    /// The job cost as much as it may.
    BudgetExceeded,
    /// What the key may spend on a day or in a month was spent before the job's turn came.
    InsufficientQuota,
    /// What the agent ran took more memory, processes or disk than a slot may.
    ResourceLimit,
    /// The worker cannot wall the job off as it has to be.
    SandboxUnavailable,
    /// The Claude CLI exited or misbehaved.
    CliFailed,
    /// The Claude CLI is not installed, or cannot be used, on the worker.
    CliUnavailable,
    /// One line of the CLI was longer than the limit.
    OutputTooLarge,
    /// The model finished without saying anything.
    EmptyAnswer,
    /// The worker died or shut down after the job had spoken.
    WorkerLost,
    /// The job failed, before it had spoken, as often as it may be tried.
    AttemptsExhausted,
    /// The queued job could not be read.
    BadPayload,
    /// A defect of Drover's own.
    Internal,
}

impl FailureKind {
    /// The kind of that code.
    pub fn parse(code: &str) -> Option<Self> {
        serde_json::from_value(serde_json::Value::String(code.to_owned())).ok()
    }

    /// The stable code, as in the serialised form.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::ContextLengthExceeded => "context_length_exceeded",
            Self::RequestTooLarge => "request_too_large",
            Self::ModelNotFound => "model_not_found",
            Self::ProviderAuthFailed => "provider_auth_failed",
            Self::ProviderBillingFailed => "provider_billing_failed",
            Self::ProviderRateLimited => "provider_rate_limited",
            Self::ProviderOverloaded => "provider_overloaded",
            Self::ProviderError => "provider_error",
            Self::ProviderUnreachable => "provider_unreachable",
            Self::StreamInterrupted => "stream_interrupted",
            Self::JobTimeout => "job_timeout",
            Self::JobStalled => "job_stalled",
            Self::TurnsExceeded => "turns_exceeded",
            Self::BudgetExceeded => "budget_exceeded",
            Self::InsufficientQuota => "insufficient_quota",
            Self::ResourceLimit => "resource_limit",
            Self::SandboxUnavailable => "sandbox_unavailable",
            Self::CliFailed => "cli_failed",
            Self::CliUnavailable => "cli_unavailable",
            Self::OutputTooLarge => "output_too_large",
            Self::EmptyAnswer => "empty_answer",
            Self::WorkerLost => "worker_lost",
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::BadPayload => "bad_payload",
            Self::Internal => "internal",
        }
    }
}
