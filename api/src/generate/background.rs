//! A job that nobody waits for. It is answered with as it stands once it is added; only a word of its client's calls it
//! off, since no reader of this process is there for it.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use axum::response::{IntoResponse, Response};
use drover_shared::schema::JobId;

use crate::app::App;
use crate::error::Problem;
use crate::{head, jobs};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const RESPOND_ASYNC: &str = "respond-async";

/// Whether the headers say so: a list of preferences, each of which may have parameters (RFC 7240, section 2).
pub(super) fn is_preferred(headers: &HeaderMap) -> bool {
    let names = head::list(headers, &PREFER).filter_map(|preference| preference.split(';').next());
    names.map(str::trim).any(|name| name.eq_ignore_ascii_case(RESPOND_ASYNC))
}

/// 202 with the job, as `GET /v1/jobs/{id}` tells it.
pub(super) async fn answer(app: &App, id: JobId) -> Result<Response, Problem> {
    let mut response = (StatusCode::ACCEPTED, Json(jobs::look(app, id).await?)).into_response();
    if let Ok(place) = HeaderValue::try_from(format!("/v1/jobs/{id}")) {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

/// Says that the preference was followed.
pub(super) fn applied(response: &mut Response) {
    response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static(RESPOND_ASYNC));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preference_is_found_among_others() {
        for (values, expected) in [
            (&[][..], false),
            (&["respond-async"], true),
            (&["wait=10, Respond-Async; x=1"], true),
            (&["return=minimal", "respond-async"], true),
            (&["respond-asynchronously", "x=respond-async"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(PREFER, HeaderValue::from_static(value));
            }
            assert_eq!(is_preferred(&headers), expected, "{values:?}");
        }
    }
}
