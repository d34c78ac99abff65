//! The handler that makes a job of a request and answers with what becomes of it, in any dialect.

mod background;
mod past;
pub(crate) mod place;
mod route;
mod streamed;
mod uploads;
pub(crate) mod whole;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use drover_shared::dialect::{self, Answer, Beside, Delivery, Dialect, Rejection};
use drover_shared::provider::fit::fit;
use drover_shared::schema::{IfBusy, JobId, JobSpec, Keep, NewJob, Owner, Terms, Told, Tool, limits};
use drover_shared::store::{Enqueued, millis};
use uuid::Uuid;

use crate::admission;
use crate::app::App;
use crate::auth::Caller;
use crate::envelope::Ticket;
use crate::error::Problem;
use crate::resource::body;
use crate::tail::Reader;

const IGNORED: HeaderName = HeaderName::from_static("x-drover-ignored-parameters");

/// `POST` with a request in `dialect`.
pub(crate) async fn answer(
    dialect: &'static dyn Dialect,
    app: &Arc<App>,
    ticket: &Ticket,
    Caller { owner, .. }: Caller,
    request: Request,
) -> Result<Response, Problem> {
    if app.shutdown.is_cancelled() {
        return Err(Problem::leaving());
    }
    let named = session_header(request.headers())?;
    let prefers_async = background::is_preferred(request.headers());
    let body = body::read(&app.settings, app.settings.body_limit_bytes, request).await?;
    let view = app.fleet.get().await?;
    let uploads = uploads::load(app, &owner, dialect, &body).await?;
    let beside = Beside { default_model: view.default_model(), session: named, prefers_async, uploads };
    let mut request = parse(dialect, body, beside).await?;
    // As the client named it, which is how the answer names it too.
    let mut model = request.spec.model.clone();
    let by_name = request.agent_by_name.take();
    if let Some(named) = by_name.filter(|named| admission::names_an_agent(&view, &model, &named.model)) {
        request.spec.model = named.model;
        request.agent = Some(named.wish?);
    }
    let mut place = place::find(&*app.store, &owner, &mut request, view.default_model()).await?;
    let if_busy = request.session.map(|wish| wish.if_busy).unwrap_or_default();
    let dialect::Request { mut spec, delivery, usage, mut form, keep, drop_unsupported, mut ignored, .. } =
        request;
    if model.is_empty() {
        model.clone_from(&spec.model);
    }
    let resolved = admission::model(&view, &spec.model)?;
    let dropped = fit(&mut spec, &resolved, &view.offer, drop_unsupported)
        .map_err(|unfit| admission::unfit(dialect, &spec.model, unfit))?;
    // What was left out is not asked of the answer either.
    if !dropped.is_empty() {
        form.output.clone_from(&spec.output);
        form.tools = spec.tools.iter().map(Tool::promised).collect();
    }
    ignored.extend(dropped.into_iter().map(|setting| dialect.parameter(setting).to_owned()));

    let now = app.clock.now_ms();
    if let Some(wish) = place.agent() {
        admission::agent(dialect, &view, wish)?;
    }
    let told = place.make(&*app.store, &owner, &mut spec, now).await?;
    let (session, project) = (spec.session(), spec.agent.as_ref().map(|agent| agent.project));
    let job = JobId::from_uuid(Uuid::now_v7());
    let created_s = now.div_euclid(1_000);
    let answer = Answer { job, model, created_s, usage, form, session, project };
    let keep = answer.keep(dialect, keep);
    let job = NewJob { if_busy, told, ..new_job(job, owner, spec, keep, now) };
    let mut response = match delivery {
        Delivery::Background => background::answer(app, ticket, job, prefers_async).await?,
        Delivery::Stream => {
            let reader = enqueue(app, ticket, job).await?;
            streamed::answer(dialect, &app.settings, &answer, reader).await?
        }
        Delivery::Whole => whole::answer(dialect, &answer, enqueue(app, ticket, job).await?).await?,
    };
    response.headers_mut().extend(place::headers(session, project));
    if let Some(names) = ignored_header(&ignored) {
        response.headers_mut().insert(IGNORED, names);
    }
    Ok(response)
}

/// The session that a header names.
fn session_header(headers: &HeaderMap) -> Result<Option<String>, Rejection> {
    let Some(value) = headers.get(dialect::SESSION_HEADER) else { return Ok(None) };
    let Ok(text) = value.to_str() else {
        let message = format!("Invalid value for '{}'. It is no text.", dialect::SESSION_HEADER);
        return Err(Rejection::invalid("invalid_value", dialect::SESSION_HEADER, message));
    };
    Ok(Some(text.to_owned()))
}

async fn parse(
    dialect: &'static dyn Dialect,
    body: Bytes,
    beside: Beside,
) -> Result<dialect::Request, Problem> {
    let shown: usize = beside.uploads.values().map(|file| file.content.len()).sum();
    Ok(aside(body.len() + shown, move || dialect.parse(&body, &beside)).await??)
}

/// Much is read elsewhere: a thread that reads serves no stream.
async fn aside<T: Send + 'static>(
    bytes: usize,
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    if bytes <= limits::PARSE_INLINE_BYTES {
        return Ok(read());
    }
    tokio::task::spawn_blocking(read).await.map_err(|_panicked| Problem::internal())
}

/// Adds the job. It runs to its end even when the client leaves meanwhile: the reader travels with it,
/// and is dropped, which calls the job off, only when it is known to exist.
async fn enqueue(app: &Arc<App>, ticket: &Ticket, job: NewJob) -> Result<Reader, Problem> {
    let id = job.id;
    // Before the job exists, so that nothing of it can be missed.
    let reader = app.tail.open_new(id);
    let max_queued = app.settings.max_queued;
    let store = Arc::clone(&app.store);
    let adding = tokio::spawn(async move {
        let added = store.enqueue(&job, max_queued).await;
        if !matches!(added, Ok(Enqueued::Added)) {
            reader.disown();
        }
        (added, reader)
    });
    let (added, reader) = adding.await.map_err(|_panicked| Problem::internal())?;
    admitted(added?, max_queued)?;
    ticket.concerns(id);
    Ok(reader)
}

/// Why the job was not added, if it was not.
fn admitted(added: Enqueued, max_queued: u64) -> Result<(), Problem> {
    Err(match added {
        Enqueued::Added => return Ok(()),
        Enqueued::QueueFull => admission::queue_full(max_queued).into(),
        Enqueued::ProjectFull => admission::project_full().into(),
        Enqueued::NoSuchSession => Problem::no_such_session(),
        Enqueued::SessionBusy => admission::session_busy().into(),
        Enqueued::SessionFull => admission::session_full().into(),
        Enqueued::SessionTooLong => admission::session_too_long().into(),
        // Only who brings a key is told so.
        Enqueued::Known(_) | Enqueued::KeyReused => Problem::internal(),
    })
}

fn new_job(id: JobId, owner: Owner, spec: JobSpec, keep: Keep, now: i64) -> NewJob {
    NewJob {
        id,
        owner,
        spec,
        created_at_ms: now,
        deadline_at_ms: now.saturating_add(millis(limits::QUEUE_DEADLINE)),
        max_attempts: limits::ATTEMPTS,
        if_busy: IfBusy::Wait,
        told: Told::default(),
        keep: Some(keep),
        terms: Terms::default(),
        key: None,
    }
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
