//! What is tried from inside a slot: one line each, a name and a shell command that ends well if it works.

use crate::world::{KEY, World};

/// Something to try.
pub(crate) struct Attempt {
    pub(crate) name: &'static str,
    command: String,
}

fn attempt(name: &'static str, command: impl Into<String>) -> Attempt {
    Attempt { name, command: command.into() }
}

/// What a job needs.
pub(crate) fn allowed() -> Vec<Attempt> {
    vec![
        attempt("write in the workspace", "echo x > made && grep -q x made"),
        attempt("write in its home and among its temporary files", "echo x > $HOME/x && echo x > $TMPDIR/x"),
        attempt(
            "make a file executable and run it",
            "printf '#!/bin/sh\\ntrue\\n' > run && chmod 700 run && ./run",
        ),
        attempt(
            "make directories, links and pipes",
            "mkdir -p d/e && ln -s d l && mkfifo p && mv d/e f && rm -r d l p f",
        ),
        attempt("read the system", "ls /usr/bin && cat /etc/passwd /proc/self/status && id"),
        attempt("signal a child", "sleep 100 & kill $!"),
        attempt("talk through pairs of sockets", perl("socketpair(A,B,AF_UNIX,SOCK_STREAM,0) or exit 1")),
        attempt("reach its relay", connect_unix("$ENV{RELAY}")),
        attempt("reach its relay by a short name", connect_unix("../relay.sock")),
        attempt(
            "speak through a socket of its own",
            perl(
                "socket(L,AF_UNIX,SOCK_STREAM,0) && bind(L, pack_sockaddr_un(qq(own))) && listen(L,1) or exit 1; \
                 socket(S,AF_UNIX,SOCK_STREAM,0) && connect(S, pack_sockaddr_un(qq(own))) or exit 1; \
                 accept(C,L) or exit 1; syswrite(S, qq(x)); sysread(C, $x, 1) == 1 && $x eq qq(x) or exit 1",
            ),
        ),
        attempt("serve other processes from node", serve_from_node()),
    ]
}

/// What must not work in any slot.
pub(crate) fn forbidden(world: &World) -> Vec<Attempt> {
    let mut all = files(world);
    all.extend(processes(world));
    all.extend(sockets(world));
    all.extend(kernel());
    all
}

/// What works in a slot that may connect to a port, as the JavaScript build needs.
pub(crate) fn allowed_with_port(port: u16) -> Vec<Attempt> {
    vec![
        attempt("reach its port", connect_ip(port, "127.0.0.1", "")),
        attempt(
            "reach its port without waiting",
            connect_ip(port, "127.0.0.1", "use POSIX; use Fcntl; fcntl(S, F_SETFL, O_NONBLOCK);"),
        ),
    ]
}

/// What Landlock would let through, because it knows ports and no addresses.
pub(crate) fn forbidden_with_port(port: u16) -> Vec<Attempt> {
    vec![attempt("reach its port at another address", connect_ip(port, "127.0.0.2", ""))]
}

/// Ways to be reached from outside that a slot with a port might find, since it can make sockets of TCP.
pub(crate) fn forbidden_listening(world: &World) -> Vec<Attempt> {
    let elsewhere = world.dir().join("left.sock").display().to_string();
    let listen = |name, socket: &str, bound: &str| {
        attempt(name, perl(&format!("socket(S,{socket},SOCK_STREAM,0) {bound} && listen(S,1) or exit 1")))
    };
    vec![
        listen("bind to any address", "AF_INET", "&& bind(S, sockaddr_in(0, INADDR_ANY))"),
        listen("listen for TCP over IPv6", "AF_INET6", "&& bind(S, pack_sockaddr_in6(0, IN6ADDR_LOOPBACK))"),
        listen("listen for TCP over IPv6 on any port", "AF_INET6", ""),
        listen(
            "listen in another directory",
            "AF_UNIX",
            &format!("&& bind(S, pack_sockaddr_un(q({elsewhere})))"),
        ),
        listen(
            "listen by way of a link to another directory",
            "AF_UNIX",
            &format!(
                "&& symlink(q({}), q(out)) && bind(S, pack_sockaddr_un(q(out/left)))",
                world.dir().display()
            ),
        ),
        listen("listen under an abstract name", "AF_UNIX", "&& bind(S, pack_sockaddr_un(qq(\\0drover-$$)))"),
        listen("listen under any abstract name", "AF_UNIX", "&& bind(S, pack(q(S), AF_UNIX))"),
        attempt("let a descriptor listen that has become another one", swap_while_listening()),
    ]
}

/// What must not work in a slot that has a user of its own either; with one user for all it does.
pub(crate) fn forbidden_to_strangers(world: &World) -> Vec<Attempt> {
    let data = world.data().display().to_string();
    vec![
        attempt("change a mode of the worker's files", format!("chmod 666 {data}")),
        attempt("change a time of the worker's files", format!("touch -c -t 200001010000 {data}")),
    ]
}

fn files(world: &World) -> Vec<Attempt> {
    let (data, other, dir) = (world.data(), world.neighbour(), world.dir());
    let [data, other, dir] = [&data, &other, &dir.to_owned()].map(|path| path.display().to_string());
    let cli = crate::cli::binary().display().to_string();
    vec![
        attempt("read another slot", format!("cat {other}/work/secret")),
        attempt("list another slot", format!("ls {other}")),
        attempt("write in another slot", format!("echo x > {other}/work/left")),
        attempt("read the worker's data", format!("cat {data}")),
        attempt("write the worker's data", format!("echo x >> {data}")),
        attempt("cut off the worker's data", perl(&format!("truncate('{data}', 1) or exit 1"))),
        attempt("link the worker's data into the workspace", format!("ln {data} ./linked")),
        attempt("list the worker's directory", format!("ls {dir}")),
        attempt("list /root", "ls /root"),
        attempt("list /home", "ls /home"),
        attempt("list /tmp", "ls /tmp"),
        attempt("read /etc/shadow", "cat /etc/shadow"),
        attempt("write in /tmp", "echo x > /tmp/drover-$$ && rm /tmp/drover-$$"),
        attempt("write in /var/tmp", "echo x > /var/tmp/drover-$$ && rm /var/tmp/drover-$$"),
        attempt("write in /dev/shm", "echo x > /dev/shm/drover-$$ && rm /dev/shm/drover-$$"),
        attempt("write the CLI", format!(": >> {cli}")),
        attempt(
            "raise the chance that others are killed",
            format!("echo 1000 > /proc/{}/oom_score_adj", world.worker()),
        ),
        attempt("write a file larger than the limit", "head -c 3000000 /dev/zero > big"),
        attempt("raise a limit", "ulimit -Hn 2000"),
        attempt(
            "become root by a set-user-ID program",
            format!("uid=$({} -u) && test $uid != $(id -u)", world.set_user_id().display()),
        ),
        attempt(
            "find the provider's key in any process",
            format!("cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | grep -qa {}", pattern()),
        ),
        attempt("find the provider's key in its own environment", format!("env | grep -q {}", pattern())),
        attempt("find the provider's key in its files", format!("grep -rqa {} $HOME/..", pattern())),
    ]
}

fn processes(world: &World) -> Vec<Attempt> {
    let worker = world.worker();
    let call = |name, number: libc::c_long, rest: &str| attempt(name, syscall(number, rest));
    vec![
        attempt("read the worker's environment", format!("grep -qa . /proc/{worker}/environ")),
        attempt("read the worker's memory map", format!("grep -q . /proc/{worker}/maps")),
        attempt(
            "read the worker's memory",
            format!("head -c 1 /proc/{worker}/mem; test $? = 1 && exec 3< /proc/{worker}/mem"),
        ),
        attempt(
            "read another slot's environment",
            format!("grep -qa . /proc/{}/environ", world.neighbours_process()),
        ),
        attempt("signal another slot", format!("kill -CONT {}", world.neighbours_process())),
        attempt("see which files the worker has open", format!("readlink /proc/{worker}/fd/0")),
        attempt("enter the worker's directory", format!("ls /proc/{worker}/cwd/")),
        attempt("signal the worker", format!("kill -CONT {worker}")),
        attempt(
            "signal a supervisor",
            "for pid in $(grep -l drover-slot /proc/[0-9]*/comm | tr -dc '0-9\\n'); do kill -CONT $pid && exit 0; done; exit 1",
        ),
        call("trace the worker", libc::SYS_ptrace, &format!("0x4206, {worker}, 0, 0")),
        call(
            "read the worker's memory in one call",
            libc::SYS_process_vm_readv,
            &format!("{worker}, 0, 0, 0, 0, 0"),
        ),
        attempt("limit the worker", format!("prlimit --pid {worker} --nofile=64:64")),
        attempt("slow the worker down", format!("renice -n 19 -p {worker}")),
        attempt("slow all processes of its user down", "renice -n 19 -u $(id -u)"),
        attempt("bind the worker to one processor", format!("taskset -p 1 {worker}")),
        attempt("let the worker wait for disks", format!("ionice -c 3 -p {worker}")),
    ]
}

fn sockets(world: &World) -> Vec<Attempt> {
    let kind = |name, family: i32, kind: i32| {
        attempt(name, perl(&format!("socket(S, {family}, {kind}, 0) or exit 1")))
    };
    let (tcp, udp) = (world.tcp_port(), world.udp_port());
    let loopback = "inet_aton('127.0.0.1')";
    let service = world.service().display().to_string();
    vec![
        attempt(
            "connect by TCP",
            perl(&format!(
                "socket(S,AF_INET,SOCK_STREAM,0) && connect(S, sockaddr_in({tcp}, {loopback})) or exit 1"
            )),
        ),
        attempt(
            "connect by TCP with the first data",
            perl(&format!(
                "socket(S,AF_INET,SOCK_STREAM,0) && send(S, 'x', 0x20000000, sockaddr_in({tcp}, {loopback})) or exit 1"
            )),
        ),
        attempt(
            "connect by TCP over IPv6",
            perl(&format!(
                "socket(S,AF_INET6,SOCK_STREAM,0) && connect(S, pack_sockaddr_in6({tcp}, inet_pton(AF_INET6, '::ffff:127.0.0.1'))) or exit 1"
            )),
        ),
        attempt(
            "connect by multipath TCP",
            perl(&format!(
                "socket(S,AF_INET,SOCK_STREAM,262) && connect(S, sockaddr_in({tcp}, {loopback})) or exit 1"
            )),
        ),
        attempt(
            "send by UDP",
            perl(&format!(
                "socket(S,AF_INET,SOCK_DGRAM,0) && send(S, 'x', 0, sockaddr_in({udp}, {loopback})) or exit 1"
            )),
        ),
        attempt(
            "listen for TCP",
            perl(&format!(
                "socket(S,AF_INET,SOCK_STREAM,0) && bind(S, sockaddr_in(0, {loopback})) && listen(S,1) or exit 1"
            )),
        ),
        attempt(
            "listen for TCP on any port",
            perl("socket(S,AF_INET,SOCK_STREAM,0) && listen(S,1) or exit 1"),
        ),
        kind("open a raw socket", libc::AF_INET, libc::SOCK_RAW),
        kind("open a packet socket", libc::AF_PACKET, libc::SOCK_RAW),
        kind("open a netlink socket", libc::AF_NETLINK, libc::SOCK_RAW),
        kind("open a socket to the hypervisor", libc::AF_VSOCK, libc::SOCK_STREAM),
        kind("open a socket to the kernel's ciphers", libc::AF_ALG, libc::SOCK_SEQPACKET),
        attempt("connect to another service's socket", connect_unix(&service)),
        attempt(
            "connect to another service's socket by way of a link",
            format!("ln -s {service} ./link && {}", connect_unix("$ENV{PWD}/link")),
        ),
        attempt(
            "connect to another service's abstract socket",
            connect_unix(&format!("\\0{}", world.abstract_name())),
        ),
        attempt(
            "send a datagram to another service's socket",
            perl(&format!(
                "socket(S,AF_UNIX,SOCK_DGRAM,0) && send(S, 'x', 0, sockaddr_un('{}')) or exit 1",
                world.datagrams().display()
            )),
        ),
        attempt(
            "send a datagram from a pair of sockets",
            perl(&format!(
                "socketpair(S,T,AF_UNIX,SOCK_DGRAM,0) && send(S, 'x', 0, sockaddr_un('{}')) or exit 1",
                world.datagrams().display()
            )),
        ),
        attempt(
            "be heard by another slot's relay",
            perl(&format!(
                "socket(S,AF_UNIX,SOCK_STREAM,0) && connect(S, sockaddr_un('{}')) or exit 1; \
                 syswrite(S, qq(GET / HTTP/1.0\\r\\n\\r\\n)); sysread(S, $x, 1) or exit 1",
                world.neighbours_relay().display()
            )),
        ),
    ]
}

fn kernel() -> Vec<Attempt> {
    let call = |name, number: libc::c_long, rest: &str| attempt(name, syscall(number, rest));
    let mut all = vec![
        attempt("make a user namespace", "unshare --user true"),
        attempt("make a network namespace", "unshare --user --net true || unshare --net true"),
        attempt("make a mount namespace", "unshare --user --mount true || unshare --mount true"),
        attempt(
            "make a user namespace with a new process",
            perl(&format!(
                "my $p = syscall({}, {}, 0, 0, 0, 0); exit($p < 0)",
                libc::SYS_clone,
                libc::CLONE_NEWUSER | libc::SIGCHLD
            )),
        ),
        attempt("enter a namespace of another process", "nsenter --target 1 --net true"),
        attempt("mount a file system", "mkdir -p m && mount -t tmpfs none m"),
        attempt("change the root", "chroot / true"),
        call("open a mount tree", libc::SYS_open_tree, "-100, '/', 0x1"),
        call("make a file system", libc::SYS_fsopen, "'tmpfs', 0"),
        call("load a kernel module", libc::SYS_finit_module, "0, '', 0"),
        call("load another kernel", libc::SYS_kexec_load, "0, 0, 0, 0"),
        call("make a map for kernel programs", libc::SYS_bpf, "0, pack('L4', 2, 4, 4, 1), 16"),
        call(
            "count the machine's events",
            libc::SYS_perf_event_open,
            "pack('L2Q', 1, 112, 0).(qq(\\0) x 96), 0, -1, -1, 0",
        ),
        call("handle memory faults", libc::SYS_userfaultfd, "1"),
        call("set up a ring of calls", libc::SYS_io_uring_setup, "1, qq(\\0) x 120"),
        call("add a key", libc::SYS_add_key, "'user', 'drover', 'x', 1, -2"),
        call("read the keyring", libc::SYS_keyctl, "0, -3, 0"),
        call("make shared memory that stays", libc::SYS_shmget, "0, 4096, 0x380"),
        call("make a queue that stays", libc::SYS_msgget, "0, 0x380"),
        call("make semaphores that stay", libc::SYS_semget, "0, 1, 0x380"),
        call(
            "name a file by its handle",
            libc::SYS_name_to_handle_at,
            "-100, '/usr', pack('L2', 128, 0).(qq(\\0) x 128), pack('L', 0), 0",
        ),
        call("read the kernel's log", libc::SYS_syslog, "10, 0, 0"),
    ];
    #[cfg(target_arch = "x86_64")]
    all.push(call("call by the x32 numbers", 0x4000_0000 + libc::SYS_getppid, ""));
    all
}

/// A Perl program, which every Debian has: sockets and system calls as they are.
fn perl(program: &str) -> String {
    format!("perl -MSocket=:all -e 'alarm 5; {}'", program.replace('\'', "'\\''"))
}

/// A system call; it works unless it is refused or unknown.
fn syscall(number: libc::c_long, arguments: &str) -> String {
    let comma = if arguments.is_empty() { "" } else { ", " };
    perl(&format!(
        "exit(syscall({number}{comma}{arguments}) < 0 && ($!{{EPERM}} || $!{{EACCES}} || $!{{ENOSYS}}))"
    ))
}

fn connect_unix(path: &str) -> String {
    perl(&format!("socket(S,AF_UNIX,SOCK_STREAM,0) && connect(S, pack_sockaddr_un(\"{path}\")) or exit 1"))
}

fn connect_ip(port: u16, address: &str, first: &str) -> String {
    perl(&format!(
        "socket(S,AF_INET,SOCK_STREAM,0) or exit 1; {first} \
         connect(S, sockaddr_in({port}, inet_aton('{address}'))) or exit 1"
    ))
}

/// Node listens in the workspace; a process that it starts is answered.
fn serve_from_node() -> String {
    let client = "socket(S,AF_UNIX,SOCK_STREAM,0) && connect(S, pack_sockaddr_un(q(node.sock))) or exit 1; \
                  sysread(S, $x, 5) == 5 && $x eq q(hello) or exit 1";
    let serve = "const server = require('net').createServer(socket => socket.end('hello')); \
                 server.on('error', () => process.exit(1)); \
                 server.listen('node.sock', () => require('child_process') \
                 .execFile('perl', ['-MSocket', '-e', process.argv[1]], error => process.exit(error ? 1 : 0)))";
    format!("timeout 20 node -e \"{serve}\" '{client}'")
}

/// One thread asks for a Unix socket to listen, another puts a TCP socket in its place meanwhile. Works if that one
/// ever listens.
fn swap_while_listening() -> String {
    let program = "import os, socket, threading, time
unix = socket.socket(socket.AF_UNIX); unix.bind('swapped')
tcp = socket.socket(socket.AF_INET)
seat = os.dup(unix.fileno()); done = False
def swap():
    while not done:
        os.dup2(tcp.fileno(), seat); os.dup2(unix.fileno(), seat)
threading.Thread(target=swap, daemon=True).start()
sitting = socket.socket(fileno=seat)
end = time.monotonic() + 1
while time.monotonic() < end and not tcp.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
    try: sitting.listen(1)
    except OSError: pass
listens = tcp.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN); done = True
os._exit(0 if listens else 1)
";
    format!("/usr/bin/python3 - <<'END'\n{program}END\n")
}

/// Finds the key and not the command that looks for it.
fn pattern() -> String {
    format!("[{}]{}", &KEY[..1], &KEY[1..])
}

/// A shell script that makes every attempt and says `yes` or `no` to each, by its place.
pub(crate) fn script(attempts: &[Attempt]) -> String {
    let tries = attempts.iter().enumerate().map(|(at, attempt)| {
        let command = &attempt.command;
        format!("if ( {command} ) </dev/null >/dev/null 2>&1; then echo yes {at}; else echo no {at}; fi\n")
    });
    tries.collect()
}

/// Which attempts worked, by what the script has said.
pub(crate) fn worked<'a>(attempts: &[Attempt], said: impl Iterator<Item = &'a str>) -> Vec<&'static str> {
    let mut answered = 0;
    let mut worked = Vec::new();
    for line in said {
        let Some((answer @ ("yes" | "no"), at)) = line.split_once(' ') else { continue };
        let at: usize = at.parse().expect("a place in the list");
        answered += 1;
        if answer == "yes" {
            worked.push(attempts[at].name);
        }
    }
    assert_eq!(answered, attempts.len(), "every attempt was made");
    worked
}
