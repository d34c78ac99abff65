//! Adding a job. Once begun it runs to its end, even when the client leaves meanwhile: the commit is that of others, too.

use std::sync::Arc;

use drover_shared::dialect::Delivery;
use drover_shared::schema::{JobId, NewJob};
use drover_shared::store::Enqueued;
use tracing::Instrument as _;

use super::place::Begun;
use super::replay;
use crate::admission;
use crate::app::App;
use crate::envelope::Ticket;
use crate::error::Problem;
use crate::metrics;
use crate::tail::Reader;

/// A job to be added, and what was begun for it.
pub(crate) struct Order {
    pub(crate) job: NewJob,
    pub(crate) begun: Begun,
}

/// Adds a job that is there for nobody's sake. Gives the one that was there under its key instead, if one was.
pub(crate) async fn add(app: &Arc<App>, order: Order) -> Result<Option<JobId>, Problem> {
    let max_queued = app.settings.max_queued;
    let adding = {
        let app = Arc::clone(app);
        async move { enqueue(&app, order).await }
    };
    let added = tokio::spawn(adding.in_current_span()).await.map_err(|_panicked| Problem::internal())?;
    let known = admitted(added?, max_queued)?;
    if known.is_none() {
        metrics::enqueued(Delivery::Background);
    }
    Ok(known)
}

/// A reader of a job that was to be added.
pub(super) enum Taken {
    /// Of the job itself.
    New(Reader),
    /// Of the one that was there under its key.
    Known(Reader),
}

/// Adds a job that is there for its reader's sake. The reader travels with it, and is dropped, which calls the job off,
/// only when the job is known to exist.
pub(super) async fn add_for_reader(
    app: &Arc<App>,
    ticket: &Ticket,
    order: Order,
    delivery: Delivery,
) -> Result<Taken, Problem> {
    let id = order.job.id;
    // Before the job exists, so that nothing of it can be missed.
    let mut reader = app.tail.open_new(id, order.job.key.is_some());
    reader.answers(delivery, ticket.started());
    let max_queued = app.settings.max_queued;
    let adding = {
        let app = Arc::clone(app);
        async move {
            let added = enqueue(&app, order).await;
            match added {
                Ok(Enqueued::Added) => reader.enqueued(),
                _ => reader.disown(),
            }
            if let Ok(Enqueued::Known(known)) = added {
                reader = app.tail.open_again(known);
            }
            (added, reader)
        }
    };
    let adding = tokio::spawn(adding.in_current_span());
    let (added, reader) = adding.await.map_err(|_panicked| Problem::internal())?;
    if admitted(added?, max_queued)?.is_some() {
        return Ok(Taken::Known(reader));
    }
    metrics::enqueued(delivery);
    ticket.concerns(id);
    Ok(Taken::New(reader))
}

/// Undoes what was begun for a job that was not added. Whether it was is not known if the store has failed.
async fn enqueue(app: &App, Order { job, begun }: Order) -> Result<Enqueued, Problem> {
    let added = app.store.enqueue(&job, app.settings.max_queued).await?;
    if added != Enqueued::Added {
        begun.undo(&*app.store, job.created_at_ms).await;
    }
    Ok(added)
}

/// Why the job was not added, if it was not; the one under its key, if there is one.
fn admitted(added: Enqueued, max_queued: u64) -> Result<Option<JobId>, Problem> {
    Err(match added {
        Enqueued::Added => return Ok(None),
        Enqueued::Known(known) => return Ok(Some(known)),
        Enqueued::KeyReused => replay::reused().into(),
        Enqueued::Denied(denied) => admission::denied(denied).into(),
        Enqueued::QueueFull => admission::queue_full(max_queued).into(),
        Enqueued::ProjectFull => admission::project_full().into(),
        Enqueued::NoSuchSession => Problem::no_such_session(),
        Enqueued::SessionBusy => admission::session_busy().into(),
        Enqueued::SessionFull => admission::session_full().into(),
        Enqueued::SessionTooLong => admission::session_too_long().into(),
    })
}
