//! What is done for a request.

use std::sync::Arc;

use axum::body::Bytes;
use drover_shared::dialect::{Answer, Rejection};
use drover_shared::schema::{Job, JobId, NewJob, Seq, limits};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::answer::GoesOn;
use super::frame::Frame;
use super::holder::Holder;
use super::request::{Telling, What};
use super::seats::Place;
use super::subscriptions::{Subscription, Subscriptions};
use crate::app::App;
use crate::error::Problem;
use crate::generate::{Asked, Order, Prepared, add, prepare, replay};
use crate::jobs::JobBody;
use crate::{jobs, results, router};

/// Does what is asked for, and gives the frame that answers it.
pub(super) async fn answer(
    app: &Arc<App>,
    holder: &Holder,
    subscriptions: &mut Subscriptions,
    id: Option<&str>,
    what: What,
) -> Result<Utf8Bytes, Problem> {
    let caller = &holder.caller;
    caller.require(router::scopes(what.route()))?;
    match what {
        What::Ping => Ok(Frame::Pong { id }.text()),
        What::List(listing) => {
            let list = listing.tell(app, &caller.owner).await?;
            Ok(Frame::Listed { id, list: &list }.text())
        }
        What::Submit { request, key, telling } => {
            submit(app, holder, subscriptions, id, request, key, telling).await
        }
        What::Answer { job, goes_on, key, telling } => {
            let job = jobs::owned(app, &caller.owner, &job).await?;
            let request = continuing(&job, goes_on)?;
            submit(app, holder, subscriptions, id, request, key, telling).await
        }
        What::Subscribe { job, after, telling } => {
            let job = jobs::owned(app, &caller.owner, &job).await?;
            let place = place(app, subscriptions)?;
            if subscriptions.has(job.id) {
                let message = "This WebSocket is subscribed to the job already.";
                return Err(Rejection::new(409, "already_subscribed", message).into());
            }
            let ended = job.state.is_terminal();
            subscriptions.add(subscription(app, place, job.id, after, telling, ended).await?);
            Ok(Frame::Subscribed { id, job: job.id, after }.text())
        }
        What::Unsubscribe { job } => {
            let known = job.parse().ok().filter(|job| subscriptions.remove(*job));
            let Some(job) = known else {
                let message = "This WebSocket is not subscribed to such a job.";
                return Err(Rejection {
                    param: Some("job".to_owned()),
                    ..Rejection::new(404, "not_subscribed", message)
                }
                .into());
            };
            Ok(Frame::Unsubscribed { id, job }.text())
        }
        What::Cancel { job } => {
            let job = jobs::owned(app, &caller.owner, &job).await?;
            let job = jobs::call_off(app, job.id).await?;
            Ok(Frame::Job { id, job: &job }.text())
        }
        What::Get { job } => {
            let job = jobs::owned(app, &caller.owner, &job).await?;
            let job = jobs::tell(app, job).await?;
            Ok(Frame::Job { id, job: &job }.text())
        }
    }
}

/// Adds a job in the background, and subscribes to it.
async fn submit(
    app: &Arc<App>,
    holder: &Holder,
    subscriptions: &mut Subscriptions,
    id: Option<&str>,
    request: Bytes,
    key: Option<String>,
    telling: Option<Telling>,
) -> Result<Utf8Bytes, Problem> {
    let telling = match telling {
        Some(telling) => Some((telling, place(app, subscriptions)?)),
        None => None,
    };
    let asked = Asked { caller: holder.caller.clone(), session: None, prefers_async: true, only_async: true };
    let key = replay::of_request(key, app.dialect, &asked, &request).await?;
    if let Some(reader) = replay::recall(app, &asked.caller.owner, key.as_ref()).await? {
        // Nobody waits for a job in the background.
        reader.disown();
        return known(app, subscriptions, id, reader.job(), telling).await;
    }
    let Prepared { job, begun, answer, ignored, .. } = prepare(app, app.dialect, request, asked).await?;
    let job = NewJob { origin: Some(holder.origin.clone()), ..job };
    let (job_id, added) = (job.id, JobBody::added(&job));
    if let Some(job) = add(app, Order { job: NewJob { key, ..job }, begun }).await? {
        return known(app, subscriptions, id, job, telling).await;
    }
    tracing::info!(job = %job_id, "added over a WebSocket");
    // It is there, so that its client must be told which it is, whatever fails from now on.
    let job = jobs::look(app, job_id).await.unwrap_or(added);
    let subscribed = telling.is_some();
    if let Some((telling, place)) = telling {
        subscriptions.add(form(app, place, &answer, 0, telling, false));
    }
    let (session_id, project_id, ignored) = (answer.session, answer.project, &ignored[..]);
    let replayed = false;
    Ok(Frame::Submitted { id, job: &job, session_id, project_id, ignored, subscribed, replayed }.text())
}

/// Tells of the job that was there already, under the request's key, and subscribes to it; who is told of it here is not
/// told twice.
async fn known(
    app: &Arc<App>,
    subscriptions: &mut Subscriptions,
    id: Option<&str>,
    job: JobId,
    telling: Option<(Telling, Place)>,
) -> Result<Utf8Bytes, Problem> {
    let unknown = || Problem::no_such_job(&job.to_string());
    let (_, answer) = results::form(app, job).await?.ok_or_else(unknown)?;
    let (session_id, project_id, subscribed) = (answer.session, answer.project, telling.is_some());
    let body = jobs::look(app, job).await?;
    if let Some((telling, place)) = telling.filter(|_| !subscriptions.has(job)) {
        subscriptions.add(form(app, place, &answer, 0, telling, false));
    }
    let (ignored, replayed) = (&[][..], true);
    Ok(Frame::Submitted { id, job: &body, session_id, project_id, ignored, subscribed, replayed }.text())
}

/// The request that goes on from a job with the results of its calls.
fn continuing(job: &Job, goes_on: GoesOn) -> Result<Bytes, Rejection> {
    if !job.state.is_terminal() {
        return Err(results::not_finished());
    }
    let Some(session) = job.session else {
        let why = "The job belongs to no session, so that nothing goes on from it. Submit its request with \
                   'session_id': 'new', or send the whole conversation with job.submit.";
        return Err(Rejection::invalid_value("job", why));
    };
    Ok(goes_on.in_session(session))
}

/// A place for one more, of this WebSocket's and of all.
fn place(app: &App, subscriptions: &Subscriptions) -> Result<Place, Rejection> {
    let most = limits::SOCKET_SUBSCRIPTIONS;
    if subscriptions.len() >= most {
        let message = format!("This WebSocket is subscribed to {most} jobs, which is all that it may be.");
        return Err(Rejection::new(429, "too_many_subscriptions", message).final_());
    }
    app.seats.subscribe()
}

async fn subscription(
    app: &Arc<App>,
    place: Place,
    job: JobId,
    after: Seq,
    telling: Telling,
    ended: bool,
) -> Result<Subscription, Problem> {
    if telling == Telling::Events {
        return Ok(Subscription::events(place, job, app.tail.open(job, after, ended)));
    }
    let (_, answer) = results::form(app, job).await?.ok_or_else(|| {
        Rejection::invalid_value("format", "How this job's answer is told is not known; its events are.")
    })?;
    Ok(form(app, place, &answer, after, telling, ended))
}

fn form(
    app: &Arc<App>,
    place: Place,
    answer: &Answer,
    after: Seq,
    telling: Telling,
    ended: bool,
) -> Subscription {
    match telling {
        Telling::Events => Subscription::events(place, answer.job, app.tail.open(answer.job, after, ended)),
        Telling::Chunks { include_usage } => {
            let mut answer = answer.clone();
            answer.usage.streamed = include_usage;
            let reader = app.tail.open(answer.job, 0, ended);
            Subscription::chunks(place, app.dialect, &answer, reader, after)
        }
    }
}
