//! What api and worker share.
//!
//! `schema` is the vocabulary everything else speaks. `dialect`, `cli` and `provider` are pure: no I/O,
//! no clock, no identifiers minted. `store` is the only way api and worker meet.

pub mod cli;
pub mod dialect;
pub mod provider;
pub mod schema;
pub mod store;
