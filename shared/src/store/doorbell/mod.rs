//! Hints from process to process that something has been committed: Unix datagrams.
//!
//! Every listener binds a socket in one directory, named by its role; who rings sends to all sockets of a
//! role. A ring costs some microseconds, wakes its listener in a twentieth of a millisecond, and may be
//! lost: listeners look for themselves now and then. What a full socket did not take is sent again with
//! the next ring, since the kernel keeps no more than about ten datagrams per socket.

mod listener;
mod sockets;
mod wire;

use std::collections::{HashMap, HashSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use self::sockets::Sockets;
use super::{Ring, RingRole};
use crate::schema::limits;

/// One process's end of the bell: rings others and listens.
pub(super) struct Doorbell {
    dir: BellDir,
    sender: UnixDatagram,
    outbox: Mutex<Outbox>,
}

struct Outbox {
    sockets: Sockets,
    /// What each socket has not taken yet.
    unsent: HashMap<String, HashSet<Ring>>,
}

impl Doorbell {
    /// The bell in `dir`, which is created if need be.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let sender = UnixDatagram::unbound()?;
        sender.set_nonblocking(true)?;
        let outbox = Outbox { sockets: Sockets::default(), unsent: HashMap::new() };
        Ok(Self { dir: BellDir::open(dir)?, sender, outbox: Mutex::new(outbox) })
    }

    /// Rings every listener of `role`. Never waits, never fails: it is a hint.
    pub(super) fn ring(&self, role: RingRole, rings: impl IntoIterator<Item = Ring>) {
        let rings: Vec<Ring> = rings.into_iter().collect();
        if rings.is_empty() {
            return;
        }
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        let Outbox { sockets, unsent } = &mut *outbox;
        let names = sockets.list(self.dir.path());
        unsent.retain(|name, _| names.contains(name));
        for name in names.iter().filter(|name| name.starts_with(prefix(role))) {
            let waiting = unsent.entry(name.clone()).or_default();
            let room = limits::RING_BACKLOG.saturating_sub(waiting.len());
            waiting.extend(rings.iter().copied().take(room));
            if self.deliver(name, waiting) == Delivery::Gone {
                unsent.remove(name);
            }
        }
    }

    /// Sends what waits for the socket, as far as it takes it.
    fn deliver(&self, name: &str, waiting: &mut HashSet<Ring>) -> Delivery {
        while !waiting.is_empty() {
            let some: Vec<Ring> = waiting.iter().copied().take(limits::RINGS_PER_DATAGRAM).collect();
            match self.sender.send_to(&wire::encode(&some), self.dir.at(name)) {
                Ok(_) => some.iter().for_each(|ring| {
                    waiting.remove(ring);
                }),
                Err(error) => return self.undelivered(name, &error),
            }
        }
        Delivery::Open
    }

    fn undelivered(&self, name: &str, error: &io::Error) -> Delivery {
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::ENOBUFS | libc::EINTR) => Delivery::Open,
            Some(libc::ECONNREFUSED) => {
                // Its owner has died; the next ring need not try again.
                let _ = std::fs::remove_file(self.dir.at(name));
                Delivery::Gone
            }
            _ => Delivery::Gone,
        }
    }

    /// Listens as `name` until the receiver is dropped. Rings that find it full are dropped.
    pub(super) fn listen(&self, role: RingRole, name: &str) -> io::Result<mpsc::Receiver<Ring>> {
        listener::listen(&self.dir, &socket_name(role, name))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Delivery {
    /// The socket took everything, or is full for now.
    Open,
    /// Nobody is there.
    Gone,
}

/// The directory of the sockets, held open: a socket's address is at most 108 bytes long, and the path of
/// a data directory may be longer than that.
#[derive(Clone)]
struct BellDir {
    path: Arc<Path>,
    handle: Arc<File>,
}

impl BellDir {
    fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let handle = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(path)?;
        Ok(Self { path: path.into(), handle: Arc::new(handle) })
    }

    fn path(&self) -> &Path {
        &self.path
    }

    /// A short path of the socket `name`, by way of the open directory.
    fn at(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.handle.as_raw_fd()))
    }
}

/// What the names of a role's sockets begin with.
fn prefix(role: RingRole) -> &'static str {
    match role {
        RingRole::Api => "api-",
        RingRole::Worker => "worker-",
    }
}

/// Longest part of a listener's own name in its socket's: the address has room for no more.
const NAME_BYTES: usize = 64;

/// The file name of a listener's socket. Of a long name the end is kept: that is where names differ.
fn socket_name(role: RingRole, name: &str) -> String {
    let safe: Vec<char> =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    let kept: String = safe[safe.len().saturating_sub(NAME_BYTES)..].iter().collect();
    format!("{}{kept}.sock", prefix(role))
}

#[cfg(test)]
mod tests;
