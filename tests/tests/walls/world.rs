//! What is around a slot: a worker with a key, its data, another slot, services of the machine.

use std::fs::{self, Permissions};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use drover_tests::harness::{binary, demo};
use drover_worker::relay::Relay;
use drover_worker::slot::walls::Walls;
use drover_worker::slot::{Launch, Slot, SlotDir, SlotDirs, Supervisor, UserRange, Users};
use tempfile::TempDir;

/// The provider's key, which the worker has in its environment.
pub(crate) const KEY: &str = "sk-key-that-no-slot-may-find";
/// Users for slots; not those of a Drover that may run on this machine.
const USERS: &str = "61000-61099";

/// Everything that the attempts reach for.
pub(crate) struct World {
    dir: TempDir,
    worker: Child,
    slots: SlotDirs,
    neighbour: SlotDir,
    _relay: Relay,
    neighbour_runs: Slot,
    tcp: TcpListener,
    udp: UdpSocket,
    _service: UnixListener,
    _datagrams: UnixDatagram,
    _abstract_service: UnixListener,
}

impl World {
    /// Sets it up; slots get users of their own if that is asked for and possible.
    pub(crate) async fn new(own_users: bool) -> Self {
        let dir = tempfile::Builder::new().prefix("drover-").tempdir().expect("a directory");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).expect("its mode is set");
        fs::create_dir(dir.path().join("data")).expect("created");
        fs::write(dir.path().join("data/drover.db"), "the worker's").expect("written");
        lay_set_user_id(dir.path());
        let users =
            own_users.then(|| Users::open(USERS.parse::<UserRange>().expect("a range")).expect("users"));
        let slots = SlotDirs::claim(&dir.path().join("slots"), users).expect("slots");
        let neighbour = slots.create().expect("a slot");
        fs::write(neighbour.work().join("secret"), "the neighbour's").expect("written");
        let relay = Relay::unix(&neighbour.socket(), neighbour.user(), demo()).expect("a relay");
        let neighbour_runs = supervisor().launch(&sleep(&neighbour)).await.expect("it runs");
        relay.admit(neighbour_runs.process.supervisor());
        let name = SocketAddr::from_abstract_name(abstract_name(dir.path())).expect("a name");
        Self {
            worker: worker(),
            slots,
            neighbour,
            _relay: relay,
            neighbour_runs,
            tcp: TcpListener::bind("127.0.0.1:0").expect("a port"),
            udp: UdpSocket::bind("127.0.0.1:0").expect("a port"),
            _service: UnixListener::bind(dir.path().join("service.sock")).expect("a socket"),
            _datagrams: UnixDatagram::bind(dir.path().join("datagrams.sock")).expect("a socket"),
            _abstract_service: UnixListener::bind_addr(&name).expect("a socket"),
            dir,
        }
    }

    /// A slot to try things in.
    pub(crate) fn slot(&self) -> SlotDir {
        self.slots.create().expect("a slot")
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What the worker keeps, readable for all, as databases are by default.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir().join("data/drover.db")
    }

    /// A copy of `id` that gives whoever runs it the rights of its owner.
    pub(crate) fn set_user_id(&self) -> PathBuf {
        self.dir().join("as-owner")
    }

    /// Process id of something with the worker's user and key.
    pub(crate) fn worker(&self) -> u32 {
        self.worker.id()
    }

    pub(crate) fn neighbour(&self) -> PathBuf {
        self.neighbour.path().to_owned()
    }

    pub(crate) fn neighbours_relay(&self) -> PathBuf {
        self.neighbour.socket()
    }

    /// What runs in the other slot.
    pub(crate) fn neighbours_process(&self) -> i32 {
        self.neighbour_runs.process.pid()
    }

    pub(crate) fn tcp_port(&self) -> u16 {
        self.tcp.local_addr().expect("an address").port()
    }

    pub(crate) fn udp_port(&self) -> u16 {
        self.udp.local_addr().expect("an address").port()
    }

    pub(crate) fn service(&self) -> PathBuf {
        self.dir().join("service.sock")
    }

    pub(crate) fn datagrams(&self) -> PathBuf {
        self.dir().join("datagrams.sock")
    }

    pub(crate) fn abstract_name(&self) -> String {
        abstract_name(self.dir())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.worker.kill();
        let _ = self.worker.wait();
    }
}

/// The worker's program, which supervises.
pub(crate) fn supervisor() -> Supervisor {
    Supervisor::at(binary("drover-worker"))
}

fn abstract_name(dir: &Path) -> String {
    dir.file_name().expect("a name").to_string_lossy().into_owned()
}

fn worker() -> Child {
    let mut worker = Command::new("sleep");
    worker.arg("1000").env("ANTHROPIC_API_KEY", KEY).spawn().expect("it starts")
}

fn lay_set_user_id(dir: &Path) {
    let copy = dir.join("as-owner");
    fs::copy("/usr/bin/id", &copy).expect("copied");
    fs::set_permissions(copy, Permissions::from_mode(0o4755)).expect("its mode is set");
}

fn sleep(slot: &SlotDir) -> Launch {
    Launch {
        program: "/bin/sleep".into(),
        arguments: vec!["1000".into()],
        environment: vec![("TOKEN".into(), "the neighbour's".into())],
        directory: slot.work(),
        walls: Some(Walls::around(slot)),
    }
}
