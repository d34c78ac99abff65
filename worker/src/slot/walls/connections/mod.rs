//! Who may be connected to: sockets in the slot's own directories, and its ports of 127.0.0.1.
//!
//! Landlock knows no addresses: it forbids TCP ports by number, and Unix sockets in the file system not at all.
//! A daemon that trusts its user (a session bus, a container engine) would be a way out of every slot that
//! shares that user. So connect(2) is not made by the slot: the kernel hands each call to the supervisor, which
//! reads the address once, makes the connection itself, and puts it in the place of the caller's socket.
//! Nothing can be exchanged between check and use, since what was checked is what is used.
//!
//! Where there are ports, and so sockets of TCP, listen(2) is handed over as well: see `listening`.

mod address;
mod guise;
mod listening;
mod notify;

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use drover_shared::schema::limits;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, OpenHow, ResolveFlag, fcntl, open, openat2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, UnixAddr, connect, getsockopt, socket, sockopt,
};
use nix::sys::stat::{Mode, SFlag, fstat};

use nix::unistd::geteuid;

use self::address::Address;
use self::guise::Guise;
use self::notify::{Call, Listener, Wish};
use super::{User, Walls};

pub(super) use self::notify::install;

/// Makes the connections of one slot.
pub(in crate::slot) struct Connections {
    listener: Listener,
    rooms: Vec<PathBuf>,
    ports: Vec<u16>,
    user: Option<User>,
}

impl Connections {
    /// For a slot with these walls, whose calls come in at `listener`.
    pub(in crate::slot) fn new(listener: OwnedFd, walls: &Walls) -> Self {
        let (rooms, ports, user) = (walls.write.clone(), walls.ports.clone(), walls.user);
        Self { listener: Listener::new(listener), rooms, ports, user }
    }

    /// Readable when somebody wants to connect or to listen.
    pub(in crate::slot) fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Makes the next connection, or lets the next socket listen, or refuses.
    pub(in crate::slot) fn serve(&self) {
        // A caller that was killed meanwhile has taken its call with it.
        if let Ok(call) = self.listener.receive() {
            let result = match call.wish {
                Wish::Connect { address, length } => self.connect(&call, address, length),
                Wish::Listen { backlog } => self.listen(&call, backlog),
            };
            self.listener.answer(&call, result);
        }
    }

    fn connect(&self, call: &Call, address: usize, length: usize) -> Result<(), Errno> {
        let (address, caller) = self.look(call, address, length)?;
        let socket = match address {
            Address::Path(path) => self.connect_path(&caller.resolve(&path))?,
            Address::Loopback(port) if self.ports.contains(&port) => connect_port(port)?,
            Address::Loopback(_) | Address::Other => return Err(Errno::EACCES),
        };
        if !caller.flags.contains(OFlag::O_NONBLOCK) {
            fcntl(&socket, FcntlArg::F_SETFL(OFlag::empty()))?;
        }
        self.listener.put(call, &socket, caller.flags.contains(OFlag::O_CLOEXEC))
    }

    fn listen(&self, call: &Call, backlog: i32) -> Result<(), Errno> {
        let guise = Guise::put_on(self.user)?;
        let socket = listening::copy_of(call.pid, call.socket)?;
        drop(guise);
        if self.listener.is_waiting(call) { listening::begin(&socket, backlog) } else { Err(Errno::ESRCH) }
    }

    /// Reads what there is to know of a call, as the user that makes it.
    fn look(&self, call: &Call, address: usize, length: usize) -> Result<(Address, Caller), Errno> {
        let guise = Guise::put_on(self.user)?;
        let address = Address::read(call, address, length)?;
        let caller = Caller::read(call)?;
        drop(guise);
        // Only now is it known that all that was read was the caller's and not a successor's.
        if self.listener.is_waiting(call) { Ok((address, caller)) } else { Err(Errno::ESRCH) }
    }

    /// The socket must lie in one of the slot's rooms; no symbolic link leads there from elsewhere.
    fn connect_path(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let (room, inside) = self
            .rooms
            .iter()
            .find_map(|room| Some((room, path.strip_prefix(room).ok()?)))
            .ok_or(Errno::EACCES)?;
        let room = open(room, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let beneath = ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_MAGICLINKS
            | ResolveFlag::RESOLVE_NO_XDEV;
        let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(beneath);
        let found = openat2(&room, inside, how)?;
        let data = fstat(&found)?;
        if SFlag::from_bits_truncate(data.st_mode) & SFlag::S_IFMT != SFlag::S_IFSOCK {
            return Err(Errno::ECONNREFUSED);
        }
        // Whatever else has got into the room: this process may more than the slot.
        if data.st_uid != self.user.map_or_else(|| geteuid().as_raw(), |user| user.uid) {
            return Err(Errno::EACCES);
        }
        // By way of the descriptor: nobody can put something else in the place of what was looked at.
        let itself = UnixAddr::new(format!("/proc/self/fd/{}", found.as_raw_fd()).as_str())?;
        let socket = open_socket(AddressFamily::Unix)?;
        connect(socket.as_raw_fd(), &itself)?;
        Ok(socket)
    }
}

/// What is known of the process that calls.
struct Caller {
    flags: OFlag,
    directory: PathBuf,
}

impl Caller {
    fn read(call: &Call) -> Result<Self, Errno> {
        let of = |what: &str| PathBuf::from(format!("/proc/{}/{what}", call.pid));
        let named = fs::read_link(of(&format!("fd/{}", call.socket))).map_err(|_| Errno::EBADF)?;
        if !named.to_string_lossy().starts_with("socket:") {
            return Err(Errno::ENOTSOCK);
        }
        let told = fs::read_to_string(of(&format!("fdinfo/{}", call.socket))).map_err(|_| Errno::EBADF)?;
        let flags = told.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|octal| i32::from_str_radix(octal.trim(), 8).ok()).ok_or(Errno::EBADF)?;
        let directory = fs::read_link(of("cwd")).map_err(|_| Errno::EACCES)?;
        Ok(Self { flags: OFlag::from_bits_retain(flags), directory })
    }

    /// A path as the caller means it.
    fn resolve(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }
}

/// Never waits for long: whoever listens may be part of the slot and take no connection.
fn connect_port(port: u16) -> Result<OwnedFd, Errno> {
    let socket = open_socket(AddressFamily::Inet)?;
    let address = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
    match connect(socket.as_raw_fd(), &address) {
        Ok(()) => return Ok(socket),
        Err(Errno::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    let patience = PollTimeout::try_from(limits::LOOPBACK_CONNECT).unwrap_or(PollTimeout::ZERO);
    if poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)], patience)? == 0 {
        return Err(Errno::ETIMEDOUT);
    }
    match getsockopt(&socket, sockopt::SocketError)? {
        0 => Ok(socket),
        error => Err(Errno::from_raw(error)),
    }
}

fn open_socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
}

/// Whether this kernel and its settings let a supervisor do all this.
pub(super) fn is_possible() -> bool {
    // Since Linux 5.9 a descriptor can be put into the process that waits.
    let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    let new_enough = release.is_ok_and(|release| version(&release) >= (5, 9));
    // 2 and 3 keep a process from looking at those that descend from it (Yama's documentation).
    let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let may_look = !matches!(yama.trim(), "2" | "3");
    new_enough && may_look && notify::is_known()
}

/// The first two numbers of a kernel's release.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_their_first_two_numbers() {
        assert_eq!(version("5.10.0-28-amd64"), (5, 10));
        assert_eq!(version("6.18.44-fc-v669"), (6, 18));
        assert!(version("5.8.18") < (5, 9) && version("5.10") > (5, 9));
        assert_eq!(version("what"), (0, 0));
    }
}
