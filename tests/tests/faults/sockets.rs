//! Jobs that are told over one WebSocket after another, while apis and workers are killed at random.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drover_tests::chat::ask;
use drover_tests::client::PATIENCE;
use drover_tests::dice::Dice;
use drover_tests::harness::{Cluster, wait_until};
use drover_tests::upstream::Upstream;
use drover_tests::websocket::Socket;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::jobs::{assert_one_story, events};

const STREAMS: usize = 50;
const API_DEATHS: u64 = 40;
/// Twenty workers die: one before every second api.
const APIS_PER_WORKER: u64 = 2;
/// Events that are told between two deaths, so that there is something to be lost.
const PACE: u64 = 25;

/// What all streams see of the play.
struct Play {
    /// The apis' addresses as they are now.
    apis: Mutex<[String; 2]>,
    told: AtomicU64,
    drops: AtomicU64,
    over: AtomicBool,
}

/// A job and its events, as one client was told them over all of its connections.
struct Followed {
    job: String,
    events: Vec<Value>,
}

impl Play {
    /// A WebSocket at any api that lives.
    async fn connect(&self, dice: &mut Dice) -> Socket {
        loop {
            let address = dice.one_of(&*self.apis.lock().expect("nobody panics with it")).clone();
            match Socket::open(&address).await {
                Ok(socket) => return socket,
                // Another is being started in its place.
                Err(_dead) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// Submits a job and follows it to its end, over as many connections as it takes.
    async fn follow(&self, dice: &mut Dice) -> Followed {
        let job = self.submit(dice).await;
        let mut events = Vec::new();
        while !self.listen(dice, &job, &mut events).await {
            self.drops.fetch_add(1, Ordering::Relaxed);
        }
        Followed { job, events }
    }

    /// Follows a job over one connection; answers whether that told its end.
    async fn listen(&self, dice: &mut Dice, job: &str, events: &mut Vec<Value>) -> bool {
        let mut socket = self.connect(dice).await;
        let request = json!({"type": "job.subscribe", "job": job, "after": events.len()});
        if socket.say(&request).await.is_err() {
            return false;
        }
        while let Some(frame) = socket.hear().await {
            match frame["type"].as_str() {
                Some("job.subscribed") => {}
                Some("job.event") => {
                    let seq = frame["event"]["seq"].as_u64();
                    assert_eq!(seq, Some(events.len() as u64 + 1), "missed or told again: {frame}");
                    events.push(frame["event"].clone());
                    self.told.fetch_add(1, Ordering::Relaxed);
                }
                Some("job.ended") => return true,
                _ => panic!("{frame}"),
            }
        }
        false
    }

    /// A job that its client knows of. One whose answer was lost runs on, and nobody follows it.
    async fn submit(&self, dice: &mut Dice) -> String {
        let prompt = format!("say {} words every 50ms", 5 + dice.below(56));
        loop {
            let mut socket = self.connect(dice).await;
            let request = json!({"type": "job.submit", "id": "s", "request": ask(&prompt)});
            if socket.say(&request).await.is_ok()
                && let Some(frame) = socket.hear().await
            {
                assert_eq!((&frame["type"], &frame["id"]), (&json!("job.submitted"), &json!("s")), "{frame}");
                return frame["job"]["id"].as_str().expect("an identifier").to_owned();
            }
        }
    }
}

/// Follows one job after another until the play is over.
async fn stream(play: Arc<Play>, mut dice: Dice) -> Vec<Followed> {
    let mut followed = Vec::new();
    while followed.is_empty() || !play.over.load(Ordering::Relaxed) {
        followed.push(play.follow(&mut dice).await);
    }
    followed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_streams_miss_and_repeat_nothing_while_apis_and_workers_die() {
    let mut dice = Dice::new(1);
    let upstream = Upstream::start();
    let builder = Cluster::builder().workers(2).env("DROVER_SLOTS", "8").upstream(&upstream);
    let mut cluster = builder.start().await;
    cluster.add_api().await;
    let apis = Mutex::new([cluster.address(0).to_owned(), cluster.address(1).to_owned()]);
    let (told, drops, over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let play = Arc::new(Play { apis, told, drops, over });
    let streams: Vec<_> =
        (0..STREAMS).map(|_| tokio::spawn(stream(Arc::clone(&play), dice.split()))).collect();

    let mut alive = vec![0, 1];
    for death in 0..API_DEATHS {
        let before = play.told.load(Ordering::Relaxed);
        wait_until("more events are told", 2 * PATIENCE, || {
            (play.told.load(Ordering::Relaxed) >= before + PACE).then_some(())
        })
        .await;
        if death % APIS_PER_WORKER == 0 {
            let killed = *dice.one_of(&alive);
            alive.retain(|worker| *worker != killed);
            cluster.kill_worker(killed, Signal::SIGKILL).await;
            cluster.add_worker().await;
            alive.push(cluster.workers().len() - 1);
        }
        let replaced: usize = *dice.one_of(&[0, 1]);
        cluster.replace_api(replaced).await;
        play.apis.lock().expect("nobody panics with it")[replaced] = cluster.address(replaced).to_owned();
    }
    play.over.store(true, Ordering::Relaxed);

    let client = cluster.client();
    let mut jobs = BTreeSet::new();
    let mut completed = 0;
    for stream in streams {
        let followed = tokio::time::timeout(4 * PATIENCE, stream).await.expect("every job ends");
        for Followed { job, events: told } in followed.expect("a stream") {
            assert_one_story(&told);
            completed += usize::from(told.last().is_some_and(|event| event["type"] == "completed"));
            assert_eq!(events(&client, &job, 0).await, told, "what was told is what is kept of {job}");
            assert!(jobs.insert(job), "a job is submitted once");
        }
    }
    assert!(completed > STREAMS && completed < jobs.len(), "{completed} of {} completed", jobs.len());
    assert!(play.drops.load(Ordering::Relaxed) >= API_DEATHS, "streams were cut");
}
