//! Plain HTTP through the proxy.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Sends a request's lines (the credentials are added) and gives back what the server got and what the client
/// was answered.
async fn exchange(lines: &str, body: &str, answer: &str) -> (String, String) {
    let (listener, port) = server(PUBLIC).await;
    let egress = egress(port);
    let lines = lines.replace("SERVER", &format!("{HOST}:{port}"));
    let mut client = send(&egress, &format!("{lines}{}\r\n{body}", credentials(&egress))).await;
    let serving = async {
        let mut server = listener.accept().await.expect("a connection").0;
        let head = head(&mut server).await;
        let length = if body.is_empty() { 0 } else { body.find("GET /smuggled").unwrap_or(body.len()) };
        let mut sent = vec![0; length];
        server.read_exact(&mut sent).await.expect("the body");
        server.write_all(answer.as_bytes()).await.expect("the answer is sent");
        // What else comes on the connection until the proxy ends it.
        head + &String::from_utf8(sent).expect("text") + &rest(&mut server).await
    };
    let (got, answered) = soon(async { tokio::join!(serving, rest(&mut client)) }).await;
    (got.replace(&format!(":{port}"), ""), answered)
}

#[tokio::test]
async fn a_request_goes_on_without_what_concerns_the_proxy_alone() {
    let (got, answer) = exchange(
        "POST http://SERVER/path?query=1 HTTP/1.1\r\nHost: elsewhere.example\r\nX-Own: kept\r\n\
         Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\n\
         Upgrade: websocket\r\nContent-Length: 5\r\n",
        "hello",
        "HTTP/1.1 201 Created\r\nConnection: close, X-Back\r\nX-Back: 1\r\nKeep-Alive: 5\r\n\
         Proxy-Authenticate: Basic\r\nX-Own: kept\r\nContent-Length: 4\r\n\r\nbody",
    )
    .await;
    let mut lines: Vec<&str> = got.lines().collect();
    lines[1..].sort_unstable();
    let expected = [
        "POST /path?query=1 HTTP/1.1",
        "",
        "content-length: 5",
        "hello",
        "host: allowed.example",
        "x-own: kept",
    ];
    assert_eq!(lines, expected);
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n") && answer.ends_with("\r\n\r\nbody"), "{answer}");
    let answer = answer.to_lowercase();
    assert!(answer.contains("x-own: kept"), "{answer}");
    for hop in ["x-back", "keep-alive", "proxy-authenticate"] {
        assert!(!answer.contains(hop), "{hop} in {answer}");
    }
}

#[tokio::test]
async fn two_lengths_become_one_and_what_follows_a_request_goes_nowhere() {
    for lines in [
        "POST http://SERVER/ HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "POST http://SERVER/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    ] {
        let body = "5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n";
        let (got, answer) = exchange(lines, body, "HTTP/1.1 204 No Content\r\n\r\n").await;
        let got = got.to_lowercase();
        assert!(got.contains("transfer-encoding: chunked") && !got.contains("content-length"), "{got}");
        assert!(got.ends_with("5\r\nhello\r\n0\r\n\r\n"), "{got}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
}

#[tokio::test]
async fn a_connection_serves_one_request() {
    let (listener, port) = server(PUBLIC).await;
    let egress = egress(port);
    let request = format!("GET http://{HOST}:{port}/ HTTP/1.1\r\n{}\r\n", credentials(&egress));
    let mut client = send(&egress, &request.repeat(2)).await;
    let mut server = soon(listener.accept()).await.expect("a connection").0;
    soon(head(&mut server)).await;
    server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.expect("it is sent");
    let answer = rest(&mut client).await;
    assert!(answer.to_lowercase().contains("connection: close") && answer.ends_with("hi"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert_eq!(rest(&mut server).await, "");
}

#[tokio::test]
async fn an_answer_without_a_body_keeps_the_length_it_tells_of() {
    for (line, status) in [("HEAD", "200 OK"), ("GET", "304 Not Modified")] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 123\r\nETag: \"x\"\r\n\r\n");
        let (_, answer) = exchange(&format!("{line} http://SERVER/ HTTP/1.1\r\n"), "", &answer).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        assert!(answer.contains("etag: \"x\"") && answer.ends_with("\r\n\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn an_answer_streams() {
    let (listener, port) = server(PUBLIC).await;
    let egress = egress(port);
    let mut client = get(&egress, &format!("http://{HOST}:{port}/")).await;
    let mut server = soon(listener.accept()).await.expect("a connection").0;
    soon(head(&mut server)).await;
    let begin = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    server.write_all(begin.as_bytes()).await.expect("it is sent");
    soon(head(&mut client)).await;
    let mut first = [0; 10];
    soon(client.read_exact(&mut first)).await.expect("the first chunk");
    assert_eq!(&first, b"5\r\nfirst\r\n");
    server.write_all(b"0\r\n\r\n").await.expect("it is sent");
    assert_eq!(rest(&mut client).await, "0\r\n\r\n");
}

#[tokio::test]
async fn a_server_that_breaks_off_or_switches_is_told_of() {
    for answer in ["", "nonsense\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n"] {
        let (listener, port) = server(PUBLIC).await;
        let egress = egress(port);
        let mut client = get(&egress, &format!("http://{HOST}:{port}/")).await;
        let mut server = soon(listener.accept()).await.expect("a connection").0;
        soon(head(&mut server)).await;
        server.write_all(answer.as_bytes()).await.expect("it is sent");
        drop(server);
        let told = rest(&mut client).await;
        assert!(told.starts_with("HTTP/1.1 502 ") && told.contains("broke off"), "{answer}: {told}");
    }
}

#[tokio::test]
async fn dropping_the_proxy_ends_a_request_that_waits_for_its_server() {
    let (listener, port) = server(PUBLIC).await;
    let egress = egress(port);
    let mut client = get(&egress, &format!("http://{HOST}:{port}/")).await;
    let mut server = soon(listener.accept()).await.expect("a connection").0;
    soon(head(&mut server)).await;
    drop(egress);
    assert!(soon(client.read_u8()).await.is_err());
    assert!(soon(server.read_u8()).await.is_err());
}

#[tokio::test]
async fn a_client_that_has_gone_ends_the_request_at_the_server() {
    let (listener, port) = server(PUBLIC).await;
    let egress = egress(port);
    let client = get(&egress, &format!("http://{HOST}:{port}/")).await;
    let mut server = soon(listener.accept()).await.expect("a connection").0;
    soon(head(&mut server)).await;
    drop(client);
    assert!(soon(server.read_u8()).await.is_err());
}

#[tokio::test]
async fn a_usual_client_finds_its_way_by_the_proxys_address() {
    let (listener, port) = server(PUBLIC).await;
    let egress = egress(port);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let proxy = reqwest::Proxy::http(egress.proxy_url().expose()).expect("a proxy's address");
    let client = reqwest::Client::builder().proxy(proxy).build().expect("a client");
    let serving = async {
        let mut server = listener.accept().await.expect("a connection").0;
        head(&mut server).await;
        server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.expect("it is sent");
    };
    let asking = async {
        let answer = client.get(format!("http://{HOST}:{port}/")).send().await.expect("an answer");
        answer.text().await.expect("text")
    };
    let ((), text) = soon(async { tokio::join!(serving, asking) }).await;
    assert_eq!(text, "hi");
}
