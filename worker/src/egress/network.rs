//! Names, addresses and connections.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use async_trait::async_trait;
use drover_shared::schema::{HostName, Target, limits};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::address::is_public;

/// Where names lead, and which of the addresses may be connected to.
#[async_trait]
pub trait Network: Send + Sync {
    /// The host's addresses, best first.
    async fn resolve(&self, host: &HostName) -> io::Result<Vec<IpAddr>>;

    /// Whether a slot may be connected to this address.
    fn admits(&self, address: IpAddr) -> bool;
}

/// The machine's own resolver, and public addresses only.
#[derive(Clone, Copy, Debug)]
pub struct Internet;

#[async_trait]
impl Network for Internet {
    async fn resolve(&self, host: &HostName) -> io::Result<Vec<IpAddr>> {
        // The dot at the end keeps the resolver from trying the name in the domains of its search list.
        let addresses = tokio::net::lookup_host((format!("{host}."), 0)).await?;
        Ok(addresses.map(|address| address.ip()).collect())
    }

    fn admits(&self, address: IpAddr) -> bool {
        is_public(address) && !is_own(address)
    }
}

/// Whether an address is this machine's: a public one leads to its own services, past its firewall. The kernel
/// is asked for the route; nothing is sent.
fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    // Without a route there is nothing to reach either.
    source.is_ok_and(|source| source.ip() == address)
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreached {
    #[error("does not resolve")]
    Unknown,
    #[error("leads to no address that may be reached")]
    NotPublic,
    #[error("does not answer")]
    Silent,
}

/// Connects to the target: resolves its name once and tries the addresses that may be reached, so that no
/// second answer of the resolver can lead elsewhere.
pub(super) async fn reach(network: &dyn Network, target: &Target) -> Result<TcpStream, Unreached> {
    let resolved = timeout(limits::EGRESS_RESOLVE, network.resolve(&target.host)).await;
    let addresses = resolved.ok().and_then(Result::ok).filter(|addresses| !addresses.is_empty());
    let addresses = addresses.ok_or(Unreached::Unknown)?;
    let mut admitted = addresses.into_iter().filter(|address| network.admits(*address)).peekable();
    admitted.peek().ok_or(Unreached::NotPublic)?;
    for address in admitted.take(limits::EGRESS_ADDRESSES) {
        let connecting = TcpStream::connect(SocketAddr::new(address, target.port));
        match timeout(limits::EGRESS_CONNECT, connecting).await {
            Ok(Ok(stream)) => {
                // Frames of one side are not to wait for the other's acknowledgement.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => tracing::debug!(host = %target, %error, "an address does not answer"),
            Err(_) => tracing::debug!(host = %target, "an address does not answer in time"),
        }
    }
    Err(Unreached::Silent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_addresses_are_known_and_not_admitted() {
        assert!(is_own(Ipv4Addr::LOCALHOST.into()));
        assert!(!is_own(Ipv4Addr::new(93, 184, 215, 14).into()));
        assert!(!Internet.admits(Ipv4Addr::LOCALHOST.into()));
        assert!(Internet.admits(Ipv4Addr::new(93, 184, 215, 14).into()));
    }
}
