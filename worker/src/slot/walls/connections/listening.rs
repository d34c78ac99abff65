//! Who may listen: Unix sockets that are bound to a place in the file system, which Landlock has judged when they
//! were bound.
//!
//! A TCP socket would get a port, and an abstract one could be reached from anywhere. The supervisor listens on a
//! copy of the caller's descriptor: it is the same socket, so that nothing can be exchanged between check and use.

use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{UnixAddr, getsockname};

/// A copy of a thread's descriptor. Needs the right to trace the process (`pidfd_getfd(2)`), and that no filter
/// around the worker itself forbids it, as Docker's does without the capability `SYS_PTRACE`.
#[expect(unsafe_code, reason = "no wrapper knows these calls")]
pub(super) fn copy_of(thread: i32, descriptor: u32) -> Result<OwnedFd, Errno> {
    let process = process_of(thread)?;
    // SAFETY: takes two numbers.
    let handle = opened(unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) })?;
    // SAFETY: takes three numbers, of which the first is a descriptor that lives until the call returns.
    opened(unsafe { libc::syscall(libc::SYS_pidfd_getfd, handle.as_raw_fd(), descriptor, 0) })
}

#[expect(unsafe_code, reason = "the call has no wrapper, so its descriptor has no owner yet")]
fn opened(answer: libc::c_long) -> Result<OwnedFd, Errno> {
    let descriptor = i32::try_from(Errno::result(answer)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just opened it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Handles are given out for processes only, and any thread may call.
fn process_of(thread: i32) -> Result<i32, Errno> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).map_err(|_| Errno::ESRCH)?;
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    process.and_then(|pid| pid.trim().parse().ok()).ok_or(Errno::ESRCH)
}

/// Lets it listen, if it may.
#[expect(unsafe_code, reason = "the wrapper refuses a backlog that programs do use")]
pub(super) fn begin(socket: &OwnedFd, backlog: i32) -> Result<(), Errno> {
    // Fails for an address of another family.
    let bound: UnixAddr = getsockname(socket.as_raw_fd()).map_err(|_| Errno::EACCES)?;
    if bound.path().is_none() {
        return Err(Errno::EACCES);
    }
    // SAFETY: takes two numbers, of which the first is a descriptor that lives until the call returns.
    Errno::result(unsafe { libc::listen(socket.as_raw_fd(), backlog) }).map(drop)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

    use super::*;

    fn own(socket: &impl AsRawFd) -> OwnedFd {
        let descriptor = socket.as_raw_fd().cast_unsigned();
        copy_of(nix::unistd::gettid().as_raw(), descriptor).expect("one may look at oneself")
    }

    #[test]
    fn only_sockets_in_the_file_system_may_listen() {
        let place = tempfile::tempdir().expect("a directory");
        let path = UnixListener::bind(place.path().join("own")).expect("bound");
        assert_eq!(begin(&own(&path), 7), Ok(()));
        let name =
            SocketAddr::from_abstract_name(place.path().as_os_str().as_encoded_bytes()).expect("a name");
        let abstract_one = UnixListener::bind_addr(&name).expect("bound");
        assert_eq!(begin(&own(&abstract_one), 7), Err(Errno::EACCES));
        let (nameless, _) = UnixStream::pair().expect("a pair");
        assert_eq!(begin(&own(&nameless), 7), Err(Errno::EACCES));
        let tcp = TcpListener::bind("127.0.0.1:0").expect("bound");
        assert_eq!(begin(&own(&tcp), 7), Err(Errno::EACCES));
    }
}
