//! Requests that come again under their key: they get the job that they have made, and make no other.
//!
//! Bodies are compared as they were sent, byte by byte: whoever sends a request again has its bytes, and no two readers
//! can disagree about what they mean.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use drover_shared::dialect::{Dialect, Rejection};
use drover_shared::schema::{Delivery, JobId, Owner, RequestKey, limits};
use drover_shared::store::Recalled;
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use super::prepare::Asked;
use super::{aside, background, place, streamed, whole};
use crate::app::App;
use crate::envelope::Ticket;
use crate::error::Problem;
use crate::results;
use crate::tail::Reader;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The key that a header gives to a request.
pub(crate) fn header(headers: &HeaderMap) -> Result<Option<String>, Rejection> {
    let name = "Idempotency-Key";
    let mut given = headers.get_all(KEY).into_iter();
    let Some(key) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(Rejection::invalid_value(name, "It is given twice."));
    }
    checked(name, key.as_bytes()).map(Some)
}

/// A key that a client has chosen, which is called `name`.
pub(crate) fn checked(name: &str, key: &[u8]) -> Result<String, Rejection> {
    let most = limits::REQUEST_KEY_CHARS;
    let fits = (1..=most).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    let text = fits.then(|| String::from_utf8_lossy(key).into_owned());
    text.ok_or_else(|| {
        let why = format!("It must be 1 to {most} visible ASCII characters, without spaces.");
        Rejection::invalid_value(name, &why)
    })
}

/// The key of a request for an answer.
pub(crate) async fn of_request(
    key: Option<String>,
    dialect: &'static dyn Dialect,
    asked: &Asked,
    body: &Bytes,
) -> Result<Option<RequestKey>, Problem> {
    let Some(key) = key else { return Ok(None) };
    let way = [u8::from(asked.prefers_async), u8::from(asked.only_async), u8::from(asked.session.is_some())];
    let (session, size, body) = (asked.session.clone().unwrap_or_default(), body.len(), body.clone());
    let digest = move || digest(&[dialect.name().as_bytes(), &way, session.as_bytes(), &body]);
    Ok(Some(RequestKey { key, digest: aside(size, digest).await? }))
}

/// The key of a request to repeat a job.
pub(crate) fn of_retry(key: String, job: JobId) -> RequestKey {
    RequestKey { key, digest: digest(&[b"retry", job.to_string().as_bytes()]) }
}

/// Of each part and where it ends, so that no two lists of parts are alike.
fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    BASE64_URL_SAFE_NO_PAD.encode(hash.finalize())
}

/// The answer to a request that has made a job before; `None` for one that has not.
pub(crate) async fn answer(
    app: &Arc<App>,
    ticket: &Ticket,
    owner: &Owner,
    key: Option<&RequestKey>,
) -> Result<Option<Response>, Problem> {
    let Some(reader) = recall(app, owner, key).await? else { return Ok(None) };
    tell(app, ticket, reader).await.map(Some)
}

/// A reader of the job that there is under a key. Once begun it runs to its end, even when the client leaves meanwhile:
/// the store has noted that one waits, and the reader takes it back when it is dropped.
pub(crate) async fn recall(
    app: &Arc<App>,
    owner: &Owner,
    key: Option<&RequestKey>,
) -> Result<Option<Reader>, Problem> {
    let Some(key) = key else { return Ok(None) };
    let (store, tail) = (Arc::clone(&app.store), Arc::clone(&app.tail));
    let (owner, key) = (owner.clone(), key.clone());
    let asking = async move {
        match store.jobs().recall(&owner, &key).await? {
            None => Ok(None),
            Some(Recalled::Same(job)) => Ok(Some(tail.open_again(job))),
            Some(Recalled::Other) => Err(Problem(reused())),
        }
    };
    tokio::spawn(asking.in_current_span()).await.map_err(|_panicked| Problem::internal())?
}

/// Answers with the job that the reader reads, as the request that made it was answered.
pub(super) async fn tell(app: &Arc<App>, ticket: &Ticket, reader: Reader) -> Result<Response, Problem> {
    let id = reader.job();
    ticket.concerns(id);
    let unknown = || Problem::no_such_job(&id.to_string());
    let job = app.store.job(id).await?.ok_or_else(unknown)?;
    let (dialect, answer) = results::form(app, id).await?.ok_or_else(unknown)?;
    let told = match job.terms.delivery {
        Delivery::Background => {
            reader.disown();
            Ok(background::answer(app, id).await?)
        }
        Delivery::Stream => streamed::answer(dialect, &app.settings, &answer, reader).await,
        Delivery::Whole => whole::answer(dialect, &answer, reader).await,
    };
    let mut response = told.map_err(for_good).unwrap_or_else(Problem::into_response);
    if response.status().is_success() {
        response.headers_mut().extend(place::headers(answer.session, answer.project));
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// The failure of a job with a key. No SDK is to send its request again by itself: it would be told of the same failure.
pub(super) fn for_good(problem: Problem) -> Problem {
    Problem(problem.0.final_())
}

/// 422: another request came under the key.
pub(crate) fn reused() -> Rejection {
    let message = "Another request came under this idempotency key before. The same key needs the same body, byte for \
                   byte; another request needs another key.";
    Rejection::new(StatusCode::UNPROCESSABLE_ENTITY.as_u16(), "idempotency_key_reused", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_and_comes_once() {
        let long = "x".repeat(limits::REQUEST_KEY_CHARS);
        let longer = format!("{long}x");
        for (values, expected) in [
            (&[][..], Ok(None)),
            (&["a"], Ok(Some("a"))),
            (&["\"8e03978e-40d5\""], Ok(Some("\"8e03978e-40d5\""))),
            (&[&long], Ok(Some(&long[..]))),
            (&[&longer], Err(())),
            (&[""], Err(())),
            (&["a b"], Err(())),
            (&["é"], Err(())),
            (&["a", "a"], Err(())),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(KEY, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
            }
            let read = header(&headers);
            let key = read.as_ref().map(Option::as_deref).map_err(|rejection| {
                assert_eq!((rejection.status, rejection.param.as_deref()), (400, Some("Idempotency-Key")));
            });
            assert_eq!(key, expected, "{values:?}");
        }
    }

    #[test]
    fn no_two_requests_have_the_same_digest() {
        let lists: [&[&[u8]]; 6] = [&[], &[b""], &[b"", b""], &[b"ab", b"c"], &[b"a", b"bc"], &[b"abc"]];
        let digests: std::collections::HashSet<String> = lists.map(digest).into_iter().collect();
        assert_eq!(digests.len(), lists.len());
    }
}
