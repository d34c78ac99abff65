//! Adding a job. Once begun it runs to its end, even when the client leaves meanwhile: the commit is that of others, too.

use std::sync::Arc;

use drover_shared::dialect::Delivery;
use drover_shared::schema::NewJob;
use drover_shared::store::Enqueued;
use tracing::Instrument as _;

use crate::admission;
use crate::app::App;
use crate::envelope::Ticket;
use crate::error::Problem;
use crate::metrics;
use crate::tail::Reader;

/// Adds a job that is there for nobody's sake.
pub(crate) async fn add(app: &Arc<App>, job: NewJob) -> Result<(), Problem> {
    let max_queued = app.settings.max_queued;
    let store = Arc::clone(&app.store);
    let adding = tokio::spawn(async move { store.enqueue(&job, max_queued).await }.in_current_span());
    admitted(adding.await.map_err(|_panicked| Problem::internal())??, max_queued)?;
    metrics::enqueued(Delivery::Background);
    Ok(())
}

/// Adds a job that is there for its reader's sake. The reader travels with it, and is dropped, which calls the job off,
/// only when the job is known to exist.
pub(super) async fn add_for_reader(
    app: &Arc<App>,
    ticket: &Ticket,
    job: NewJob,
    delivery: Delivery,
) -> Result<Reader, Problem> {
    let id = job.id;
    // Before the job exists, so that nothing of it can be missed.
    let mut reader = app.tail.open_new(id);
    reader.answers(delivery, ticket.started());
    let max_queued = app.settings.max_queued;
    let store = Arc::clone(&app.store);
    let adding = async move {
        let added = store.enqueue(&job, max_queued).await;
        if !matches!(added, Ok(Enqueued::Added)) {
            reader.disown();
        }
        (added, reader)
    };
    let adding = tokio::spawn(adding.in_current_span());
    let (added, reader) = adding.await.map_err(|_panicked| Problem::internal())?;
    admitted(added?, max_queued)?;
    metrics::enqueued(delivery);
    ticket.concerns(id);
    Ok(reader)
}

/// Why the job was not added, if it was not.
fn admitted(added: Enqueued, max_queued: u64) -> Result<(), Problem> {
    Err(match added {
        Enqueued::Added => return Ok(()),
        Enqueued::Denied(denied) => admission::denied(denied).into(),
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
