//! A CLI's standard output, one line at a time.

use std::io;
use std::os::fd::AsFd;

use bytes::{BufMut, Bytes, BytesMut};
use drover_shared::schema::limits;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::wire::Exit;

/// How much room a read is offered; small lines then share a read, large ones take few.
const READ_BYTES: usize = 64 << 10;
/// Room below which the buffer grows rather than being filled up in small pieces.
const MIN_READ_BYTES: usize = 8 << 10;

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// A line is longer than [`limits::CLI_LINE_BYTES`]; the rest of the output is given up.
    #[error("a line of output is longer than {0} bytes")]
    LineTooLong(usize),
    /// The pipe failed.
    #[error("output could not be read")]
    Read(#[from] io::Error),
}

/// Reads lines. Ends with the output, and at the latest [`limits::CLI_OUTPUT_GRACE`] after the CLI has ended,
/// whoever else may hold its output open.
pub struct Lines {
    pipe: pipe::Receiver,
    pipe_bytes: usize,
    exit: watch::Receiver<Option<Exit>>,
    after_exit: Option<AfterExit>,
    buffer: BytesMut,
    searched: usize,
    finished: bool,
    limit: usize,
}

/// What may still be read once the CLI has ended: what the pipe can hold, and not for long.
#[derive(Clone, Copy)]
struct AfterExit {
    deadline: Instant,
    bytes: usize,
}

impl Lines {
    pub(super) fn new(pipe: pipe::Receiver, exit: watch::Receiver<Option<Exit>>) -> io::Result<Self> {
        let pipe_bytes = usize::try_from(fcntl(pipe.as_fd(), FcntlArg::F_GETPIPE_SZ)?).unwrap_or(0);
        let buffer = BytesMut::with_capacity(READ_BYTES);
        let limit = limits::CLI_LINE_BYTES;
        Ok(Self { pipe, pipe_bytes, exit, after_exit: None, buffer, searched: 0, finished: false, limit })
    }

    /// The next line without its newline, `None` at the end. A last line without a newline is a line. The
    /// future may be dropped and asked for again without losing anything.
    pub async fn next(&mut self) -> Result<Option<Bytes>, LineError> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Some(line));
            }
            if self.finished {
                return Ok(self.take_rest());
            }
            if self.buffer.len() > self.limit {
                self.give_up();
                return Err(LineError::LineTooLong(self.limit));
            }
            self.fill().await?;
        }
    }

    fn take_line(&mut self) -> Option<Bytes> {
        let Some(found) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
            self.searched = self.buffer.len();
            return None;
        };
        let mut line = self.buffer.split_to(self.searched + found + 1);
        line.truncate(line.len() - 1);
        self.searched = 0;
        if line.len() > READ_BYTES {
            // The memory of a large line goes with the line, not into the next one's buffer.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        Some(line.freeze())
    }

    fn take_rest(&mut self) -> Option<Bytes> {
        self.searched = 0;
        Some(self.buffer.split().freeze()).filter(|rest| !rest.is_empty())
    }

    fn give_up(&mut self) {
        self.finished = true;
        self.searched = 0;
        self.buffer = BytesMut::new();
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.buffer.capacity() - self.buffer.len() < MIN_READ_BYTES {
            self.buffer.reserve(READ_BYTES);
        }
        match self.after_exit {
            Some(after) => self.fill_after_exit(after).await,
            None => self.fill_while_running().await,
        }
    }

    async fn fill_while_running(&mut self) -> io::Result<()> {
        let room = self.limit + 1 - self.buffer.len();
        let mut buffer = (&mut self.buffer).limit(room);
        tokio::select! {
            biased;
            read = self.pipe.read_buf(&mut buffer) => self.finished = read? == 0,
            _ = self.exit.wait_for(Option::is_some) => {
                let deadline = Instant::now() + limits::CLI_OUTPUT_GRACE;
                self.after_exit = Some(AfterExit { deadline, bytes: self.pipe_bytes });
            }
        }
        Ok(())
    }

    /// Asks the pipe itself first: a reader that comes late must still get what lies there.
    async fn fill_after_exit(&mut self, after: AfterExit) -> io::Result<()> {
        let room = after.bytes.min(READ_BYTES).min(self.limit + 1 - self.buffer.len());
        let read = match self.read_at_once(room) {
            Err(Errno::EAGAIN) => {
                let mut buffer = (&mut self.buffer).limit(room);
                timeout_at(after.deadline, self.pipe.read_buf(&mut buffer)).await.unwrap_or(Ok(0))?
            }
            read => read?,
        };
        let bytes = after.bytes - read;
        self.after_exit = Some(AfterExit { bytes, ..after });
        self.finished = read == 0 || bytes == 0;
        Ok(())
    }

    fn read_at_once(&mut self, room: usize) -> nix::Result<usize> {
        let held = self.buffer.len();
        self.buffer.resize(held + room, 0);
        let read = nix::unistd::read(self.pipe.as_fd(), &mut self.buffer[held..]);
        self.buffer.truncate(held + read.unwrap_or(0));
        read
    }
}

#[cfg(test)]
mod tests;
