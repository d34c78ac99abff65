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

#[tokio::test]
async fn an_idle_connection_is_not_kept_for_ever() {
    let api = Api::with(|settings| settings.head_timeout = Duration::from_millis(100)).await;
    let answer = send(&api, b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn an_address_that_is_too_long_is_refused() {
    let api = Api::start().await;
    let path = "a".repeat(17 << 10);
    let request = format!("GET /{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answer = send(&api, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 414 "), "{answer}");
    assert!(answer.contains(r#""code":"uri_too_long""#), "{answer}");
    let path = "a".repeat(70 << 10);
    let answer = send(&api, format!("GET /{path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "no more than a whole head may be: {answer}");
}

/// Whoever can make two readers disagree about where a request ends can put a request into another's connection.
#[tokio::test]
async fn what_could_be_read_in_two_ways_ends_the_connection() {
    let api = Api::start().await;
    let hidden = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    for lines in [
        "host: x\r\ncontent-length: 2\r\ncontent-length: 5",
        "host: x\r\ncontent-length: 2, 2",
        "host: x\r\ncontent-length: +2",
        "host: x\r\ncontent-length: 6\r\ntransfer-encoding: chunked",
        "host: x\r\ntransfer-encoding: chunked\r\ncontent-length: 6",
        "host: x\r\ntransfer-encoding: xchunked",
        "host: x\r\ntransfer-encoding: chunked, identity",
        "host: x\r\ntransfer-encoding: identity",
        "host: x\r\nx-folded: a\r\n b",
        "host: x\r\nx-return: a\rb",
        "host: x\r\nx-zero: a\0b",
        "host : x",
    ] {
        let request = format!("POST /v1/projects HTTP/1.1\r\n{lines}\r\n\r\n{hidden}");
        let answer = send(&api, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{lines:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{lines:?}: {answer}");
    }
}

#[tokio::test]
async fn a_request_has_one_host() {
    let api = Api::start().await;
    for hosts in ["", "host: x\r\nhost: y\r\n"] {
        let request = format!("GET /livez HTTP/1.1\r\nconnection: close\r\n{hosts}\r\n");
        let answer = send(&api, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains(r#""code":"invalid_host""#), "{answer}");
    }
    let answer = send(&api, b"GET /livez HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200 ") || answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_chunk_says_how_long_it_is_in_few_words() {
    let api = Api::start().await;
    let endless = format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "a".repeat(100_000));
    for body in [endless.as_str(), "fffffffffffffffff\r\n{}\r\n0\r\n\r\n", "-2\r\n{}\r\n0\r\n\r\n"] {
        let head = "POST /v1/projects HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = send(&api, format!("{head}{body}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
}

#[tokio::test]
async fn what_is_sent_back_breaks_no_header() {
    let api = Api::start().await;
    for path in [
        "/v1/jobs/%0d%0aset-cookie:%20a=b",
        "/v1/jobs/%00",
        "/%0d%0aset-cookie:%20a=b",
        "/v1/models/%0aset-cookie:",
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-request-id: a%0d%0ab\r\nx-client-request-id: c\r\n\r\n"
        );
        let answer = send(&api, request.as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
        assert!(!head.to_ascii_lowercase().contains("set-cookie"), "{path}: {answer}");
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{path}: {answer}");
    }
    for path in ["/v1/jobs/%c0%ae%c0%ae", "/v1/sessions/%ff", "/v1/models/%c0%af"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = send(&api, request.as_bytes()).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 "),
            "overlong and broken UTF-8 is no text: {path}: {answer}"
        );
    }
}
