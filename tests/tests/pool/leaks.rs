//! Nothing is left behind.

use std::path::Path;

use drover_tests::chat::{self, ask, streaming};
use drover_tests::client::{Client, PATIENCE};
use drover_tests::harness::{Cluster, wait_for};
use drover_tests::upstream::{Upstream, words};
use futures_util::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::fleet::{pool, pooled, said};

const JOBS: usize = 200;
const CLIENTS: usize = 8;

#[tokio::test]
async fn after_200_jobs_with_cancels_and_kills_nothing_has_leaked() {
    let upstream = Upstream::start();
    let mut cluster = pooled(&upstream, 4, 2).start().await;
    let worker = cluster.workers()[0].pid();
    let client = cluster.client();
    play(&client, 0..CLIENTS).await;
    let before = open_files(worker);
    let clients = (0..CLIENTS).map(|one| play(&client, (one..JOBS).step_by(CLIENTS)));
    let kills = async {
        for round in 0..10 {
            let kin = cluster.descendants();
            if let Some(process) = kin.get(round % kin.len().max(1)) {
                let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            }
            said(&client, "say 5 words").await;
        }
    };
    tokio::join!(join_all(clients), kills);
    // A supervisor and a CLI each, and a slot. What ended last may be on its way to the shelf, or a zombie between its
    // end and the worker's notice.
    wait_for("what is there is what waits, and no zombie is left", PATIENCE, async || {
        let figures = pool(&client, "the pool is full", |pool| pool["chat_spares"] == 2).await;
        let waiting = figures["kept"].as_u64().unwrap_or_default() + 2;
        let kin = cluster.descendants();
        let is_whole = kin.len() as u64 == 2 * waiting && slots(cluster.dir()).len() as u64 == waiting;
        (is_whole && kin.iter().all(|process| process.state != 'Z')).then_some(())
    })
    .await;
    let after = open_files(worker);
    assert!(after <= before + 64, "{before} files were open, now {after}");

    // What waits goes at once when the worker drains.
    let exit = cluster.kill_worker(0, Signal::SIGTERM).await;
    assert!(exit.success(), "{exit}");
    cluster.wait_until_no_descendants().await;
    assert_eq!(slots(cluster.dir()), Vec::<String>::new());
}

/// Every third job is called off by its client's leaving.
async fn play(client: &Client, jobs: impl Iterator<Item = usize>) {
    for job in jobs {
        if job % 3 == 2 {
            let mut chat = client.stream(chat::PATH, &streaming(ask("say 400 words every 20ms"))).await;
            chat.next().await;
            drop(chat);
            continue;
        }
        // A job whose process was killed after it had spoken fails, with one clear error.
        let answer = client.post(chat::PATH, &ask("say 5 words")).await;
        match answer.status.as_u16() {
            200 => assert_eq!(answer.json()["choices"][0]["message"]["content"], words(5)),
            _ => assert_eq!(answer.json()["error"]["code"], "cli_failed", "{}", answer.text()),
        }
    }
}

fn open_files(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The slots' directories of all workers.
fn slots(cluster: &Path) -> Vec<String> {
    let folders = |path: &Path| -> Vec<_> {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    };
    let workers = folders(&cluster.join("data/slots"));
    workers.iter().flat_map(|worker| folders(worker)).map(|slot| slot.display().to_string()).collect()
}

#[tokio::test]
async fn a_worker_that_is_killed_takes_its_whole_pool_along() {
    let upstream = Upstream::start();
    let mut cluster: Cluster = pooled(&upstream, 2, 2).start().await;
    let client = cluster.client();
    said(&client, "say 1 words").await;
    pool(&client, "the pool is full", |pool| pool["chat_spares"] == 2 && pool["kept"] == 1).await;
    cluster.kill_worker(0, Signal::SIGKILL).await;
    cluster.wait_until_no_descendants().await;
    cluster.add_worker().await;
    assert_eq!(said(&client, "say 2 words").await, words(2));
    let living = slots(cluster.dir());
    assert!(living.len() <= 3 + 2, "the dead worker's slots are wiped: {living:?}");
}
