//! The shape of every error, in a body of its own and as a frame of a stream.

use schemars::JsonSchema;
use serde::Serialize;

use super::wire;
use crate::dialect::Rejection;

/// `{"error":{…}}`. All four keys are always there: the official SDKs read them without asking.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(super) struct Body<'a> {
    error: Detail<'a>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ErrorDetail")]
struct Detail<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: &'static str,
}

/// The body of an error answer.
pub(super) fn body(rejection: &Rejection) -> Vec<u8> {
    let mut out = Vec::new();
    write(rejection, &mut out);
    out
}

/// Appends the same to `out`.
pub(super) fn write(rejection: &Rejection, out: &mut Vec<u8>) {
    let Rejection { message, param, code, .. } = rejection;
    wire::json(
        &Body { error: Detail { message, r#type: class(rejection), param: param.as_deref(), code } },
        out,
    );
}

/// OpenAI's `type`, which follows from the status; only a used-up quota has a type of its own.
fn class(rejection: &Rejection) -> &'static str {
    if let Some(class) = rejection.class {
        return class;
    }
    match (rejection.status, rejection.code) {
        (_, "insufficient_quota") => "insufficient_quota",
        (401, _) => "authentication_error",
        (403, _) => "permission_error",
        (429, _) => "rate_limit_error",
        (503, _) => "service_unavailable_error",
        (500.., _) => "server_error",
        _ => "invalid_request_error",
    }
}
