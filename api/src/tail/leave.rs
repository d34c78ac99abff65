//! What happens when the last reader of a job has left: the job is called off.

use std::sync::Arc;

use drover_shared::schema::{CancelReason, JobId, limits};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tracing::{Instrument as _, Span};

use super::Tail;
use crate::metrics;

/// Calls the job off in the background. `reader` is the span of the last one that read it.
pub(super) fn call_off(tail: &Arc<Tail>, job: JobId, reader: Span) {
    // Without a runtime the process is on its way out, and the job is kept.
    if Handle::try_current().is_ok() {
        tail.leavings.spawn(keep_calling(Arc::clone(tail), job).instrument(reader));
    }
}

async fn keep_calling(tail: Arc<Tail>, job: JobId) {
    let calling = async {
        loop {
            match tail.store.cancel(job, CancelReason::ClientGone, tail.clock.now_ms()).await {
                Ok(_) => return,
                Err(error) => tracing::warn!(%job, %error, "a job could not be called off; trying again"),
            }
            sleep(limits::STORE_RETRY).await;
        }
    };
    if timeout(limits::CALL_OFF, calling).await.is_ok() {
        metrics::called_off();
        tracing::info!(%job, "called off: its last reader has left");
    } else {
        tracing::error!(%job, "gave up calling off a job whose last reader has left");
    }
}
