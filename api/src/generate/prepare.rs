//! A request's body into a job that can be added: all that is checked, found and made before that, whichever way the
//! answer goes.

use std::sync::Arc;

use axum::body::Bytes;
use drover_shared::dialect::{self, Answer, Beside, Delivery, Dialect, Rejection};
use drover_shared::schema::{JobId, NewJob, Tool};
use uuid::Uuid;

use super::place::Begun;
use super::{aside, place, terms, uploads};
use crate::admission;
use crate::app::App;
use crate::auth::Caller;
use crate::error::Problem;

/// Who asks, and what came beside the body.
pub(crate) struct Asked {
    pub(crate) caller: Caller,
    /// The session that is named outside of the body.
    pub(crate) session: Option<String>,
    /// Whether the client would rather not wait for the answer.
    pub(crate) prefers_async: bool,
    /// Whether the client can take the answer in no other way.
    pub(crate) only_async: bool,
}

/// A job that is ready to be added, and how its client takes the answer.
pub(crate) struct Prepared {
    pub(crate) job: NewJob,
    /// A session and a project that are there for it alone.
    pub(crate) begun: Begun,
    pub(crate) answer: Answer,
    pub(crate) delivery: Delivery,
    /// Fields of the body that mean nothing here.
    pub(crate) ignored: Vec<String>,
}

/// Makes a job of a body. A session or a project that it begins is there afterwards, the job is not.
pub(crate) async fn prepare(
    app: &Arc<App>,
    dialect: &'static dyn Dialect,
    body: Bytes,
    asked: Asked,
) -> Result<Prepared, Problem> {
    let Asked { caller: Caller { owner, key, .. }, session, prefers_async, only_async } = asked;
    let view = app.fleet.get().await?;
    let uploads = uploads::load(app, &owner, dialect, &body).await?;
    let beside = Beside { default_model: view.default_model(), session, prefers_async, uploads };
    let mut request = parse(dialect, body, beside).await?;
    if only_async {
        in_background(request.delivery)?;
    }
    // As the client named it, which is how the answer names it too.
    let mut model = request.spec.model.clone();
    let by_name = request.agent_by_name.take();
    if let Some(named) = by_name.filter(|named| admission::names_an_agent(&view, &model, &named.model)) {
        request.spec.model = named.model;
        request.agent = Some(named.wish?);
    }
    let mut place = place::find(&*app.store, &owner, &mut request, view.default_model()).await?;
    let if_busy = request.session.map(|wish| wish.if_busy).unwrap_or_default();
    let dialect::Request {
        mut spec,
        delivery,
        terms,
        usage,
        mut form,
        keep,
        drop_unsupported,
        mut ignored,
        ..
    } = request;
    if model.is_empty() {
        model.clone_from(&spec.model);
    }
    let dropped = admission::suit(dialect, &view, key.as_deref(), &mut spec, drop_unsupported)?;
    // What was left out is not asked of the answer either.
    if !dropped.is_empty() {
        form.output.clone_from(&spec.output);
        form.tools = spec.tools.iter().map(Tool::promised).collect();
    }
    ignored.extend(dropped.into_iter().map(|setting| dialect.parameter(setting).to_owned()));

    let now = app.clock.now_ms();
    let (terms, deadline_at_ms) = terms::settle(terms, delivery, now)?;
    if let Some(wish) = place.agent() {
        admission::agent(dialect, &view, wish)?;
    }
    // A session is not begun, nor a project made, for what will be refused.
    if place.makes() && key.is_some() {
        let denied = app.store.keys().denied(&owner, &spec, now).await?;
        denied.map_or(Ok(()), |denied| Err(admission::denied(denied)))?;
    }
    let share = app.share().await?;
    let (told, begun) = place.make(&*app.store, &owner, &mut spec, now).await?;
    let (session, project) = (spec.session(), spec.agent.as_ref().map(|agent| agent.project));
    let job = JobId::from_uuid(Uuid::now_v7());
    let answer = Answer { job, model, created_s: now.div_euclid(1_000), usage, form, session, project };
    let keep = answer.keep(dialect, keep);
    let plain = NewJob::plain(job, owner, spec, now, deadline_at_ms);
    let job = NewJob { if_busy, told, keep: Some(keep), terms, share, ..plain };
    Ok(Prepared { job, begun, answer, delivery, ignored })
}

async fn parse(
    dialect: &'static dyn Dialect,
    body: Bytes,
    beside: Beside,
) -> Result<dialect::Request, Problem> {
    let shown: usize = beside.uploads.values().map(|file| file.content.len()).sum();
    Ok(aside(body.len() + shown, move || dialect.parse(&body, &beside)).await??)
}

/// Refuses what would have the answer come another way.
fn in_background(delivery: Delivery) -> Result<(), Rejection> {
    let name = match delivery {
        Delivery::Background => return Ok(()),
        Delivery::Stream => "stream",
        Delivery::Whole => "background",
    };
    Err(Rejection::invalid_value(name, "Over a WebSocket every job is in the background; subscribe to it."))
}
