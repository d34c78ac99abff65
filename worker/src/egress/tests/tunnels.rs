//! What passes through a tunnel, and when it ends.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use drover_shared::schema::limits;

use super::*;

/// More than all buffers on the way hold.
const LARGE: usize = 16 << 20;

async fn open_tunnel() -> (Egress, TcpStream, TcpStream) {
    let (listener, port) = server(PUBLIC).await;
    let egress = egress(port);
    let client = tunnel(&egress, port).await;
    let server = soon(listener.accept()).await.expect("a connection").0;
    (egress, client, server)
}

#[tokio::test]
async fn bytes_pass_both_ways_at_once_and_unchanged() {
    let (_egress, client, server) = open_tunnel().await;
    let up: Vec<u8> = (0..=250).cycle().take(LARGE).collect();
    let down: Vec<u8> = (0..=240).cycle().take(LARGE).collect();
    let exchange = async |stream: TcpStream, out: Vec<u8>| {
        let (mut reader, mut writer) = stream.into_split();
        let writing = async {
            writer.write_all(&out).await.expect("all is sent");
            writer.shutdown().await.expect("the end is sent");
        };
        let mut read = Vec::new();
        let ((), length) = tokio::join!(writing, reader.read_to_end(&mut read));
        length.expect("all is received");
        read
    };
    let (at_client, at_server) =
        soon(async { tokio::join!(exchange(client, up.clone()), exchange(server, down.clone())) }).await;
    assert!(at_server == up && at_client == down, "what has passed is what was sent");
}

#[tokio::test]
async fn a_client_that_has_said_all_still_hears() {
    let (_egress, mut client, mut server) = open_tunnel().await;
    client.write_all(b"question").await.expect("it is sent");
    client.shutdown().await.expect("the end is sent");
    assert_eq!(rest(&mut server).await, "question");
    server.write_all(b"answer").await.expect("it is sent");
    drop(server);
    assert_eq!(rest(&mut client).await, "answer");
}

#[tokio::test]
async fn a_server_that_has_said_all_still_hears() {
    let (_egress, mut client, mut server) = open_tunnel().await;
    server.write_all(b"greeting").await.expect("it is sent");
    server.shutdown().await.expect("the end is sent");
    assert_eq!(rest(&mut client).await, "greeting");
    client.write_all(b"reply").await.expect("it is sent");
    drop(client);
    assert_eq!(rest(&mut server).await, "reply");
}

#[tokio::test]
async fn bytes_sent_along_with_the_request_are_the_tunnels() {
    let (listener, port) = server(PUBLIC).await;
    let egress = egress(port);
    let head = format!("CONNECT {HOST}:{port} HTTP/1.1\r\nHost: {HOST}\r\n{}\r\nearly", credentials(&egress));
    let mut client = send(&egress, &head).await;
    let mut server = soon(listener.accept()).await.expect("a connection").0;
    let mut early = [0; 5];
    soon(server.read_exact(&mut early)).await.expect("the bytes");
    assert_eq!(&early, b"early");
    assert!(soon(super::head(&mut client)).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn dropping_the_proxy_ends_its_tunnels_and_its_port() {
    let (egress, mut client, mut server) = open_tunnel().await;
    client.write_all(b"x").await.expect("it is sent");
    assert_eq!(soon(server.read_u8()).await.expect("it is received"), b'x');
    let port = egress.port();
    drop(egress);
    assert!(soon(client.read_u8()).await.is_err());
    assert!(soon(server.read_u8()).await.is_err());
    soon(async { while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {} }).await;
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_moves_is_cut_and_one_in_use_is_not() {
    let (egress, mut idle, _server) = open_tunnel().await;
    let (listener, port) = server(PUBLIC).await;
    let busy_egress = super::egress(port);
    let mut client = tunnel(&busy_egress, port).await;
    let mut server = soon(listener.accept()).await.expect("a connection").0;
    // From here on time passes only when everybody waits.
    tokio::time::pause();
    for _ in 0..4 {
        tokio::time::sleep(limits::EGRESS_IDLE / 3).await;
        server.write_all(b"x").await.expect("it is sent");
        assert_eq!(client.read_u8().await.expect("it is received"), b'x');
    }
    assert!(idle.read_u8().await.is_err());
    drop(egress);
}
