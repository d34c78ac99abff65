//! An agent's way to the network: a small forward proxy, one for each slot, that reaches the hosts of an
//! allow-list and nothing else.
//!
//! The slot itself can connect to the proxy's port alone. It names a host; the proxy holds the name against the
//! list, resolves it, leaves out every address that is not public, and connects to one of those that remain, by
//! address. It sees where a tunnel leads and not what is said in it: a host that serves many names lets a tunnel
//! for one speak of another.
//!
//! - `door`: one request, from its token to the server's answer.
//! - `network`: names, addresses and connections; the test's own in tests.
//! - `address`: which addresses are public.
//! - `forward`: a plain HTTP request, and what of it goes on.
//! - `listener`: connections, their limits and their end.
//! - `lively`: a connection on which nothing moves.

mod address;
mod door;
mod forward;
mod listener;
mod lively;
mod network;
mod reply;
#[cfg(test)]
mod tests;

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drover_shared::schema::HostRule;
use drover_shared::secret::Secret;
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;
use uuid::Uuid;

use self::door::Door;

pub use self::network::{Internet, Network};

/// The user name in the proxy's address; only the password counts, but clients want both.
const USER: &str = "slot";

/// A proxy for one slot. Dropping it ends it and all of its connections.
#[derive(Debug)]
pub struct Egress {
    port: u16,
    token: Secret,
    _serving: DropGuard,
}

impl Egress {
    /// Listens on a free port of 127.0.0.1. To be called within a Tokio runtime.
    pub fn open(rules: Vec<HostRule>, network: Arc<dyn Network>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let token = Secret::new(format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()));
        let credentials = Secret::new(STANDARD.encode(format!("{USER}:{}", token.expose())));
        let door = Arc::new(Door::new(credentials, rules, network));
        let serving = listener::serve(TcpListener::from_std(listener)?, door);
        Ok(Self { port, token, _serving: serving })
    }

    /// The port of 127.0.0.1 that the slot has to be able to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The proxy's address, with the token in it, as the slot's tools want it in their environment.
    pub fn proxy_url(&self) -> Secret {
        Secret::new(format!("http://{USER}:{}@{}:{}", self.token.expose(), Ipv4Addr::LOCALHOST, self.port))
    }
}
