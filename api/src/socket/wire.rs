//! The connection beneath a WebSocket. It hands out no byte beyond the frame that is being read, so that between messages
//! the WebSocket can be made anew and give back the room of a large one; it counts every byte as a sign of life, knows how
//! long a message takes, and has large ones wait for room.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use drover_shared::schema::limits;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::boundary::Boundary;

type Waiting = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// Room for large messages, in KiB, shared by all sockets of the process.
#[derive(Clone)]
pub(crate) struct Rooms(Arc<Semaphore>);

impl Default for Rooms {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(limits::SOCKET_LARGE_BYTES / KIB)))
    }
}

const KIB: usize = 1 << 10;

#[cfg(test)]
impl Rooms {
    /// Bytes that are free.
    pub(crate) fn free(&self) -> usize {
        self.0.available_permits() * KIB
    }

    /// Leaves no room to anybody while what is returned lives.
    pub(crate) fn fill(&self) -> OwnedSemaphorePermit {
        let all = u32::try_from(self.0.available_permits()).expect("few");
        Arc::clone(&self.0).try_acquire_many_owned(all).expect("as many as there are")
    }
}

/// A connection.
pub(super) struct Wire {
    stream: TcpStream,
    /// What had come before it was a WebSocket.
    early: Bytes,
    boundary: Boundary,
    /// Bytes of the frame's head that were handed out.
    given: usize,
    rooms: Rooms,
    room: Room,
    /// Whether anything has come since that was last asked.
    heard: bool,
    /// Since when something has begun that is not whole.
    since: Option<Instant>,
}

/// Room for the message that is being read.
enum Room {
    /// None is needed.
    None,
    Waiting(Waiting),
    Held(#[expect(dead_code, reason = "it is given back when it is dropped")] OwnedSemaphorePermit),
}

impl Wire {
    pub(super) fn new(stream: TcpStream, early: Bytes, rooms: Rooms) -> Self {
        // Else a client that does not read is told megabytes before anybody notices. Without it, that is all.
        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(limits::SOCKET_UNSENT_BYTES);
        let (boundary, room) = (Boundary::default(), Room::None);
        Self { stream, early, boundary, given: 0, rooms, room, heard: false, since: None }
    }

    /// Whether all that was handed out are whole messages.
    pub(super) fn is_between_messages(&self) -> bool {
        self.boundary.is_between_messages()
    }

    /// Whether a large message was read or is being read.
    pub(super) fn holds_room(&self) -> bool {
        matches!(self.room, Room::Held(_))
    }

    /// The large message is done with.
    pub(super) fn give_back(&mut self) {
        self.room = Room::None;
    }

    /// Whether anything has come since this was last asked. Who is kept waiting cannot be heard.
    pub(super) fn heard(&mut self) -> bool {
        std::mem::take(&mut self.heard) || matches!(self.room, Room::Waiting(_))
    }

    /// Since when a message has been coming. Waiting for room does not count.
    pub(super) fn unfinished_since(&self) -> Option<Instant> {
        self.since.filter(|_| !matches!(self.room, Room::Waiting(_)))
    }

    pub(super) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Bytes from the connection, and no more than fit.
    fn poll_bytes(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let before = into.filled().len();
        if self.early.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        } else {
            let some = self.early.split_to(into.remaining().min(self.early.len()));
            into.put_slice(&some);
        }
        let bytes = into.filled().len() - before;
        if bytes > 0 {
            self.heard = true;
            self.since.get_or_insert_with(Instant::now);
        }
        Poll::Ready(Ok(bytes))
    }

    /// Reads a head to its end. `false`: the client sends no more.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.boundary.head_wants() > 0 {
            let mut bytes = [0; 14];
            let mut head = ReadBuf::new(&mut bytes[..self.boundary.head_wants()]);
            if ready!(self.poll_bytes(cx, &mut head))? == 0 {
                return Poll::Ready(Ok(false));
            }
            self.boundary.add_to_head(head.filled());
        }
        Poll::Ready(Ok(true))
    }

    /// Waits for room, if the message is a large one and has none.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Room::None = self.room
            && let Some(bytes) = self.boundary.large()
        {
            let permits = u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX);
            self.room = Room::Waiting(Box::pin(Arc::clone(&self.rooms.0).acquire_many_owned(permits)));
        }
        if let Room::Waiting(waiting) = &mut self.room {
            // Nobody closes the semaphore.
            self.room = ready!(waiting.as_mut().poll(cx)).map_or(Room::None, Room::Held);
            self.since = Some(Instant::now());
        }
        Poll::Ready(())
    }

    /// After the last byte of a frame.
    fn end_frame(&mut self) {
        self.given = 0;
        if self.boundary.is_between_messages() {
            self.since = None;
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if !ready!(wire.poll_head(cx))? {
            return Poll::Ready(Ok(()));
        }
        ready!(wire.poll_room(cx));
        let head = &wire.boundary.head()[wire.given..];
        if !head.is_empty() {
            let some = head.len().min(into.remaining());
            into.put_slice(&head[..some]);
            wire.given += some;
            if wire.given == wire.boundary.head().len() && wire.boundary.left() == 0 {
                wire.boundary.advance(0);
                wire.end_frame();
            }
            return Poll::Ready(Ok(()));
        }
        let most = usize::try_from(wire.boundary.left()).unwrap_or(usize::MAX).min(into.remaining());
        let mut payload = ReadBuf::new(into.initialize_unfilled_to(most));
        let bytes = ready!(wire.poll_bytes(cx, &mut payload))?;
        into.advance(bytes);
        if bytes > 0 {
            wire.boundary.advance(bytes);
            if wire.boundary.left() == 0 {
                wire.end_frame();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
