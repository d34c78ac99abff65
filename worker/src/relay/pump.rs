//! The answer on its way back: from the provider, past the meter, to the CLI.

use bytes::Bytes;
use drover_shared::provider::failure;
use drover_shared::provider::sse::error_frame;
use drover_shared::schema::{Failure, limits};
use futures_util::StreamExt as _;
use hyper::StatusCode;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::answer::Answer;
use super::attempts::Asked;
use super::call::Call;
use super::tools::Outlet;

/// Sends each piece of the answer on as it comes, until it is whole or has failed, the CLI has hung up, or the
/// job is gone. To be run as a task of its own, so that it also ends while the CLI does not read.
pub(super) async fn run(asked: Asked, mut answer: Answer, call: Call, chunks: mpsc::Sender<Bytes>) {
    let ended = call.ended();
    let whole = tokio::select! {
        whole = pass_on(&asked, &mut answer, call, &chunks) => whole,
        () = chunks.closed() => return,
        () = ended.cancelled() => return,
    };
    drop(chunks);
    if whole {
        // Reading to the very end gives the connection back for the next job.
        let rest = &mut answer.begun.stream;
        let _ = timeout(limits::PROVIDER_TAIL, async { while let Some(Ok(_)) = rest.next().await {} }).await;
    }
}

/// Whether the answer became whole.
async fn pass_on(asked: &Asked, answer: &mut Answer, mut call: Call, chunks: &mpsc::Sender<Bytes>) -> bool {
    let mut outlet = Outlet::new(chunks);
    let mut out = std::mem::take(&mut answer.head);
    let mut read = Ok(answer.whole);
    loop {
        // The report tells of the end before the CLI sees it.
        let end = match read {
            Ok(false) => None,
            Ok(true) => {
                call.answered();
                Some(true)
            }
            Err(failure) => {
                let failure = asked.failed(failure);
                out.extend_from_slice(&error_frame(&failure));
                log(&call, &failure);
                call.failed(StatusCode::BAD_GATEWAY, failure);
                Some(false)
            }
        };
        outlet.send(call.gate(), std::mem::take(&mut out)).await;
        if let Some(whole) = end {
            return whole;
        }
        let next = answer.begun.stream.next().await.unwrap_or_else(|| Err(failure::interrupted()));
        read = next.and_then(|chunk| answer.reader.read(&chunk, &mut call, &mut out));
    }
}

fn log(call: &Call, failure: &Failure) {
    tracing::warn!(job = %call.gate().bound.job, kind = failure.kind.code(), "the provider's answer broke off");
}
