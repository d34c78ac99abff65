//! The proxy between a client and servers on loopback that are both the test's. 127.0.0.2 stands for the public
//! Internet; 127.0.0.1 is what it is.

mod plain;
mod refusals;
mod strain;
mod tunnels;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drover_shared::schema::HostName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::address::is_public;
use super::{Egress, Network};

/// An address that the tests' network takes for a public one.
const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// An address that it does not.
const PRIVATE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The host of most tests.
const HOST: &str = "allowed.example";

/// A network of one host.
struct OneHost {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Network for OneHost {
    async fn resolve(&self, host: &HostName) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().expect("a lock");
        let last = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        last.filter(|_| host.as_str() == HOST).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn admits(&self, address: IpAddr) -> bool {
        is_public(address) || address == PUBLIC
    }
}

impl OneHost {
    /// A host that resolves to these answers, one after the other; the last one stays.
    fn answering(answers: &[&[IpAddr]]) -> Arc<Self> {
        let answers = answers.iter().map(|answer| answer.to_vec()).collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: AtomicUsize::new(0) })
    }

    /// How often it has been asked for.
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A proxy that admits one host at one port, and leads to 127.0.0.2.
fn egress(port: u16) -> Egress {
    egress_of(port, OneHost::answering(&[&[PUBLIC]]))
}

fn egress_of(port: u16, network: Arc<OneHost>) -> Egress {
    let rule = format!("{HOST}:{port}").parse().expect("a rule");
    Egress::open(vec![rule], network).expect("a proxy")
}

/// A server's socket and its port.
async fn server(address: IpAddr) -> (TcpListener, u16) {
    let listener = TcpListener::bind((address, 0)).await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// A server's socket, its port, and a socket at the same port of the private address, to which nobody may come.
async fn server_beside_forbidden() -> (TcpListener, u16, std::net::TcpListener) {
    loop {
        let (listener, port) = server(PUBLIC).await;
        // Somebody else may have the port there.
        if let Ok(private) = std::net::TcpListener::bind((PRIVATE, port)) {
            private.set_nonblocking(true).expect("a socket that does not wait");
            return (listener, port, private);
        }
    }
}

/// Whether somebody has come. The kernel knows at once who has been connected.
fn was_reached(listener: &std::net::TcpListener) -> bool {
    listener.accept().is_ok()
}

/// The header that the proxy wants, for any user name.
fn credentials(egress: &Egress) -> String {
    let url = egress.proxy_url();
    let user = url.expose().strip_prefix("http://").and_then(|rest| rest.split_once('@')).expect("a user").0;
    format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(user))
}

/// Sends a head and gives back the connection.
async fn send(egress: &Egress, head: &str) -> TcpStream {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, egress.port())).await.expect("a connection");
    client.write_all(head.as_bytes()).await.expect("the head is sent");
    client
}

/// Asks for a tunnel.
async fn connect(egress: &Egress, authority: &str) -> TcpStream {
    let credentials = credentials(egress);
    send(egress, &format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{credentials}\r\n")).await
}

/// Asks for a resource.
async fn get(egress: &Egress, url: &str) -> TcpStream {
    send(egress, &format!("GET {url} HTTP/1.1\r\n{}\r\n", credentials(egress))).await
}

/// A tunnel to a port of the allowed host.
async fn tunnel(egress: &Egress, port: u16) -> TcpStream {
    let mut client = connect(egress, &format!("{HOST}:{port}")).await;
    let head = soon(head(&mut client)).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    client
}

/// A message's head, and not a byte more.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("the rest of a head"));
    }
    String::from_utf8(head).expect("text")
}

/// All that comes until the other side ends.
async fn rest(stream: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    soon(stream.read_to_end(&mut rest)).await.expect("an orderly end");
    String::from_utf8(rest).expect("text")
}

/// What comes of it before the deadline that all waiting here has.
async fn soon<T>(it: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), it).await.expect("within the deadline")
}
