//! The answer on its way back: from the provider, past the meter, to the CLI.

use std::sync::Arc;

use bytes::Bytes;
use drover_shared::provider::failure;
use drover_shared::provider::sse::{Meter, Signal, Splitter, error_frame};
use drover_shared::schema::{Class, Failure, limits};
use futures_util::StreamExt as _;
use hyper::StatusCode;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::call::Call;
use super::tools::Outlet;
use super::upstream::{Stream, Upstream};

/// Sends each piece of the stream on as it comes, until the answer is whole or has failed, the CLI has
/// hung up, or the job is gone. To be run as a task of its own, so that it also ends while the CLI does
/// not read.
pub(super) async fn run(
    upstream: Arc<Upstream>,
    mut stream: Stream,
    call: Call,
    chunks: mpsc::Sender<Bytes>,
) {
    let ended = call.ended();
    let whole = tokio::select! {
        whole = answer(&upstream, &mut stream, call, &chunks) => whole,
        () = chunks.closed() => return,
        () = ended.cancelled() => return,
    };
    drop(chunks);
    if whole {
        // Reading to the very end gives the connection back for the next job.
        let _ =
            timeout(limits::PROVIDER_TAIL, async { while let Some(Ok(_)) = stream.next().await {} }).await;
    }
}

/// Whether the answer became whole.
async fn answer(
    upstream: &Upstream,
    stream: &mut Stream,
    mut call: Call,
    chunks: &mpsc::Sender<Bytes>,
) -> bool {
    let mut reader = Reader::new(call.gate().bound.spec.class());
    let mut outlet = Outlet::new(chunks);
    loop {
        let next = stream.next().await.unwrap_or_else(|| Err(failure::interrupted()));
        let mut out = Vec::new();
        // The report tells of the end before the CLI sees it.
        let end = match next.and_then(|chunk| reader.read(&chunk, &mut call, &mut out)) {
            Ok(false) => None,
            Ok(true) => {
                call.answered();
                Some(true)
            }
            Err(failure) => {
                let failure = upstream.clean(failure);
                out.extend_from_slice(&error_frame(&failure));
                log(&call, &failure);
                call.failed(StatusCode::BAD_GATEWAY, failure);
                Some(false)
            }
        };
        outlet.send(call.gate(), out).await;
        if let Some(whole) = end {
            return whole;
        }
    }
}

fn log(call: &Call, failure: &Failure) {
    tracing::warn!(job = %call.gate().bound.job, kind = failure.kind.code(), "the provider's answer broke off");
}

/// What is known of the stream so far.
struct Reader {
    splitter: Splitter,
    meter: Meter,
    begun: bool,
}

impl Reader {
    fn new(class: Class) -> Self {
        Self { splitter: Splitter::default(), meter: Meter::new(class), begun: false }
    }

    /// Puts the events that `chunk` completes into `out`. Whether the answer is whole with them.
    fn read(&mut self, chunk: &[u8], call: &mut Call, out: &mut Vec<u8>) -> Result<bool, Failure> {
        if !std::mem::replace(&mut self.begun, true) {
            call.first_byte();
        }
        let frames = self.splitter.push(chunk).map_err(|_| failure::event_too_long())?;
        for frame in frames {
            let (frame, signal) = self.meter.read(frame);
            out.extend_from_slice(&frame);
            match signal {
                Signal::Passed => {}
                Signal::Metered => call.metered(self.meter.usage()),
                Signal::Stopped => return Ok(true),
                Signal::Failed(failure) => return Err(failure),
            }
        }
        Ok(false)
    }
}
