//! Clients that speak HTTP badly or slowly.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Api, within};

async fn send(api: &Api, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(api.address).await.expect("a connection");
    socket.write_all(bytes).await.expect("sent");
    let mut answer = Vec::new();
    within("an end", socket.read_to_end(&mut answer)).await.expect("read");
    String::from_utf8(answer).expect("text")
}

#[tokio::test]
async fn a_slow_head_is_not_waited_for() {
    let api = Api::with(|settings| settings.head_timeout = Duration::from_millis(50)).await;
    send(&api, b"GET /livez HTTP/1.1\r\nhost:").await;
}

#[tokio::test]
async fn a_slow_body_is_not_waited_for() {
    let api = Api::with(|settings| settings.body_timeout = Duration::from_millis(50)).await;
    let head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{";
    let answer = send(&api, head).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains(r#""code":"request_timeout""#), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_asked_for() {
    let api = Api::start().await;
    let head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 99999999\r\n\r\n";
    let answer = send(&api, head).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_chunked_body_is_limited_too() {
    let api = Api::with(|settings| settings.body_limit_bytes = 10).await;
    let request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
        14\r\n{\"model\":\"opus\",    \r\n0\r\n\r\n";
    let answer = send(&api, request).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains(r#""code":"request_too_large""#), "{answer}");
}

#[tokio::test]
async fn too_many_headers_are_refused() {
    let api = Api::start().await;
    let lines = "x: y\r\n".repeat(200);
    let answer = send(&api, format!("GET /livez HTTP/1.1\r\n{lines}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn garbage_is_refused() {
    let api = Api::start().await;
    let answer = send(&api, b"\x16\x03\x01\x02\x00 hello\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(api.get("/livez").await.status, 200);
}

#[tokio::test]
async fn who_is_still_sending_gets_to_see_the_error() {
    let api = Api::start().await;
    let body = " ".repeat(16 << 20);
    let head = format!(
        "POST /v1/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = send(&api, (head + &body).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}
