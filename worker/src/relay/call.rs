//! One call of the job's, on its way to the provider and back.

use std::sync::Arc;

use drover_shared::schema::{Failure, FailureKind, Usage};
use hyper::StatusCode;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::gate::{Gate, Phase};

/// The call that goes to the provider. Someone owns it until it is answered or has failed; dropped before
/// that, it has failed because the CLI did not wait for it.
#[derive(Debug)]
pub(super) struct Call {
    gate: Arc<Gate>,
    open: bool,
    billed: Usage,
    _place: OwnedSemaphorePermit,
}

impl Call {
    pub(super) fn new(gate: Arc<Gate>, place: OwnedSemaphorePermit) -> Self {
        Self { gate, open: true, billed: Usage::default(), _place: place }
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Is cancelled when the binding is gone.
    pub(super) fn ended(&self) -> CancellationToken {
        self.gate.ended.clone()
    }

    pub(super) fn started(&self) {
        self.gate.report.send_modify(|report| report.upstream_started = true);
    }

    pub(super) fn first_byte(&self) {
        self.gate.report.send_modify(|report| report.first_byte = true);
    }

    /// `usage` is what this call was billed so far.
    pub(super) fn metered(&mut self, usage: Usage) {
        let earlier = std::mem::replace(&mut self.billed, usage);
        self.gate.course().account.bill(&earlier, &usage);
        self.gate.report.send_modify(|report| report.usage += usage.since(&earlier));
    }

    pub(super) fn answered(&mut self) {
        self.open = false;
        if self.gate.is_agent() {
            self.gate.report.send_modify(|report| report.trouble = None);
            return;
        }
        self.gate.course().phase = Phase::Answered;
        self.gate.report.send_modify(|report| report.answered = true);
    }

    /// `status` is what the CLI gets, should it ask again for a chat job. An agent may go on, as when it was
    /// a sub-agent's call.
    pub(super) fn failed(&mut self, status: StatusCode, failure: Failure) {
        self.open = false;
        if self.gate.is_agent() {
            self.gate.report.send_modify(|report| report.trouble = Some(failure));
            return;
        }
        self.gate.course().phase = Phase::Failed(status, failure.clone());
        self.gate.report.send_modify(|report| report.failure = Some(failure));
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.open && !self.gate.has_ended() {
            let failure = Failure::new(FailureKind::CliFailed, "The Claude CLI did not wait for its answer.");
            self.failed(StatusCode::BAD_GATEWAY, failure);
        }
    }
}
