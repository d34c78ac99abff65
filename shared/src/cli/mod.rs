//! The Claude CLI's protocol, as data: which builds there are, how a process is started and spoken to, and
//! what its lines mean. Pure: no process, no clock, no identifiers minted.
//!
//! Everything here was measured with the two pinned builds against a scripted upstream; `golden/` keeps what
//! they said, and `tests/record/` records it again.

pub mod activity;
mod agent;
pub mod build;
pub mod decode;
pub mod invocation;
pub mod mcp;
mod result;
mod stream;
pub mod transcript;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod mutation;

pub use build::{Build, Feature, Version};
pub use decode::{Decoder, Line};
pub use invocation::{Slot, Upstream};
pub use mcp::McpServers;
pub use result::TurnEnd;
pub use transcript::Transcript;
