//! What happens when something breaks: processes that die or freeze, a store that is away, a CLI that
//! misbehaves, clients that leave, and more load than there is room for.

#![allow(clippy::missing_panics_doc, reason = "a test's parts panic where the test would have failed")]

mod api_death;
mod chat;
mod cli;
mod database;
mod disk;
mod drain;
mod jobs;
mod leaving;
mod load;
mod sockets;
mod start;
mod worker_death;
