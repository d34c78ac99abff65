//! What the proxy does not let through.

use super::*;

/// 127.0.0.1, and other addresses, as somebody might spell them.
const ADDRESSES: [&str; 12] = [
    "127.0.0.1",
    "127.1",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "127.0.0.1.",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "169.254.169.254",
];

#[tokio::test]
async fn a_host_that_is_not_listed_is_refused_by_name_and_not_even_resolved() {
    let network = OneHost::answering(&[&[PUBLIC]]);
    let egress = egress_of(443, Arc::clone(&network));
    let answer = rest(&mut connect(&egress, "other.example:443").await).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains("other.example at port 443 is not among the hosts"), "{answer}");
    let answer = rest(&mut get(&egress, "http://other.example/").await).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains("other.example at port 80 is not among the hosts"), "{answer}");
    let answer = rest(&mut connect(&egress, &format!("{HOST}:22")).await).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert_eq!(network.asked(), 0);
}

#[tokio::test]
async fn an_address_is_refused_however_it_is_spelt() {
    let (_public, port, private) = server_beside_forbidden().await;
    let egress = egress(port);
    for address in ADDRESSES {
        for mut client in [
            connect(&egress, &format!("{address}:{port}")).await,
            get(&egress, &format!("http://{address}:{port}/")).await,
        ] {
            let answer = rest(&mut client).await;
            assert!(answer.starts_with("HTTP/1.1 403 "), "{address}: {answer}");
            assert!(answer.contains("an address is not allowed"), "{address}: {answer}");
        }
    }
    assert!(!was_reached(&private));
}

#[tokio::test]
async fn nobody_comes_in_without_the_slots_token() {
    let network = OneHost::answering(&[&[PUBLIC]]);
    let egress = egress_of(443, Arc::clone(&network));
    let own = credentials(&egress);
    let other = credentials(&super::egress(443));
    let bearer = own.replace("Basic", "Bearer");
    let short = format!("{}\r\n", &own[..own.len() - 4]);
    for header in ["", "Proxy-Authorization: Basic\r\n", &other, &bearer, &short, &own.replace("Proxy-", "")]
    {
        for line in [format!("CONNECT {HOST}:443"), format!("GET http://{HOST}:443/")] {
            let mut client = send(&egress, &format!("{line} HTTP/1.1\r\n{header}\r\n")).await;
            let answer = rest(&mut client).await;
            assert!(answer.starts_with("HTTP/1.1 407 "), "{header}{line}: {answer}");
            assert!(answer.to_lowercase().contains("proxy-authenticate: basic"), "{answer}");
        }
    }
    assert_eq!(network.asked(), 0);
}

#[tokio::test]
async fn a_name_is_resolved_once_and_what_it_resolves_to_is_checked_each_time() {
    let (listener, port, private) = server_beside_forbidden().await;
    let network = OneHost::answering(&[&[PUBLIC], &[PRIVATE]]);
    let egress = egress_of(port, Arc::clone(&network));
    let _client = tunnel(&egress, port).await;
    soon(listener.accept()).await.expect("a connection");
    assert_eq!(network.asked(), 1);
    let answer = rest(&mut connect(&egress, &format!("{HOST}:{port}")).await).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains("leads to no address that may be reached"), "{answer}");
    assert!(!was_reached(&private));
}

#[tokio::test]
async fn among_the_addresses_of_a_host_the_private_ones_are_left_out() {
    let (listener, port, private) = server_beside_forbidden().await;
    let others = ["10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1", "64:ff9b::7f00:1"];
    let mut addresses: Vec<IpAddr> = others.iter().map(|text| text.parse().expect("an address")).collect();
    addresses.extend([PRIVATE, PUBLIC]);
    let egress = egress_of(port, OneHost::answering(&[&addresses]));
    let _client = tunnel(&egress, port).await;
    soon(listener.accept()).await.expect("a connection");
    assert!(!was_reached(&private));
}

#[tokio::test]
async fn a_host_that_is_unknown_or_does_not_answer_is_told_of() {
    let (listener, port) = server(PUBLIC).await;
    drop(listener);
    let answer = rest(&mut connect(&egress(port), &format!("{HOST}:{port}")).await).await;
    assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains("does not answer"), "{answer}");
    let unknown = egress_of(port, OneHost::answering(&[&[]]));
    let answer = rest(&mut connect(&unknown, &format!("{HOST}:{port}")).await).await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("does not resolve"), "{answer}");
}

#[tokio::test]
async fn what_is_no_proxy_request_is_refused() {
    let egress = egress(80);
    let credentials = credentials(&egress);
    for line in ["GET /", "OPTIONS *", &format!("GET https://{HOST}:80/"), &format!("GET ftp://{HOST}:80/")] {
        let mut client =
            send(&egress, &format!("{line} HTTP/1.1\r\nHost: {HOST}\r\n{credentials}\r\n")).await;
        let answer = rest(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{line}: {answer}");
    }
    let answer = rest(&mut get(&egress, &format!("http://user:pass@{HOST}/")).await).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(!answer.contains("pass"), "{answer}");
}
