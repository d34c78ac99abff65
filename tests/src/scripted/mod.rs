//! A stand-in for the Claude CLI, for load and fault tests only: it speaks the CLI's stream-json, calls its
//! relay as the CLI does, and costs next to nothing. Threads and blocking I/O keep its start at a few
//! milliseconds.

mod failure;
mod fault;
mod http;
mod lines;
mod message;
mod start;
mod turn;

pub use fault::Fault;
pub use start::run;

/// Version that the stand-in claims.
pub const VERSION: &str = "2.1.330";
