//! `/v1/ws` over real sockets.

mod client;
mod protocol;
mod requests;
