//! Why a request is answered with an error: one form that every dialect can write in its own shape.

use crate::schema::{Failure, FailureKind};

/// An error answer. `message` is for the caller's eyes; what the log needs is logged where it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// HTTP status.
    pub status: u16,
    /// Stable, in `snake_case`.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// The parameter at fault, as a path (`messages[2].content`).
    pub param: Option<String>,
    /// How long to wait before a retry makes sense, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Whether an SDK should retry by itself, where the status alone would mislead it.
    pub should_retry: Option<bool>,
    /// What class of errors it is, where status and code do not tell.
    pub class: Option<&'static str>,
}

impl Rejection {
    /// An error with nothing but status, code and message.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, code, message, param: None, retry_after_ms: None, should_retry: None, class: None }
    }

    /// 400: the value of `param` is not what it must be.
    pub fn invalid(code: &'static str, param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(400, code, message) }
    }

    /// 502: what the model has said is not what was asked for. No SDK is to retry it by itself: the model has been paid,
    /// and may well say the same again.
    pub fn invalid_output(message: impl Into<String>) -> Self {
        Self::new(502, "invalid_output", message).final_()
    }

    /// 400: a parameter of the query has a value that it must not have.
    pub fn invalid_value(name: &str, why: &str) -> Self {
        Self::invalid("invalid_value", name, format!("Invalid value for '{name}'. {why}"))
    }

    /// 400: a parameter is not there.
    pub fn missing(name: &str) -> Self {
        Self::invalid("missing_required_parameter", name, format!("Missing required parameter: '{name}'."))
    }

    /// 400: there is no parameter of this name in the query.
    pub fn unknown_parameter(name: &str) -> Self {
        let name: String = name.chars().take(64).collect();
        Self::invalid("unknown_parameter", name.clone(), format!("Unknown parameter: '{name}'."))
    }

    /// The same, to be retried after so many milliseconds.
    #[must_use]
    pub fn retry_after_ms(self, ms: u64) -> Self {
        Self { retry_after_ms: Some(ms), should_retry: Some(true), ..self }
    }

    /// The same, not to be retried by itself.
    #[must_use]
    pub fn final_(self) -> Self {
        Self { should_retry: Some(false), ..self }
    }
}

impl From<&Failure> for Rejection {
    /// The status a failed job's non-streaming answer has.
    fn from(failure: &Failure) -> Self {
        let status = match failure.kind {
            FailureKind::InvalidRequest | FailureKind::ContextLengthExceeded => 400,
            FailureKind::BudgetExceeded => 402,
            FailureKind::RequestTooLarge => 413,
            FailureKind::TurnsExceeded | FailureKind::ResourceLimit => 422,
            FailureKind::ModelNotFound => 404,
            FailureKind::ProviderRateLimited | FailureKind::InsufficientQuota => 429,
            FailureKind::ProviderOverloaded
            | FailureKind::CliUnavailable
            | FailureKind::SandboxUnavailable => 503,
            FailureKind::JobTimeout | FailureKind::JobStalled => 504,
            FailureKind::ProviderAuthFailed
            | FailureKind::ProviderBillingFailed
            | FailureKind::ProviderError
            | FailureKind::ProviderUnreachable
            | FailureKind::StreamInterrupted
            | FailureKind::EmptyAnswer => 502,
            FailureKind::CliFailed
            | FailureKind::OutputTooLarge
            | FailureKind::WorkerLost
            | FailureKind::AttemptsExhausted
            | FailureKind::BadPayload
            | FailureKind::Internal => 500,
        };
        // What an operator has to mend is not mended by an SDK's retry.
        let should_retry = match failure.kind {
            FailureKind::ProviderAuthFailed
            | FailureKind::ProviderBillingFailed
            | FailureKind::InsufficientQuota
            | FailureKind::AttemptsExhausted
            | FailureKind::OutputTooLarge
            | FailureKind::JobTimeout
            | FailureKind::SandboxUnavailable
            | FailureKind::BadPayload => Some(false),
            _ => None,
        };
        Self {
            retry_after_ms: failure.retry_after_ms,
            should_retry,
            ..Self::new(status, failure.kind.code(), failure.message.clone())
        }
    }
}
