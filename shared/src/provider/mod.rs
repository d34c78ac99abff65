//! What the providers' Messages API looks like, and what we make of it. Pure: the worker's relay does the
//! talking.
//!
//! Nothing in here can fail but [`compose`], which refuses a body that is not the job's.

pub mod catalogue;
pub mod compose;
pub mod demo;
pub mod failure;
pub mod priming;
pub mod sse;

pub use catalogue::Offer;
pub use compose::{NotTheJob, compose};
