//! What a provider's error means for the job.
//!
//! A client is told the provider's own words only where they are about the client's request. What is
//! about the key, the account or the provider's troubles is said in ours: such messages name keys and
//! organisations.

use serde_json::Value;

use crate::schema::{Failure, FailureKind, limits};

/// Status and `error.type` of the Messages API (Anthropic API reference, "Errors").
const ERROR_TYPES: [(u16, &str); 11] = [
    (400, "invalid_request_error"),
    (401, "authentication_error"),
    (402, "billing_error"),
    (403, "permission_error"),
    (404, "not_found_error"),
    (409, "conflict_error"),
    (413, "request_too_large"),
    (429, "rate_limit_error"),
    (500, "api_error"),
    (504, "timeout_error"),
    (529, "overloaded_error"),
];

/// Phrases by which a 400 says that the conversation is too long.
const TOO_LONG: [&str; 5] =
    ["prompt is too long", "context window", "context length", "context limit", "maximum context"];

/// The failure that an answer with this status stands for. `retry_after` is that header's value; a date
/// in it is not understood, as there is no clock in here.
pub fn from_answer(status: u16, retry_after: Option<&str>, body: &[u8]) -> Failure {
    let said = own_words(body);
    let (kind, message) = match status {
        400 | 409 | 422 => refused(said),
        401 | 403 => (
            FailureKind::ProviderAuthFailed,
            format!("The model provider refused the credentials that this server holds ({status})."),
        ),
        402 => (FailureKind::ProviderBillingFailed, no_credit()),
        404 => match said {
            Some(said) => (FailureKind::ModelNotFound, said),
            None => (FailureKind::ProviderError, unexpected(status)),
        },
        413 => (
            FailureKind::RequestTooLarge,
            said.unwrap_or_else(|| "The request is larger than the model provider accepts.".to_owned()),
        ),
        429 => (
            FailureKind::ProviderRateLimited,
            "The model provider's rate limit is reached; try again later.".to_owned(),
        ),
        503 | 529 => (
            FailureKind::ProviderOverloaded,
            format!("The model provider is overloaded ({status}); try again later."),
        ),
        500..=599 => (FailureKind::ProviderError, format!("The model provider failed ({status}).")),
        _ => (FailureKind::ProviderError, unexpected(status)),
    };
    Failure { kind, message, retry_after_ms: retry_after.and_then(milliseconds) }
}

/// The failure that an `error` event within a stream stands for.
pub fn from_error_event(data: &[u8]) -> Failure {
    let error: Value = serde_json::from_slice(data).unwrap_or_default();
    let named = error["error"]["type"].as_str();
    let status = ERROR_TYPES.iter().find(|(_, name)| Some(*name) == named).map_or(500, |(status, _)| *status);
    from_answer(status, None, data)
}

/// An answer that is no event stream.
pub fn no_stream() -> Failure {
    Failure::new(FailureKind::ProviderError, "The model provider's answer is no event stream.")
}

/// An event of the answer is longer than [`limits::PROVIDER_EVENT_BYTES`].
pub fn event_too_long() -> Failure {
    Failure::new(FailureKind::ProviderError, "An event of the model provider's answer is too long.")
}

/// No connection, or it broke before the answer began.
pub fn unreachable() -> Failure {
    Failure::new(FailureKind::ProviderUnreachable, "The model provider cannot be reached.")
}

/// Nothing came for as long as an answer may take to begin.
pub fn silent() -> Failure {
    Failure::new(FailureKind::ProviderUnreachable, "The model provider did not begin to answer in time.")
}

/// The answer broke off.
pub fn interrupted() -> Failure {
    Failure::new(FailureKind::StreamInterrupted, "The model provider's answer broke off.")
}

/// Nobody here serves the model.
pub fn not_offered(model: &str) -> Failure {
    Failure::new(FailureKind::ModelNotFound, format!("The model `{model}` is not offered here."))
}

/// The name that the Messages API gives to errors of this status.
pub fn error_type(status: u16) -> &'static str {
    ERROR_TYPES.iter().find(|(known, _)| *known == status).map_or("api_error", |(_, name)| name)
}

/// What a 400 means. Anthropic reports an empty account as one, too.
fn refused(said: Option<String>) -> (FailureKind, String) {
    let Some(said) = said else {
        let message = "The model provider refused the request as invalid.";
        return (FailureKind::InvalidRequest, message.to_owned());
    };
    let lower = said.to_lowercase();
    if lower.contains("credit balance") {
        (FailureKind::ProviderBillingFailed, no_credit())
    } else if TOO_LONG.iter().any(|phrase| lower.contains(phrase)) {
        (FailureKind::ContextLengthExceeded, said)
    } else {
        (FailureKind::InvalidRequest, said)
    }
}

fn no_credit() -> String {
    "The model provider refuses to bill this server's account.".to_owned()
}

fn unexpected(status: u16) -> String {
    format!("The model provider gave an answer that makes no sense here ({status}).")
}

/// `error.message` of an error body, bounded.
fn own_words(body: &[u8]) -> Option<String> {
    let error: Value = serde_json::from_slice(body).ok()?;
    let message = error["error"]["message"].as_str().filter(|message| !message.is_empty())?;
    Some(message.chars().take(limits::PROVIDER_MESSAGE_CHARS).collect())
}

/// Seconds, as the header has them, in milliseconds.
fn milliseconds(retry_after: &str) -> Option<u64> {
    retry_after.trim().parse::<u64>().ok()?.checked_mul(1_000)
}

#[cfg(test)]
mod tests {
    use FailureKind::{
        ContextLengthExceeded, InvalidRequest, ModelNotFound, ProviderAuthFailed, ProviderBillingFailed,
        ProviderError, ProviderOverloaded, ProviderRateLimited, RequestTooLarge,
    };

    use super::*;

    fn body(name: &str, message: &str) -> Vec<u8> {
        serde_json::json!({ "type": "error", "error": { "type": name, "message": message } })
            .to_string()
            .into_bytes()
    }

    #[test]
    fn every_status_has_its_kind() {
        for (status, name, message, kind, told) in [
            (400, "invalid_request_error", "temperature: too hot", InvalidRequest, true),
            (422, "invalid_request_error", "what?", InvalidRequest, true),
            (
                400,
                "invalid_request_error",
                "prompt is too long: 9 tokens > 8 maximum",
                ContextLengthExceeded,
                true,
            ),
            (
                400,
                "invalid_request_error",
                "input length and `max_tokens` exceed context limit: 9 + 9 > 9",
                ContextLengthExceeded,
                true,
            ),
            (
                400,
                "invalid_request_error",
                "Your credit balance is too low of org 7",
                ProviderBillingFailed,
                false,
            ),
            (401, "authentication_error", "invalid x-api-key sk-ant-1", ProviderAuthFailed, false),
            (402, "billing_error", "org 7 owes us", ProviderBillingFailed, false),
            (403, "permission_error", "key sk-ant-1 may not", ProviderAuthFailed, false),
            (404, "not_found_error", "model: claude-9", ModelNotFound, true),
            (413, "request_too_large", "Request exceeds 32 MB", RequestTooLarge, true),
            (429, "rate_limit_error", "org 7 exceeds 5 RPM", ProviderRateLimited, false),
            (500, "api_error", "internal host x9", ProviderError, false),
            (502, "api_error", "internal host x9", ProviderError, false),
            (503, "overloaded_error", "internal host x9", ProviderOverloaded, false),
            (529, "overloaded_error", "internal host x9", ProviderOverloaded, false),
            (302, "api_error", "over there", ProviderError, false),
        ] {
            let failure = from_answer(status, None, &body(name, message));
            assert_eq!(failure.kind, kind, "{status} {message}");
            assert_eq!(failure.message == message, told, "{status}: {}", failure.message);
            assert!(told || !failure.message.contains(message), "{status}: {}", failure.message);
        }
    }

    #[test]
    fn a_404_that_is_not_the_apis_is_no_missing_model() {
        assert_eq!(from_answer(404, None, b"<html>").kind, ProviderError);
    }

    #[test]
    fn retry_after_is_read_as_seconds() {
        for (header, expected) in [
            (None, None),
            (Some("2"), Some(2_000)),
            (Some(" 30 "), Some(30_000)),
            (Some("Wed, 21 Oct 2026 07:28:00 GMT"), None),
            (Some("-1"), None),
            (Some("18446744073709551615"), None),
        ] {
            assert_eq!(from_answer(429, header, b"").retry_after_ms, expected, "{header:?}");
        }
    }

    #[test]
    fn a_long_message_is_cut() {
        let failure = from_answer(400, None, &body("invalid_request_error", &"ä".repeat(5_000)));
        assert_eq!(failure.message.chars().count(), limits::PROVIDER_MESSAGE_CHARS);
    }

    #[test]
    fn an_error_event_is_as_the_answer_of_its_type() {
        for (name, kind) in [
            ("overloaded_error", ProviderOverloaded),
            ("rate_limit_error", ProviderRateLimited),
            ("invalid_request_error", InvalidRequest),
            ("api_error", ProviderError),
            ("something_new", ProviderError),
        ] {
            assert_eq!(from_error_event(&body(name, "m")).kind, kind, "{name}");
        }
        assert_eq!(from_error_event(b"garbage").kind, ProviderError);
    }
}
