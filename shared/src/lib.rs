//! What api and worker share.
//!
//! `schema` is the vocabulary everything else speaks. `dialect`, `cli` and `provider` are pure: no I/O,
//! no clock, no identifiers minted. `store` is the only way api and worker meet, but
//! for the files of projects, which both find through `workspace`.

pub mod accept;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dialect;
pub mod lifecycle;
pub mod metrics;
pub mod provider;
pub mod schema;
pub mod secret;
pub mod store;
pub mod telemetry;
pub mod workspace;
