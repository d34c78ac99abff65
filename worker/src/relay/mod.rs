//! The CLI's way to a model: a small reverse proxy, one for each CLI process.
//!
//! The CLI knows a socket and a token; provider, key, model and the conversation itself are the relay's.
//! It forwards one call of the chat job that is bound to it, or the rounds of the agent that is, and nothing
//! else. Before a job is bound it may answer a call by itself, so that a process has done its first-turn work
//! when the job comes.
//!
//! - `peers`: whose connections are heard at all.
//! - `door`: who may come in, and what becomes of a call.
//! - `gate`: the job that is bound, what it still expects, and what came of it.
//! - `account`: what the job may use up.
//! - `call`: one call of the job's, until it is over; `tab`: what it came to.
//! - `attempts`: who is asked, one after the other; `answer`: whether it is one.
//! - `priming`: the turn before the first job.
//! - `upstream`: the providers, or the demo model in their place.
//! - `pump`: the answer on its way back.
//! - `tools`: what an agent's CLI has to wait for.

mod account;
mod answer;
mod attempts;
mod call;
mod door;
mod gate;
mod listener;
mod peers;
mod priming;
mod pump;
mod reply;
mod tab;
#[cfg(test)]
mod tests;
mod tools;
mod upstream;

use std::fs::Permissions;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use drover_shared::schema::limits;
use drover_shared::secret::Secret;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::DropGuard;
use uuid::Uuid;

use self::door::Door;
use self::listener::Listener;
use self::peers::Supervisor;
use crate::slot::walls::User;

pub use self::account::Allowance;
pub use self::gate::{Binding, Bound, Report, Routed};
pub use self::priming::Priming;
pub use self::upstream::{Catalog, Credential, EndpointConfig, Upstream, UpstreamError};

/// A relay for one CLI process. Dropping it ends the server and all of its connections, and with them
/// every call that is under way, and removes the socket.
#[derive(Debug)]
pub struct Relay {
    address: Address,
    token: Secret,
    door: Arc<Door>,
    supervisor: Supervisor,
    _serving: DropGuard,
}

/// Where a relay listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket (`ANTHROPIC_UNIX_SOCKET` of the native CLI).
    Unix(PathBuf),
    /// A port on 127.0.0.1, for the JavaScript CLI.
    Loopback(SocketAddr),
}

/// The relay's socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The path does not fit into a socket address.
    #[error("the socket path {} is {} bytes long, {} are possible", .0.display(), .0.as_os_str().len(), limits::SOCKET_PATH_BYTES)]
    PathTooLong(PathBuf),
    /// The socket cannot be made.
    #[error("cannot listen on {place}")]
    Listen {
        /// Where.
        place: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Relay {
    /// Listens on a new Unix socket at `path`, mode 0600 and the slot's user's, if it has one. The folder
    /// should be the slot's own: the socket is made before its mode is set. Connections wait until
    /// [`Relay::admit`] has told whose they may be. To be called within a Tokio runtime.
    pub fn unix(path: &Path, user: Option<User>, upstream: Arc<Upstream>) -> Result<Self, RelayError> {
        if path.as_os_str().as_bytes().len() > limits::SOCKET_PATH_BYTES {
            return Err(RelayError::PathTooLong(path.to_owned()));
        }
        let failed = |source| RelayError::Listen { place: path.display().to_string(), source };
        let listener = UnixListener::bind(path).map_err(failed)?;
        // From here on the socket is removed when the relay goes, also if this fails.
        let (supervisor, peers) = peers::of(user);
        let listener = Listener::Unix(listener, peers);
        let relay = Self::start(Address::Unix(path.to_owned()), listener, supervisor, upstream);
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
        if let Some(user) = user {
            chown(path, Some(user.uid), Some(user.gid)).map_err(failed)?;
        }
        Ok(relay)
    }

    /// Listens on a free port of 127.0.0.1. Who connects cannot be seen there, so the token alone decides.
    /// To be called within a Tokio runtime.
    pub fn loopback(upstream: Arc<Upstream>) -> Result<Self, RelayError> {
        let failed = |source| RelayError::Listen { place: "127.0.0.1".to_owned(), source };
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        let (supervisor, _) = peers::of(None);
        Ok(Self::start(Address::Loopback(address), Listener::Loopback(listener), supervisor, upstream))
    }

    fn start(address: Address, listener: Listener, supervisor: Supervisor, upstream: Arc<Upstream>) -> Self {
        let token = Secret::new(format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()));
        let door = Arc::new(Door::new(token.clone(), upstream));
        let serving = listener.serve(Arc::clone(&door));
        Self { address, token, door, supervisor, _serving: serving }
    }

    /// Lets in the connections of this process and of those that descend from it, and no others. Until then
    /// connections to a Unix socket wait.
    pub fn admit(&self, supervisor: i32) {
        self.supervisor.is(supervisor);
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What the CLI has to send as its API key.
    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// Lets the calls of this job through, until the binding is dropped: one of a chat job, as many as it is
    /// allowed of an agent's. A binding made earlier ends: a process serves one job at a time.
    pub fn bind(&self, bound: Bound) -> Binding {
        self.door.bind(bound)
    }

    /// Answers calls for the user message `placeholder` by itself, until the priming is dropped or a job
    /// is bound. A binding made earlier ends.
    pub fn prime(&self, placeholder: &str) -> Priming {
        self.door.prime(placeholder)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Address::Unix(path) = &self.address
            && let Err(error) = std::fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "cannot remove a relay's socket");
        }
    }
}
