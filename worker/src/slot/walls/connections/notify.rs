//! The kernel's side of it: seccomp's user notifications (`seccomp_unotify(2)`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::super::seccomp;

/// What the kernel takes as a program (`sock_fprog` of `<linux/filter.h>`).
#[repr(C)]
struct Program {
    length: u16,
    instructions: *const seccompiler::sock_filter,
}

/// A call that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    id: u64,
    /// The thread that waits.
    pub(super) pid: i32,
    /// The caller's descriptor.
    pub(super) socket: u32,
    /// What it is to do.
    pub(super) wish: Wish,
}

/// What a socket is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To connect: where in the caller's memory the address is, and how long it is.
    Connect { address: usize, length: usize },
    /// To listen, with so many connections waiting.
    Listen { backlog: i32 },
}

/// Where calls come in.
pub(super) struct Listener(OwnedFd);

/// The kernel's structures may grow; it writes as much as it knows.
#[repr(C)]
struct Roomy<T> {
    it: T,
    room: [u64; 32],
}

impl Listener {
    pub(super) fn new(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The next call.
    #[expect(unsafe_code, reason = "the listener is spoken to by ioctl")]
    pub(super) fn receive(&self) -> Result<Call, Errno> {
        // SAFETY: all zeros is a value of this structure of numbers, and what the kernel asks for.
        let mut got: Roomy<libc::seccomp_notif> = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes one notification, for which there is more than enough room.
        Errno::result(unsafe { libc::ioctl(self.raw(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut got) })?;
        let [socket, second, third, ..] = got.it.data.args;
        let wish = if libc::c_long::from(got.it.data.nr) == libc::SYS_listen {
            Wish::Listen { backlog: lower(second).cast_signed() }
        } else {
            let address = usize::try_from(second).map_err(|_| Errno::EFAULT)?;
            Wish::Connect { address, length: lower(third) as usize }
        };
        Ok(Call { id: got.it.id, pid: got.it.pid.cast_signed(), socket: lower(socket), wish })
    }

    /// Whether the call still waits, so that its process id is still its own.
    #[expect(unsafe_code, reason = "the listener is spoken to by ioctl")]
    pub(super) fn is_waiting(&self, call: &Call) -> bool {
        // SAFETY: reads one number, which lives until the call returns.
        let known =
            unsafe { libc::ioctl(self.raw(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const call.id) };
        known == 0
    }

    /// Puts a socket of ours in the place of the caller's.
    #[expect(unsafe_code, reason = "the listener is spoken to by ioctl")]
    pub(super) fn put(&self, call: &Call, socket: &OwnedFd, close_on_exec: bool) -> Result<(), Errno> {
        let replace = libc::seccomp_notif_addfd {
            id: call.id,
            flags: lower(libc::SECCOMP_ADDFD_FLAG_SETFD),
            srcfd: socket.as_raw_fd().cast_unsigned(),
            newfd: call.socket,
            newfd_flags: if close_on_exec { libc::O_CLOEXEC.cast_unsigned() } else { 0 },
        };
        // SAFETY: reads one structure, which lives until the call returns.
        Errno::result(unsafe { libc::ioctl(self.raw(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const replace) })
            .map(drop)
    }

    /// Lets the caller go on.
    #[expect(unsafe_code, reason = "the listener is spoken to by ioctl")]
    pub(super) fn answer(&self, call: &Call, result: Result<(), Errno>) {
        // SAFETY: all zeros is a value of this structure of numbers.
        let mut answer: Roomy<libc::seccomp_notif_resp> = unsafe { std::mem::zeroed() };
        answer.it.id = call.id;
        answer.it.error = result.err().map_or(0, |error| -(error as i32));
        // SAFETY: reads one answer. A caller that is gone needs none.
        let _ = unsafe { libc::ioctl(self.raw(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
    }

    fn raw(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

/// From here on this process and all that it starts connect by way of the listener that is answered, and, with
/// a port, listen by way of it.
#[expect(unsafe_code, reason = "no wrapper installs a filter with a listener")]
pub(in super::super) fn install(has_port: bool) -> io::Result<OwnedFd> {
    let connect = u32::try_from(libc::SYS_connect).map_err(io::Error::other)?;
    let listen = if has_port { u32::try_from(libc::SYS_listen).map_err(io::Error::other)? } else { connect };
    let program = [
        // The call's number is the first word of what the program is given. Calls of other architectures
        // never come this far.
        seccomp::instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        seccomp::instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, connect),
        seccomp::instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, listen),
        seccomp::instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_USER_NOTIF),
        seccomp::instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = Program { length, instructions: program.as_ptr() };
    // SAFETY: the kernel copies the program, which lives until the call returns.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    let listener = i32::try_from(Errno::result(listener)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just opened it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(listener) })
}

/// The half of an argument that the kernel looks at, too.
const fn lower(argument: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "this is the purpose")]
    {
        argument as u32
    }
}

/// Whether the kernel knows notifications.
pub(super) fn is_known() -> bool {
    seccomp::knows(libc::SECCOMP_RET_USER_NOTIF)
}
