//! The provider's key is used towards the provider and shows nowhere else; what clients and models say is in
//! the store alone.

use drover_tests::chat::{self, Spoken, ask, streaming};
use drover_tests::harness::{ClaudeKind, Cluster, PROVIDER_KEY};
use drover_tests::upstream::{Upstream, words};
use std::path::{Path, PathBuf};

/// A variable of the workers that no slot has any business with.
const CANARY: &str = "canary-of-the-workers-environment";

#[tokio::test]
async fn the_native_cli_never_sees_the_key() {
    the_key_stays_with_the_worker(ClaudeKind::Native).await;
}

#[tokio::test]
async fn the_javascript_cli_never_sees_the_key() {
    the_key_stays_with_the_worker(ClaudeKind::JavaScript).await;
}

async fn the_key_stays_with_the_worker(kind: ClaudeKind) {
    let upstream = Upstream::start();
    let builder = Cluster::builder().claude(kind).upstream(&upstream).env("SOME_SECRET", CANARY);
    // With all that Drover ever logs, in a file as well.
    let builder = builder.env("LOG_LEVEL", "trace").env("DROVER_LOG_DIR", "logs");
    let cluster = builder.start().await;
    // What the model says is as telling as what it is asked.
    let prompt = "say 40 words every 50ms then say \" xylophone-quartz\"";
    let mut chat = cluster.client().stream(chat::PATH, &streaming(ask(prompt))).await;
    chat.next().await.expect("the model speaks");
    no_process_below_the_worker_holds_a_secret(&cluster);
    let spoken = Spoken::of(chat).await;
    assert_eq!(spoken.text(), words(40) + " xylophone-quartz");
    let keys = upstream.calls().iter().map(|call| call.headers["x-api-key"].clone()).collect::<Vec<_>>();
    assert_eq!(keys, [PROVIDER_KEY]);
    let logs = cluster.logs();
    for secret in [PROVIDER_KEY, CANARY, "xylophone-quartz", "word7", "say 40 words"] {
        assert!(!logs.contains(secret), "{secret} is in a log");
    }
    let logged = files(&cluster.dir().join("logs"));
    assert!(
        logged.iter().filter(|file| file.extension().is_some_and(|it| it == "log")).count() >= 2,
        "{logged:?}"
    );
    for file in logged {
        let bytes = std::fs::read(&file).expect("a log");
        for secret in ["xylophone-quartz", "word7", "say 40 words"] {
            assert!(!holds(&bytes, secret), "{secret} is in {}", file.display());
        }
    }
    let files = files(cluster.dir());
    assert!(files.contains(&cluster.database()), "the database is among {files:?}");
    for file in files {
        let bytes = std::fs::read(&file).unwrap_or_default();
        for secret in [PROVIDER_KEY, CANARY] {
            assert!(!holds(&bytes, secret), "{secret} is in {}", file.display());
        }
    }
    // A provider that repeats the key in an error must not make Drover repeat it.
    let telling = format!("status 400 \"your key {PROVIDER_KEY} is odd\"");
    let answer = cluster.client().post(chat::PATH, &ask(&telling)).await;
    assert_eq!(answer.status, 400);
    assert!(!answer.text().contains(PROVIDER_KEY), "{}", answer.text());
}

fn no_process_below_the_worker_holds_a_secret(cluster: &Cluster) {
    let processes = cluster.descendants();
    assert!(processes.iter().any(|process| process.command.contains("claude")), "{processes:?}");
    for process in processes {
        let read = |what: &str| std::fs::read(format!("/proc/{}/{what}", process.pid)).unwrap_or_default();
        for secret in [PROVIDER_KEY, CANARY] {
            assert!(!holds(&read("environ"), secret), "{secret} is in the environment of {process:?}");
            assert!(!holds(&read("cmdline"), secret), "{secret} is in the command line of {process:?}");
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a directory").flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path()),
            Ok(kind) if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}
