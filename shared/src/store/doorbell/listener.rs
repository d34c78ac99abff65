//! The listening end: a task that empties the socket into a bounded channel.

use std::fs;
use std::io;

use tokio::net::UnixDatagram;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::{BellDir, wire};
use crate::schema::limits;
use crate::store::Ring;

/// Binds the socket `name` and passes on what comes in, until the receiver is dropped.
pub(super) fn listen(dir: &BellDir, name: &str) -> io::Result<mpsc::Receiver<Ring>> {
    // Left by a dead process of the same name; names of living ones differ.
    let _ = fs::remove_file(dir.at(name));
    let bound = Bound { socket: UnixDatagram::bind(dir.at(name))?, dir: dir.clone(), name: name.to_owned() };
    let (rings, receiver) = mpsc::channel(limits::RING_BACKLOG);
    tokio::spawn(pass_on(bound, rings));
    Ok(receiver)
}

/// A bound socket, whose file goes with it.
struct Bound {
    socket: UnixDatagram,
    dir: BellDir,
    name: String,
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.dir.at(&self.name));
    }
}

/// A task of its own, so that the kernel's short queue is empty again before the reader gets to it.
async fn pass_on(bound: Bound, rings: mpsc::Sender<Ring>) {
    let mut datagram = vec![0; wire::DATAGRAM_BYTES];
    loop {
        let received = tokio::select! {
            received = bound.socket.recv(&mut datagram) => received,
            () = rings.closed() => return,
        };
        let Ok(length) = received else {
            tracing::error!("the doorbell's socket failed; work is found by polling from now on");
            return;
        };
        for ring in wire::decode(&datagram[..length]) {
            match rings.try_send(ring) {
                Ok(()) | Err(TrySendError::Full(_)) => {}
                Err(TrySendError::Closed(_)) => return,
            }
        }
    }
}
