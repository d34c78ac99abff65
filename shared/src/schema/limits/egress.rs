//! A slot's way to the network.

use std::time::Duration;

use super::JOB_STALL;

/// Connections to one slot's proxy at a time; further ones wait. npm, the hungriest of the usual tools, opens
/// up to 50.
pub const EGRESS_CONNECTIONS: usize = 64;
/// Longest time such a connection may take to send its head.
pub const EGRESS_HEAD: Duration = Duration::from_secs(15);
/// Longest head of a request through the proxy, and of its answer, in bytes: most servers take no more either.
pub const EGRESS_HEAD_BYTES: usize = 64 << 10;
/// Most header lines of a request through the proxy, and of its answer.
pub const EGRESS_HEADERS: usize = 100;
/// Longest time a name may take to be resolved: what a resolver takes to ask a second server.
pub const EGRESS_RESOLVE: Duration = Duration::from_secs(15);
/// Longest time one address may take to accept a connection; then the next one is tried.
pub const EGRESS_CONNECT: Duration = Duration::from_secs(10);
/// Addresses of a host that are tried.
pub const EGRESS_ADDRESSES: usize = 4;
/// How long a connection may stand without a byte moving: as long as a model may say nothing. A server that is
/// silent for longer has mostly died unseen.
pub const EGRESS_IDLE: Duration = JOB_STALL;
/// Buffer of a tunnel for each direction, in bytes; a full set of tunnels then takes 4 MB.
pub const EGRESS_BUFFER_BYTES: usize = 32 << 10;
/// Refusals that one slot's proxy tells the log of; an agent may ask without end. Further ones are for debugging.
pub const EGRESS_REFUSALS_LOGGED: usize = 50;
