//! The handler that makes a job of a request and answers with what becomes of it, in any dialect.

mod add;
pub(crate) mod again;
mod allowance;
mod background;
mod past;
pub(crate) mod place;
mod prepare;
pub(crate) mod replay;
mod route;
mod streamed;
mod terms;
mod uploads;
pub(crate) mod whole;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use drover_shared::dialect::{self, Answer, Delivery, Dialect, Rejection};
use drover_shared::schema::{NewJob, RequestKey, limits};

use self::add::{Taken, add_for_reader};
use crate::app::App;
use crate::auth::Caller;
use crate::envelope::Ticket;
use crate::error::Problem;
use crate::resource::body;

pub(crate) use self::add::{Order, add};
pub(crate) use self::prepare::{Asked, Prepared, prepare};

const IGNORED: HeaderName = HeaderName::from_static("x-drover-ignored-parameters");

/// `POST` with a request in `dialect`.
pub(crate) async fn answer(
    dialect: &'static dyn Dialect,
    app: &Arc<App>,
    ticket: &Ticket,
    caller: Caller,
    request: Request,
) -> Response {
    let answered = generate(dialect, app, ticket, caller.clone(), request).await;
    let mut response = answered.unwrap_or_else(Problem::into_response);
    allowance::tell(app, &caller, &mut response).await;
    response
}

async fn generate(
    dialect: &'static dyn Dialect,
    app: &Arc<App>,
    ticket: &Ticket,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    if app.shutdown.is_cancelled() {
        return Err(Problem::leaving());
    }
    let key = replay::header(request.headers())?;
    let session = session_header(request.headers())?;
    let prefers_async = background::is_preferred(request.headers());
    let body = body::read(&app.settings, app.settings.body_limit_bytes, request).await?;
    let asked = Asked { caller, session, prefers_async, only_async: false };
    let key = replay::of_request(key, dialect, &asked, &body).await?;
    // Before all else: whatever has changed meanwhile, the job is there.
    let replayed = replay::answer(app, ticket, &asked.caller.owner, key.as_ref()).await?;
    let mut response = match replayed {
        Some(response) => response,
        None => made(dialect, app, ticket, body, asked, key).await?,
    };
    if prefers_async && response.status() == StatusCode::ACCEPTED {
        background::applied(&mut response);
    }
    Ok(response)
}

/// Makes a job of the request, and answers with what becomes of it.
async fn made(
    dialect: &'static dyn Dialect,
    app: &Arc<App>,
    ticket: &Ticket,
    body: Bytes,
    asked: Asked,
    key: Option<RequestKey>,
) -> Result<Response, Problem> {
    let Prepared { job, begun, answer, delivery, ignored } = prepare(app, dialect, body, asked).await?;
    let order = Order { job: NewJob { key, ..job }, begun };
    let mut response = deliver(dialect, app, ticket, order, &answer, delivery).await?;
    if let Some(names) = ignored_header(&ignored) {
        response.headers_mut().insert(IGNORED, names);
    }
    Ok(response)
}

/// Adds the job, and answers as its client wants to be answered.
async fn deliver(
    dialect: &'static dyn Dialect,
    app: &Arc<App>,
    ticket: &Ticket,
    order: Order,
    answer: &Answer,
    delivery: Delivery,
) -> Result<Response, Problem> {
    let Order { job, begun } = order;
    let (id, has_key) = (job.id, job.key.is_some());
    let order = Order { job: NewJob { origin: Some(ticket.origin()), ..job }, begun };
    let answered = if delivery == Delivery::Background {
        if let Some(known) = add(app, order).await? {
            return replay::tell(app, ticket, app.tail.open_again(known)).await;
        }
        ticket.concerns(id);
        background::answer(app, id).await
    } else {
        let reader = match add_for_reader(app, ticket, order, delivery).await? {
            Taken::New(reader) => reader,
            Taken::Known(reader) => return replay::tell(app, ticket, reader).await,
        };
        let answered = match delivery {
            Delivery::Stream => streamed::answer(dialect, &app.settings, answer, reader).await,
            Delivery::Background | Delivery::Whole => whole::answer(dialect, answer, reader).await,
        };
        if has_key { answered.map_err(replay::for_good) } else { answered }
    };
    let mut response = answered?;
    response.headers_mut().extend(place::headers(answer.session, answer.project));
    Ok(response)
}

/// The session that a header names.
fn session_header(headers: &HeaderMap) -> Result<Option<String>, Rejection> {
    let Some(value) = headers.get(dialect::SESSION_HEADER) else { return Ok(None) };
    let Ok(text) = value.to_str() else {
        return Err(Rejection::invalid_value(dialect::SESSION_HEADER, "It is no text."));
    };
    Ok(Some(text.to_owned()))
}

/// Much is read elsewhere: a thread that reads serves no stream.
pub(crate) async fn aside<T: Send + 'static>(
    bytes: usize,
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    if bytes <= limits::PARSE_INLINE_BYTES {
        return Ok(read());
    }
    tokio::task::spawn_blocking(read).await.map_err(|_panicked| Problem::internal())
}

/// The names as a header may hold them; they come from the client's body.
fn ignored_header(names: &[String]) -> Option<HeaderValue> {
    let mut list = String::new();
    for name in names {
        let safe: String =
            name.chars().map(|c| if c.is_ascii_graphic() && c != ',' { c } else { '?' }).collect();
        if list.len() + safe.len() + 2 > limits::IGNORED_HEADER_BYTES {
            list.push_str(if list.is_empty() { "..." } else { ", ..." });
            break;
        }
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(&safe);
    }
    (!list.is_empty()).then(|| HeaderValue::try_from(list).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_names_fit_into_a_header() {
        let long = "x".repeat(limits::IGNORED_HEADER_BYTES);
        for (names, expected) in [
            (&[][..], None),
            (&["seed"], Some("seed")),
            (&["seed", "a b"], Some("seed, a?b")),
            (&["a,b\r\nset-cookie: c", "é"], Some("a?b??set-cookie:?c, ?")),
            (&["seed", &long], Some("seed, ...")),
            (&[&long], Some("...")),
        ] {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let header = ignored_header(&names);
            assert_eq!(header.as_ref().map(|value| value.to_str().expect("text")), expected);
        }
    }
}
