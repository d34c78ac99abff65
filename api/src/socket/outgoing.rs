//! What is on its way to a client, and whether the client takes it. Nothing waits for it here: what cannot be written yet
//! is written while whatever else happens is heard.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use drover_shared::schema::limits;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::wire::Wire;

pub(super) type Socket = WebSocketStream<Wire>;

/// Frames in their order, and how the client keeps up with them.
#[derive(Default)]
pub(super) struct Outgoing {
    frames: VecDeque<Entry>,
    /// Bytes of answers among the frames.
    answers: usize,
    /// Bytes that the library has, and may not have written; more than none where it has anything.
    unflushed: usize,
    /// Whether the library has had a frame that took much room, which it keeps.
    has_grown: bool,
    /// Since when the client owes us to read, and what it has read since.
    owes: Option<Instant>,
    read: usize,
}

struct Entry {
    frame: Utf8Bytes,
    is_answer: bool,
}

/// What an exchange has come to.
pub(super) enum Exchanged {
    /// A piece was written.
    Wrote,
    /// The client has said something.
    Heard(Message),
    /// Nothing more will come.
    Ended,
}

impl Outgoing {
    /// News of a job.
    pub(super) fn tell(&mut self, frames: Vec<Utf8Bytes>) {
        self.frames.extend(frames.into_iter().map(|frame| Entry { frame, is_answer: false }));
    }

    /// An answer to a request.
    pub(super) fn answer(&mut self, frame: Utf8Bytes) {
        self.answers += frame.len();
        self.frames.push_back(Entry { frame, is_answer: true });
    }

    /// Asks the client whether it is still there.
    pub(super) fn ping(&mut self, socket: &mut Socket) -> Result<(), Error> {
        self.unflushed += 1;
        socket.start_send_unpin(Message::Ping(Bytes::new()))
    }

    /// The library has something to say by itself.
    pub(super) fn has_to_flush(&mut self) {
        self.unflushed += 1;
    }

    /// Whether there is room for more news.
    pub(super) fn has_room(&self) -> bool {
        self.frames.is_empty()
    }

    /// Whether requests may come: not while so much that answers them is not read.
    pub(super) fn takes_requests(&self) -> bool {
        self.answers < limits::SOCKET_ANSWERS_BYTES
    }

    /// Whether all is written.
    pub(super) fn is_written(&self) -> bool {
        self.frames.is_empty() && self.unflushed == 0
    }

    /// Whether the library keeps more room than it needs. It is asked once.
    pub(super) fn has_grown(&mut self) -> bool {
        std::mem::take(&mut self.has_grown)
    }

    /// Since when the client has not read as much as it has to in some time. From the first call on with which there is
    /// something to read.
    pub(super) fn owes_since(&mut self) -> Option<Instant> {
        if self.is_written() {
            (self.owes, self.read) = (None, 0);
        } else {
            self.owes.get_or_insert_with(Instant::now);
        }
        self.owes
    }

    /// Writes a piece of what is to be said, if any, and hears what the client says, if that is wanted; whichever comes
    /// first. Safe to cancel.
    pub(super) async fn exchange(&mut self, socket: &mut Socket, listens: bool) -> Result<Exchanged, Error> {
        poll_fn(|cx| {
            let written = match self.poll_piece(socket, cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => true,
                Poll::Pending => false,
            };
            // Both each time, so that neither a flood of requests nor one of news keeps the other waiting.
            let heard = if listens { socket.poll_next_unpin(cx) } else { Poll::Pending };
            match heard {
                Poll::Ready(Some(Ok(message))) => Poll::Ready(Ok(Exchanged::Heard(message))),
                Poll::Ready(Some(Err(error))) => Poll::Ready(Err(error)),
                Poll::Ready(None) => Poll::Ready(Ok(Exchanged::Ended)),
                Poll::Pending if written => Poll::Ready(Ok(Exchanged::Wrote)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Writes so much that others are heard soon again. Ready once that is written, pending also where there is nothing.
    fn poll_piece(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.unflushed == 0 {
            while self.unflushed < limits::SOCKET_WRITE_BYTES
                && let Some(Entry { frame, is_answer }) = self.frames.pop_front()
            {
                let bytes = frame.len();
                self.answers -= if is_answer { bytes } else { 0 };
                self.has_grown |= bytes > limits::SOCKET_SMALL_BYTES;
                self.unflushed += bytes;
                socket.start_send_unpin(Message::Text(frame))?;
            }
        }
        if self.unflushed == 0 {
            return Poll::Pending;
        }
        ready!(socket.poll_flush_unpin(cx))?;
        self.read += std::mem::take(&mut self.unflushed);
        if self.read >= limits::SOCKET_PACE_BYTES {
            (self.owes, self.read) = (None, 0);
        }
        Poll::Ready(Ok(()))
    }
}
