//! The demo model, which needs no provider.

use bytes::Bytes;
use drover_shared::provider::demo;
use drover_shared::schema::{JobId, JobSpec, limits};
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::sleep;

use super::Stream;

/// The demo's answer, word by word.
pub(in crate::relay) fn demonstrate(spec: &JobSpec, job: JobId) -> Stream {
    let frames = demo::answer(spec, &format!("msg_{job}"));
    let paced = async |frame: Vec<u8>| {
        sleep(limits::DEMO_PACE).await;
        Ok(Bytes::from(frame))
    };
    stream::iter(frames).then(paced).boxed()
}
