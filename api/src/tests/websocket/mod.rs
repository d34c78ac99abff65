//! `/v1/ws` over real sockets.

mod client;
mod holders;
mod pace;
mod protocol;
mod replays;
mod requests;
mod schema;
mod tickets;
