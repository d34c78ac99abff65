//! A provider's answer as it comes in: its beginning, which may still turn out to be none, and what follows.

use std::time::Duration;

use drover_shared::provider::failure;
use drover_shared::provider::sse::{Meter, Signal, Splitter};
use drover_shared::schema::{Class, Failure};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::call::Call;
use super::upstream::{Begun, Refusal, silent};

/// An answer of which so much is here that it is one.
pub(super) struct Answer {
    pub(super) begun: Begun,
    pub(super) reader: Reader,
    /// What of it is here.
    pub(super) head: Vec<u8>,
    /// Whether that is all.
    pub(super) whole: bool,
    /// How long its first byte has taken, in milliseconds.
    pub(super) first_byte_ms: Option<u32>,
}

impl Answer {
    /// Reads until the model has said something. Whatever goes wrong before has been heard by nobody, so that
    /// another provider may be asked. `patience` is how long nothing at all may come.
    pub(super) async fn begin(
        mut begun: Begun,
        call: &mut Call,
        patience: Duration,
    ) -> Result<Self, Refusal> {
        let mut reader = Reader::new(call.gate().bound.spec.class());
        let (mut head, mut whole, mut first_byte_ms) = (Vec::new(), false, None);
        while !whole && !reader.meter.has_spoken() {
            let Ok(next) = timeout(patience, begun.stream.next()).await else { return Err(silent()) };
            let chunk = next.unwrap_or_else(|| Err(failure::interrupted())).map_err(Refusal::of)?;
            first_byte_ms = first_byte_ms.or_else(|| call.first_byte());
            whole = reader.read(&chunk, call, &mut head).map_err(Refusal::of)?;
        }
        Ok(Self { begun, reader, head, whole, first_byte_ms })
    }
}

/// What is known of the stream so far.
pub(super) struct Reader {
    splitter: Splitter,
    meter: Meter,
}

impl Reader {
    fn new(class: Class) -> Self {
        Self { splitter: Splitter::default(), meter: Meter::new(class) }
    }

    /// Puts the events that `chunk` completes into `out`. Whether the answer is whole with them.
    pub(super) fn read(&mut self, chunk: &[u8], call: &mut Call, out: &mut Vec<u8>) -> Result<bool, Failure> {
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
