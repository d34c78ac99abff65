//! What the providers' Messages API looks like, and what we make of it. Pure: the worker's relay does the
//! talking.
//!
//! Nothing in here can fail but [`compose`] and [`compose_agent`], which refuse a body that is not the job's,
//! and the reading of an amount.

pub mod agent;
pub mod answer_tool;
pub mod comparison;
pub mod compose;
mod conversation;
pub mod demo;
pub mod failure;
pub mod fit;
pub mod health;
pub mod price;
pub mod priming;
pub mod registry;
pub mod resolve;
pub mod route;
pub mod sse;
pub mod tool;
mod tools;

pub use agent::{AGENT_BETA, compose_agent};
pub use answer_tool::TurnBack;
pub use compose::{NotTheJob, Target, compose};
pub use resolve::resolve;
