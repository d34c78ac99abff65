//! What happens when the last reader of a job has left: the job is called off; one with a key only when its client has not
//! come back for a while, be it to another api.

use std::sync::Arc;

use drover_shared::schema::{CancelReason, JobId, limits};
use drover_shared::store::StoreError;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tracing::{Instrument as _, Span};

use super::Tail;
use super::registry::Sake;
use crate::metrics;

/// Calls the job off in the background, if nobody else has it. `reader` is the span of the last one that read it.
pub(super) fn go(tail: &Arc<Tail>, job: JobId, sake: Sake, reader: Span) {
    // Without a runtime the process is on its way out, and the job is kept.
    if sake != Sake::Others && Handle::try_current().is_ok() {
        tail.leavings.spawn(wait_and_call(Arc::clone(tail), job, sake).instrument(reader));
    }
}

async fn wait_and_call(tail: Arc<Tail>, job: JobId, sake: Sake) {
    if let Sake::Clients { .. } = sake {
        let grace = sleep(tail.return_grace);
        if tail.shutdown.run_until_cancelled(grace).await.is_none() {
            // Its client may yet come back, to another api. As any job whose api leaves, it runs to its end.
            return;
        }
    }
    keep_calling(&tail, job, sake).await;
}

async fn keep_calling(tail: &Tail, job: JobId, sake: Sake) {
    let calling = async {
        loop {
            match call_off(tail, job, sake).await {
                Ok(called) => return called,
                Err(error) => tracing::warn!(%job, %error, "a job could not be called off; trying again"),
            }
            sleep(limits::STORE_RETRY).await;
        }
    };
    match timeout(limits::CALL_OFF, calling).await {
        Ok(true) => {
            metrics::called_off();
            tracing::info!(%job, "called off: its last reader has left");
        }
        Ok(false) => {}
        Err(_) => tracing::error!(%job, "gave up calling off a job whose last reader has left"),
    }
}

/// Whether it was called off.
async fn call_off(tail: &Tail, job: JobId, sake: Sake) -> Result<bool, StoreError> {
    let now = tail.clock.now_ms();
    match sake {
        Sake::Others => Ok(false),
        Sake::Readers => tail.store.cancel(job, CancelReason::ClientGone, now).await.map(|_| true),
        Sake::Clients { noted } => tail.store.jobs().leave(job, noted, now).await,
    }
}
