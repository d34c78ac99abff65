//! No tool of an agent's runs before the store knows that the job has spoken: what is not known there is run again
//! when the worker is lost. So what completes a call is kept from the CLI until then. Once the job has spoken,
//! nothing is held any more, and nothing of a chat job's ever is.

use bytes::Bytes;
use drover_shared::provider::sse::Splitter;
use drover_shared::provider::tool::{ToolCall, ToolCalls};
use tokio::sync::mpsc;

use super::gate::Gate;

/// The way of one answer to the CLI.
#[derive(Debug)]
pub(super) struct Outlet<'a> {
    chunks: &'a mpsc::Sender<Bytes>,
    calls: ToolCalls,
}

impl<'a> Outlet<'a> {
    pub(super) fn new(chunks: &'a mpsc::Sender<Bytes>) -> Self {
        Self { chunks, calls: ToolCalls::default() }
    }

    /// Sends whole frames to the CLI, each as soon as it may have it.
    pub(super) async fn send(&mut self, gate: &Gate, mut frames: Vec<u8>) {
        if gate.holds_tools()
            && let Some((at, call)) = self.completed(&frames)
        {
            let held = frames.split_off(at);
            self.pass(frames).await;
            gate.hold_tool(call).await;
            frames = held;
        }
        self.pass(frames).await;
    }

    async fn pass(&self, frames: Vec<u8>) {
        if !frames.is_empty() {
            // That the CLI has hung up is noticed by `pump`.
            let _ = self.chunks.send(frames.into()).await;
        }
    }

    /// The first call that is completed here, and where the frame begins that does it.
    fn completed(&mut self, frames: &[u8]) -> Option<(usize, ToolCall)> {
        let mut at = 0;
        // Frames that the pump has taken for short enough are.
        for frame in Splitter::default().push(frames).unwrap_or_default() {
            if let Some(call) = self.calls.completed_by(&frame) {
                return Some((at, call));
            }
            at += frame.len();
        }
        None
    }
}
