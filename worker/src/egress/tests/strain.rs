//! Clients that ask too much.

use tokio::io::AsyncReadExt as _;

use drover_shared::schema::limits;

use super::*;

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let egress = egress(443);
    let long = format!("X-Long: {}\r\n", "x".repeat(limits::EGRESS_HEAD_BYTES));
    let many = "X-Many: 1\r\n".repeat(limits::EGRESS_HEADERS + 1);
    for headers in [long, many] {
        let head = format!("CONNECT {HOST}:443 HTTP/1.1\r\n{headers}{}\r\n", credentials(&egress));
        let mut client = send(&egress, &head).await;
        let mut answer = [0; 13];
        soon(client.read_exact(&mut answer)).await.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 431 ");
    }
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut() {
    let egress = egress(443);
    let mut client = send(&egress, "CONNECT ").await;
    // From here on time passes only when everybody waits.
    tokio::time::pause();
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(limits::EGRESS_HEAD * 2, client.read_to_end(&mut answer)).await;
    ended.expect("before the head's time is over twice").expect("an orderly end");
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn only_so_many_connections_are_served_at_once_and_the_rest_after_them() {
    // Nobody has to accept: the kernel connects whoever comes, up to its backlog.
    let (listener, port) = server(PUBLIC).await;
    let egress = egress(port);
    let mut tunnels = Vec::new();
    for _ in 0..limits::EGRESS_CONNECTIONS {
        tunnels.push(tunnel(&egress, port).await);
    }
    let mut late = connect(&egress, &format!("{HOST}:{port}")).await;
    tokio::time::pause();
    let early = tokio::time::timeout(limits::EGRESS_HEAD, late.read_u8()).await;
    assert!(early.is_err(), "it was answered while all places were taken");
    tokio::time::resume();
    drop(tunnels.remove(0));
    drop(soon(listener.accept()).await.expect("its other end"));
    let answer = soon(head(&mut late)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
