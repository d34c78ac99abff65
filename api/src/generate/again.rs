//! A job once more: what another one has asked for, in the background, as if it were asked for now.

use std::sync::Arc;

use axum::response::Response;
use drover_shared::dialect::{AgentWish, Answer, Answered, Dialect, Request};
use drover_shared::schema::{
    Delivery, Job, JobId, JobSpec, NewJob, Owner, Part, RequestKey, SessionId, Terms, limits,
};
use drover_shared::store::millis;
use uuid::Uuid;

use super::place::Begun;
use super::{Order, deliver, past};
use crate::admission;
use crate::app::App;
use crate::auth::Caller;
use crate::envelope::Ticket;
use crate::error::Problem;
use crate::results::spoken;

/// 202 with the new job. It goes where the old one went, if that is still there.
pub(crate) async fn answer(
    app: &Arc<App>,
    ticket: &Ticket,
    caller: &Caller,
    old: Job,
    key: Option<RequestKey>,
) -> Result<Response, Problem> {
    let unknown = || Problem::no_such_job(&old.id.to_string());
    let answers = app.store.answers();
    let mut spec = answers.spec(old.id).await?.ok_or_else(unknown)?;
    let keep = answers.form(old.id).await?.ok_or_else(unknown)?;
    // Of jobs alone that an older version has taken.
    let (dialect, told) = spoken(app, &keep).zip(Answer::kept(&keep)).ok_or_else(unknown)?;
    fits(app, dialect, caller, &mut spec).await?;

    let now = app.clock.now_ms();
    let id = JobId::from_uuid(Uuid::now_v7());
    let told = Answer { job: id, created_s: now.div_euclid(1_000), ..told };
    let keep = told.keep(dialect, keep.stored.then_some(keep.metadata));
    let delivery = Delivery::Background;
    let terms = Terms { delivery, run_at_ms: None, retry_of: Some(old.id), ..old.terms };
    let share = app.share().await?;
    let deadline_at_ms = now.saturating_add(millis(limits::QUEUE_DEADLINE));
    let plain = NewJob::plain(id, old.owner, spec, now, deadline_at_ms);
    let job = NewJob { keep: Some(keep), terms, key, share, ..plain };
    let order = Order { job, begun: Begun::default() };
    deliver(dialect, app, ticket, order, &told, delivery).await
}

/// Refuses what could not be asked for now, and lets it have what its project allows now.
async fn fits(
    app: &App,
    dialect: &'static dyn Dialect,
    caller: &Caller,
    spec: &mut JobSpec,
) -> Result<(), Problem> {
    let owner = &caller.owner;
    let view = app.fleet.get().await?;
    admission::suit(dialect, &view, caller.key.as_deref(), spec, false)?;
    if let Some(agent) = &mut spec.agent {
        let options = std::mem::take(&mut agent.options);
        let mut wish = AgentWish { options, names_servers: true, ..AgentWish::default() };
        admission::agent(dialect, &view, &mut wish)?;
        agent.options = wish.options;
        let project = app.store.project(agent.project).await?.filter(|project| project.owner == *owner);
        agent.network = project.ok_or_else(Problem::no_such_project)?.network;
    }
    match spec.chat {
        Some(session) => goes_on(app, owner, session, spec).await,
        None => Ok(()),
    }
}

/// A session may have gone on meanwhile: what answers its calls is held against what they are now.
async fn goes_on(app: &App, owner: &Owner, session: SessionId, spec: &JobSpec) -> Result<(), Problem> {
    let session = app.store.session(session).await?.filter(|session| session.owner == *owner);
    let session = session.ok_or_else(Problem::no_such_session)?;
    let parts = spec.turns.first().map_or(&[][..], |turn| &turn.parts[..]);
    let answered = parts.iter().filter_map(|part| match part {
        Part::ToolResult { tool_use_id, .. } => {
            Some(Answered { id: tool_use_id.clone(), path: "messages".to_owned() })
        }
        _ => None,
    });
    let request = Request { answered: answered.collect(), spec: spec.clone(), ..Request::default() };
    past::check(&*app.store, &session, &request).await
}
