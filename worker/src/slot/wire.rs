//! What worker and supervisor say to each other over the control socket.
//!
//! The worker sends one [`Launch`] (a four byte length with the CLI's three file descriptors attached, then
//! JSON) and nothing after it; closing its direction means: kill. The supervisor answers in JSON lines.

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use drover_shared::schema::limits;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::{Deserialize, Serialize};

use super::walls::{Wall, Walls};

/// What to run. The process gets exactly this and nothing of the worker's own.
#[derive(Clone, Serialize, Deserialize)]
pub struct Launch {
    /// The program, as an absolute path.
    pub program: PathBuf,
    /// Its arguments, without the program's name.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// Its working directory.
    pub directory: PathBuf,
    /// What it is kept from. `None` for the worker's own tools, which no client and no model drives: npm
    /// needs the network, and a CLI that is asked for its version is not yet known to run behind walls.
    pub walls: Option<Walls>,
}

/// How a CLI ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code, when it exited by itself.
    pub code: Option<i32>,
    /// The signal that ended it otherwise.
    pub signal: Option<i32>,
    /// How many processes it left behind that had to be killed or reaped.
    pub swept: u32,
}

/// Which step of starting a CLI failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Starting or talking to the supervisor.
    Supervise,
    /// Entering the working directory.
    Directory,
    /// Putting up this wall.
    Walls(Wall),
    /// Executing the program.
    Program,
    /// Executing the interpreter that the program's first line names.
    Interpreter,
}

/// The CLI did not start. Told apart from a CLI that started and ended at once.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {program}: {}: {source}", self.step.describe())]
pub struct LaunchError {
    /// What was to be started.
    pub program: String,
    /// How far it came.
    pub step: Step,
    /// What the system said.
    pub source: io::Error,
}

impl From<LaunchError> for io::Error {
    fn from(error: LaunchError) -> Self {
        Self::new(error.source.kind(), error)
    }
}

impl Step {
    const fn describe(self) -> &'static str {
        match self {
            Self::Supervise => "its supervisor",
            Self::Directory => "its working directory",
            Self::Walls(Wall::Basics) => "its walls: session and descriptors",
            Self::Walls(Wall::Rlimits) => "its walls: resource limits",
            Self::Walls(Wall::User) => "its walls: user",
            Self::Walls(Wall::Capabilities) => "its walls: capabilities",
            Self::Walls(Wall::NoNewPrivileges) => "its walls: no new privileges",
            Self::Walls(Wall::Landlock) => "its walls: Landlock",
            Self::Walls(Wall::Seccomp) => "its walls: seccomp",
            Self::Walls(Wall::Connections) => "its walls: connections",
            Self::Program => "the program",
            Self::Interpreter => "the interpreter named in its first line",
        }
    }
}

/// One line from the supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// The program runs under this process id.
    Started { pid: i32 },
    /// It does not, for this reason.
    Failed { step: Step, errno: i32 },
    /// It has ended, and nothing of it is left.
    Ended(Exit),
}

/// The length in front of the description; the file descriptors travel with it.
pub(super) const LENGTH_BYTES: usize = 4;

/// Sends the length of the description and the CLI's stdin, stdout and stderr.
pub(super) fn send_head(
    control: &UnixStream,
    description: &[u8],
    stdio: [BorrowedFd<'_>; 3],
) -> io::Result<()> {
    let length = u32::try_from(description.len()).unwrap_or(u32::MAX);
    if length as usize > limits::CLI_LAUNCH_BYTES {
        return Err(io::ErrorKind::ArgumentListTooLong.into());
    }
    let descriptors = stdio.map(|fd| fd.as_raw_fd());
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let head = length.to_be_bytes();
    let sent =
        sendmsg::<()>(control.as_raw_fd(), &[IoSlice::new(&head)], &rights, MsgFlags::MSG_NOSIGNAL, None)?;
    if sent == LENGTH_BYTES { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Receives what [`send_head`] and the description after it carry.
pub(super) fn receive(control: &mut UnixStream) -> io::Result<(Launch, [OwnedFd; 3])> {
    let (length, stdio) = receive_head(control)?;
    if length > limits::CLI_LAUNCH_BYTES {
        return Err(io::ErrorKind::ArgumentListTooLong.into());
    }
    let mut description = vec![0; length];
    control.read_exact(&mut description)?;
    Ok((serde_json::from_slice(&description)?, stdio))
}

fn receive_head(control: &UnixStream) -> io::Result<(usize, [OwnedFd; 3])> {
    let mut head = [0; LENGTH_BYTES];
    let mut space = nix::cmsg_space!([RawFd; 3]);
    let mut parts = [IoSliceMut::new(&mut head)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_WAITALL;
    let message = recvmsg::<()>(control.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let received = message.bytes;
    let stdio: Vec<OwnedFd> = message.cmsgs()?.flat_map(descriptors).collect();
    let stdio = <[OwnedFd; 3]>::try_from(stdio).map_err(|_| io::ErrorKind::InvalidData)?;
    if received != LENGTH_BYTES {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((u32::from_be_bytes(head) as usize, stdio))
}

/// What a forked child has to tell before it becomes the CLI.
pub(super) enum Word {
    /// This wall could not be put up.
    Fallen(Wall),
    /// Its connections are asked for here.
    Listener(OwnedFd),
}

/// The byte that comes with a listener; walls have low numbers.
const LISTENER: u8 = u8::MAX;

/// Tells the supervisor a word.
pub(super) fn send_word(to: &UnixStream, word: &Word) -> io::Result<()> {
    let (byte, descriptors) = match word {
        Word::Fallen(wall) => (wall.number(), Vec::new()),
        Word::Listener(listener) => (LISTENER, vec![listener.as_raw_fd()]),
    };
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let rights = if descriptors.is_empty() { &[][..] } else { &rights };
    sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(&[byte])], rights, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// Hears the word of a child that has become the CLI or has ended; `None` when it had nothing to tell.
pub(super) fn hear_word(from: &UnixStream) -> io::Result<Option<Word>> {
    let mut byte = [0];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let mut parts = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(from.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let (received, listener) = (message.bytes, message.cmsgs()?.flat_map(descriptors).next());
    Ok(match (received, byte[0], listener) {
        (1, LISTENER, Some(listener)) => Some(Word::Listener(listener)),
        (1, number, _) => Wall::numbered(number).map(Word::Fallen),
        _ => None,
    })
}

#[expect(unsafe_code, reason = "the standard library cannot receive file descriptors yet")]
fn descriptors(message: ControlMessageOwned) -> Vec<OwnedFd> {
    let ControlMessageOwned::ScmRights(received) = message else { return Vec::new() };
    // SAFETY: the kernel has just opened these descriptors for this message; nobody else knows them.
    received.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect()
}
