//! Reading a request's body.

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::header::CONTENT_LENGTH;
use drover_shared::dialect::Rejection;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::error::Problem;
use crate::settings::Settings;

/// Reads it all, up to a limit of size and one of time.
pub(crate) async fn read(settings: &Settings, limit: usize, request: Request) -> Result<Bytes, Problem> {
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if declared.is_some_and(|bytes: u64| bytes > limit as u64) {
        return Err(too_large(limit));
    }
    let reading = Limited::new(request.into_body(), limit).collect();
    match timeout(settings.body_timeout, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(limit)),
        Ok(Err(_)) => {
            Err(Rejection::new(400, "body_unreadable", "The request body ended before it was whole.").into())
        }
        Err(_) => Err(Problem::slow_body()),
    }
}

fn too_large(limit: usize) -> Problem {
    let message = format!("The request body is larger than {limit} bytes, which is the limit.");
    Problem(Rejection::new(413, "request_too_large", message))
}
