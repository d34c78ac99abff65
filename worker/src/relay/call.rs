//! One call of the job's, until it is answered: it may take several providers.

use std::sync::Arc;

use drover_shared::schema::{CallOutcome, Failure, FailureKind, Usage};
use hyper::StatusCode;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::gate::{Gate, Phase, Routed};
use super::tab::Addressee;

/// The CLI's call. Someone owns it until it is answered or has failed; dropped before that, it has failed
/// because the CLI did not wait for it.
#[derive(Debug)]
pub(super) struct Call {
    gate: Arc<Gate>,
    open: bool,
    /// The row of the call to a provider that is under way.
    row: Option<u32>,
    _place: OwnedSemaphorePermit,
}

impl Call {
    pub(super) fn new(gate: Arc<Gate>, place: OwnedSemaphorePermit) -> Self {
        Self { gate, open: true, row: None, _place: place }
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Is cancelled when the binding is gone.
    pub(super) fn ended(&self) -> CancellationToken {
        self.gate.ended.clone()
    }

    /// A provider is asked now, or another one than before.
    pub(super) fn ask(&mut self, to: &Addressee) {
        self.row = Some(self.gate.course().tab.open(&self.gate.bound, to));
    }

    /// How long the first byte has taken, in milliseconds.
    pub(super) fn first_byte(&mut self) -> Option<u32> {
        let took = self.gate.course().tab.first_byte(self.row?);
        self.gate.report.send_modify(|report| report.first_byte = true);
        took
    }

    /// `usage` is what the provider that is asked has billed so far for this.
    pub(super) fn metered(&mut self, usage: Usage) {
        let Some(row) = self.row else { return };
        let more = {
            let mut course = self.gate.course();
            let more = course.tab.bill(row, usage);
            course.account.spend(more.cost_microusd);
            more
        };
        self.gate.report.send_modify(|report| report.usage += more);
    }

    /// The provider that was asked does not answer; another one may.
    pub(super) fn passed_over(&mut self, kind: FailureKind) {
        self.close(CallOutcome::Failed(kind));
    }

    /// A provider has begun to answer.
    pub(super) fn routed(&self, routed: Routed) {
        self.gate.report.send_modify(|report| report.routed = Some(routed));
    }

    pub(super) fn answered(&mut self) {
        self.open = false;
        self.close(CallOutcome::Answered);
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
        self.close(CallOutcome::Failed(failure.kind));
        if self.gate.is_agent() {
            self.gate.report.send_modify(|report| report.trouble = Some(failure));
            return;
        }
        self.gate.course().phase = Phase::Failed(status, failure.clone());
        self.gate.report.send_modify(|report| report.failure = Some(failure));
    }

    fn close(&mut self, outcome: CallOutcome) {
        if let Some(row) = self.row.take() {
            self.gate.course().tab.close(row, outcome);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.open && !self.gate.has_ended() {
            let failure = Failure::new(FailureKind::CliFailed, "The Claude CLI did not wait for its answer.");
            self.failed(StatusCode::BAD_GATEWAY, failure);
        }
        self.close(CallOutcome::BrokenOff);
    }
}
