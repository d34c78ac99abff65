//! Uploads end where they have to, and leave nothing.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::within;
use super::*;

/// Puts pieces as they are, without telling how many bytes will come, and reads the answer.
async fn put_pieces(stage: &Stage, pieces: &[&str]) -> String {
    let mut socket = TcpStream::connect(stage.address()).await.expect("a connection");
    let path = format!("/v1/projects/{}/files/a", stage.project);
    let head =
        format!("PUT {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
    socket.write_all(head.as_bytes()).await.expect("sent");
    for piece in pieces {
        let piece = format!("{:x}\r\n{piece}\r\n", piece.len());
        // The answer may come before all is sent.
        let _ = socket.write_all(piece.as_bytes()).await;
    }
    let mut answer = String::new();
    within("an answer", socket.read_to_string(&mut answer)).await.expect("text");
    answer
}

#[tokio::test]
async fn an_upload_past_the_projects_quota_is_refused_before_and_while_it_comes() {
    let stage = Stage::with(|settings| settings.project_bytes = 100_000).await;
    let half = "x".repeat(60_000);
    assert_eq!(stage.put("a", &half).await.status, 201);
    let refusal = stage.refusal(stage.call("PUT", "/b").body(half.as_str())).await;
    assert_eq!(refusal, (413, "project_full".to_owned()));
    let piece = "x".repeat(20_000);
    let answer = put_pieces(&stage, &[&piece, &piece, &piece, ""]).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("project_full"), "{answer}");
    assert_eq!(fs::read_to_string(stage.home().join("a")).expect("kept"), half, "it was not touched");
    assert_eq!(stage.put("c", "small").await.status, 201);
    stage.assert_nothing_is_left();
    assert_eq!(stage.send("DELETE", "/a").await.status, 200);
    assert_eq!(stage.put("b", &half).await.status, 201, "there is room again");
}

#[tokio::test]
async fn many_uploads_at_once_do_not_get_past_the_quota_together() {
    let stage = Stage::with(|settings| settings.project_bytes = 300_000).await;
    let body = "x".repeat(80_000);
    let names: Vec<String> = (0..12).map(|n| format!("f{n}")).collect();
    let puts = names.iter().map(|name| stage.put(name, &body));
    let statuses: Vec<u16> =
        futures_util::future::join_all(puts).await.iter().map(|answer| answer.status.as_u16()).collect();
    assert!(statuses.iter().all(|status| [201, 413].contains(status)), "{statuses:?}");
    let held: u64 = names
        .iter()
        .filter_map(|name| fs::metadata(stage.home().join(name)).ok())
        .map(|file| file.len())
        .sum();
    assert!(held <= 300_000, "{held}");
    stage.assert_nothing_is_left();
}

#[tokio::test]
async fn an_upload_larger_than_any_may_be_is_refused() {
    let stage = Stage::with(|settings| settings.upload_bytes = 10_000).await;
    let refusal = stage.refusal(stage.call("PUT", "/a").body("x".repeat(10_001))).await;
    assert_eq!(refusal, (413, "upload_too_large".to_owned()));
    let piece = "x".repeat(6_000);
    let answer = put_pieces(&stage, &[&piece, &piece, ""]).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("upload_too_large"), "{answer}");
    let answer = put_pieces(&stage, &[&piece, ""]).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    stage.assert_nothing_is_left();
}

#[tokio::test]
async fn an_upload_that_stops_or_breaks_off_leaves_nothing() {
    let stage = Stage::with(|settings| settings.upload_stall = Duration::from_millis(50)).await;
    let answer = put_pieces(&stage, &["begun"]).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"), "{answer}");
    stage.assert_nothing_is_left();

    let mut socket = TcpStream::connect(stage.address()).await.expect("a connection");
    let path = format!("/v1/projects/{}/files/a", stage.project);
    let head = format!("PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf");
    socket.write_all(head.as_bytes()).await.expect("sent");
    drop(socket);
    within("the file is dropped", async {
        let arrivals = stage.root.path().join("projects/.in").join(stage.project.to_string());
        while fs::read_dir(&arrivals).into_iter().flatten().count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(stage.paths("").await.is_empty(), "nobody sees half a file");
}
