//! What api and worker log: lines that belong together, in files that do not grow for ever, with nothing in them that a
//! client may write there.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use drover_tests::chat::{self, Spoken, ask, streaming};
use drover_tests::client::{Answer, Client};
use drover_tests::harness::{Cluster, wait_until};
use drover_tests::upstream::Upstream;
use futures_util::future::join_all;
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test]
async fn the_lines_of_a_job_are_found_by_job_trace_and_request_on_both_sides() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().upstream(&upstream).env("LOG_FORMAT", "json").start().await;
    // The worker has something to say of a call that fails, far from where the attempt began.
    let body = ask("1 times status 529 or say 3 words");
    let request = cluster.client().request(Method::POST, chat::PATH).json(&body);
    let request = request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    let answer = Answer::of(request.header("x-client-request-id", "run 7")).await;
    let said = answer.header("traceresponse").expect("the api's step of the trace").to_owned();
    assert!(said.starts_with(&format!("00-{TRACE}-")) && said.ends_with("-01"), "{said}");
    assert!(!said.contains("00f067aa0ba902b7"), "the step is the api's own: {said}");
    let job = answer.header("x-drover-job-id").expect("a job").to_owned();
    let request = answer.header("x-request-id").expect("a request").to_owned();

    let of_job = wait_until("both have told of the job's end", drover_tests::client::PATIENCE, || {
        let lines = lines(&cluster.logs());
        let of_job: Vec<Value> = lines.into_iter().filter(|line| line["job"] == job.as_str()).collect();
        let is_said = |message: &str| of_job.iter().any(|line| line["message"] == message);
        let all = ["request", "the attempt is over", "a provider did not answer"];
        all.into_iter().all(is_said).then_some(of_job)
    })
    .await;
    for line in &of_job {
        assert_eq!((&line["trace"], &line["request"]), (&json!(TRACE), &json!(request)), "{line}");
        let of_worker = line["target"].as_str().is_some_and(|target| target.starts_with("drover_worker"));
        assert_eq!(line.get("attempt"), of_worker.then_some(&json!(1)), "{line}");
        assert_eq!(line["worker"].is_string(), of_worker, "{line}");
    }
    let of_api = of_job.iter().find(|line| line["message"] == "request").expect("the request's line");
    assert_eq!(of_api["client_request"], "run 7");
    // Nothing of the client's goes up.
    for call in upstream.calls() {
        for name in ["traceparent", "traceresponse", "x-client-request-id", "x-request-id"] {
            assert!(!call.headers.contains_key(name), "{name}");
        }
    }
    // Without a trace, or with one that is malformed, a new one begins.
    for header in [None, Some("00-0-0-00")] {
        let request = cluster.client().request(Method::GET, "/livez");
        let request = header.into_iter().fold(request, |request, value| request.header("traceparent", value));
        let said = Answer::of(request).await.header("traceresponse").expect("a trace").to_owned();
        assert!(said.len() == 55 && !said.contains(TRACE), "{said}");
    }
    let bad = cluster.client().request(Method::GET, "/livez").header("x-client-request-id", "a\tb");
    let refused = Answer::of(bad).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["error"]["param"]),
        (400, &json!("X-Client-Request-Id"))
    );
}

#[tokio::test]
async fn no_client_writes_a_line_of_its_own() {
    for format in ["human", "json"] {
        let builder = Cluster::builder().env("LOG_FORMAT", format).env("LOG_LEVEL", "trace");
        let cluster = builder.start().await;
        inject(&cluster.client()).await;
        let logs = cluster.logs();
        assert!(
            !logs.chars().any(|c| c.is_control() && c != '\n'),
            "{format}: a control character is in {logs}"
        );
        for line in logs.lines().filter(|line| !line.is_empty() && !line.starts_with("--- ")) {
            let is_whole = match format {
                "json" => serde_json::from_str::<Value>(line).is_ok_and(|line| line["timestamp"].is_string()),
                _ => line.starts_with("20") && line.as_bytes().get(10) == Some(&b'T'),
            };
            assert!(is_whole && !line.starts_with("2031"), "{format}: {line}");
        }
        assert!(!logs.contains("forged"), "{format}: what a client has chosen is in {logs}");
    }
}

/// A line, an escape sequence and its 8-bit form wherever a client may put text.
async fn inject(client: &Client) {
    let evil = "x\r\n2031-01-01T00:00:00Z ERROR forged\u{1b}[2J\u{9b}2J\u{202e}";
    let escaped = "x%0d%0a2031-01-01T00:00:00Z%20ERROR%20forged%1b%5b2J%c2%9b";
    for path in
        [format!("/{escaped}"), format!("/v1/models/{escaped}"), format!("/v1/jobs/{escaped}?a={escaped}")]
    {
        assert_eq!(client.get(&path).await.status, 404);
    }
    let method = Method::from_bytes(b"FORGED").expect("a token");
    assert_eq!(Answer::of(client.request(method, "/forged")).await.status, 404);
    for (field, value) in [
        ("model", json!(evil)),
        ("user", json!(evil)),
        ("metadata", json!({"forged": evil})),
        ("session_id", json!(evil)),
        ("forged\n", json!(evil)),
    ] {
        let mut body = ask(&format!("say 1 words {evil}"));
        body[field] = value;
        let answer = client.post(chat::PATH, &body).await;
        assert!(answer.status.as_u16() < 500, "{field}: {}", answer.text());
    }
    for path in ["/v1/sessions", "/v1/projects"] {
        let made =
            client.post(path, &json!({"title": evil, "name": evil, "metadata": {"forged": evil}})).await;
        assert!(made.status.as_u16() < 500, "{path}: {}", made.text());
    }
    for header in
        ["user-agent", "traceparent", "authorization", "x-drover-session-id", "last-event-id", "prefer"]
    {
        // What no header can hold does not come so far.
        let value = b"forged \x1b[2J\x9b2J".iter().filter(|byte| !byte.is_ascii_control()).copied();
        let value = reqwest::header::HeaderValue::from_bytes(&value.collect::<Vec<_>>()).expect("a value");
        let answer = Answer::of(client.request(Method::GET, "/v1/models").header(header, value)).await;
        assert!(answer.status.as_u16() < 500, "{header}: {}", answer.text());
    }
}

#[tokio::test]
async fn files_of_logs_are_put_aside_when_they_are_full_and_the_last_line_is_in_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let logs = dir.path().join("logs");
    let builder = Cluster::builder().workers(2).env("DROVER_LOG_DIR", logs.display().to_string());
    let builder = builder.env("DROVER_LOG_FILE_MB", "1").env("DROVER_LOG_FILES", "2");
    let mut cluster = builder.start().await;
    let client = cluster.client();
    let spoken = Spoken::of(client.stream(chat::PATH, &streaming(ask("hello"))).await).await;
    assert!(!spoken.text().is_empty());
    // As long as a request's line may be made: three files' worth.
    let name = "n".repeat(512);
    join_all((0..8).map(|_| async {
        for _ in 0..600 {
            let request = client.request(Method::GET, "/livez").header("x-client-request-id", &name);
            assert_eq!(Answer::of(request).await.status, 200);
        }
    }))
    .await;
    cluster.api().end(Signal::SIGTERM).await;
    cluster.kill_worker(0, Signal::SIGTERM).await;
    let files = files(&logs);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["drover-api-1.1.log", "drover-api-1.log", "drover-worker-1.log", "drover-worker-2.log"],
        "each process has its own, and the oldest of the api's are gone"
    );
    for (name, text) in &files {
        assert!(text.len() <= 1 << 20, "{name} holds {} bytes", text.len());
        assert!(text.ends_with('\n') && text.starts_with("20"), "{name} holds whole lines");
    }
    assert!(files[1].1.contains("leaving; open answers may finish"), "{}", files[1].1);
    assert!(files[2].1.contains("stopped") || files[3].1.contains("stopped"));
    assert!(!cluster.logs().contains("lines are missing"), "nothing was lost");
}

/// The files of logs by name, each its user's alone.
fn files(dir: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let mode = entry.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
        if !name.starts_with('.') {
            files.push((name, std::fs::read_to_string(entry.path()).expect("text")));
        }
    }
    files.sort();
    files
}

fn lines(logs: &str) -> Vec<Value> {
    let of_logs = logs.lines().filter(|line| !line.is_empty() && !line.starts_with("--- "));
    of_logs.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}
