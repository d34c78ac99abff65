//! A worker's files and memory over many turns. What comes of hundreds is looked at by hand.

use drover_tests::client::PATIENCE;
use drover_tests::desk::Desk;
use drover_tests::harness::wait_for;
use drover_tests::upstream::Upstream;

use crate::chaos::number;
use crate::sessions::{builder, run};

#[tokio::test]
async fn a_worker_holds_no_more_after_many_turns_than_after_a_few() {
    let upstream = Upstream::start();
    let mut cluster = builder(&upstream).start().await;
    let (worker, desk) = (cluster.workers()[0].pid(), Desk::of(&cluster).await);
    let project = desk.project().await;
    let turns = number("DROVER_CHAOS_TURNS", 30);
    let mut before = (0, 0);
    let mut session = desk.session(project).await;
    for turn in 0..turns {
        // What a session remembers grows with it, so each is left after a while. Every other has a proxy of its
        // own, and each puts the last one's process away.
        if turn % 10 == 0 {
            session = desk.session(project).await;
            session.network =
                if turn % 20 == 0 { vec!["listed.invalid".parse().expect("a rule")] } else { Vec::new() };
        }
        let said = format!("turn {turn}");
        assert_eq!(desk.said(&session, &run("echo x >> lines", &said)).await, said);
        upstream.forget();
        if turn == 9 {
            before = holdings(worker);
        }
    }
    // The spare that replaces one may be starting just now.
    wait_for("no more files are open", PATIENCE, async || (holdings(worker).0 <= before.0 + 2).then_some(()))
        .await;
    let (_, after_kb) = holdings(worker);
    assert!(after_kb <= before.1 + 16 * 1024, "{} kB, then {after_kb} kB", before.1);
}

/// Open files, and memory that did not come from a file.
fn holdings(pid: i32) -> (usize, u64) {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.split_whitespace().next());
    (files, memory.and_then(|kb| kb.parse().ok()).unwrap_or_default())
}
