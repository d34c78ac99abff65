//! What sockets take that are subscribed to jobs of which there is nothing to tell.

use super::process::{cpu_s, memory_mb};
use super::report::{Figure, Section};
use super::road;
use super::statistics::as_f64;
use crate::client::Client;
use crate::harness::{ClaudeKind, Cluster};
use crate::upstream::Upstream;
use crate::websocket::Socket;
use futures_util::stream::{self, StreamExt as _};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use std::time::{Duration, Instant, SystemTime};
use tokio::task::JoinSet;

const SOCKETS: usize = 5_000;
/// How long the api is watched, with sockets and without. Two rounds of pings lie in it.
const WATCHED: Duration = Duration::from_secs(50);
/// Until whatever comes of opening them is over: readers ask less and less often whether their jobs still live.
const SETTLED: Duration = Duration::from_mins(1);
/// Begun at the same time.
const AT_ONCE: usize = 32;

/// Many subscribers of one job, and as many of a job each.
pub(super) async fn measure() -> Section {
    allow_descriptors();
    let mut figures = Vec::new();
    for (jobs, what) in [(1, "one job"), (SOCKETS, "a job each")] {
        figures.extend(subscribed(jobs, what).await);
    }
    Section { title: format!("{SOCKETS} idle WebSockets, over {} s", WATCHED.as_secs()), figures }
}

async fn subscribed(jobs: usize, what: &str) -> [Figure; 2] {
    let upstream = Upstream::start();
    let builder = road::cluster(ClaudeKind::Scripted(None), 1, &upstream).cold();
    let mut cluster = builder.env("DROVER_MAX_QUEUED", "20000").start().await;
    road::through_drover(&cluster.client(), "say 20 words").await;
    let jobs = submitted(&cluster.client(), jobs).await;
    cluster.wait_until_no_descendants().await;
    let bare = share(&mut cluster).await;
    let before_mb = memory_mb(cluster.api().pid()).0;
    let address = cluster.address(0).to_owned();
    let mut clients = JoinSet::new();
    let opening = stream::iter((0..SOCKETS).map(|at| open(&address, &jobs[at % jobs.len()])));
    let mut opened = opening.buffer_unordered(AT_ONCE);
    while let Some(socket) = opened.next().await {
        clients.spawn(listen(socket));
    }
    tokio::time::sleep(SETTLED).await;
    let with_sockets = share(&mut cluster).await;
    assert_eq!((clients.len(), clients.try_join_next().is_none()), (SOCKETS, true), "all are still there");
    let each_kb = (memory_mb(cluster.api().pid()).0 - before_mb) * 1024.0 / as_f64(SOCKETS);
    [
        Figure::new(format!("{what}, memory of each"), each_kb, "kB").at_most(20.0),
        Figure::new(format!("{what}, share of a core"), with_sockets, "%")
            .beside("without sockets", bare)
            .at_most(2.0),
    ]
}

/// The api's share of a core.
async fn share(cluster: &mut Cluster) -> f64 {
    let pid = cluster.api().pid();
    let (started, before) = (Instant::now(), cpu_s(pid));
    tokio::time::sleep(WATCHED).await;
    (cpu_s(pid) - before) / started.elapsed().as_secs_f64() * 100.0
}

/// Jobs that are to be run much later, so that the worker has nothing to do.
async fn submitted(client: &Client, count: usize) -> Vec<String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let mut body = road::chat("say 1 words", false);
    body["background"] = true.into();
    body["run_at"] = (now.as_secs() + 3_600).into();
    let body = &body;
    let submit = async move || {
        let answer = client.post("/v1/chat/completions", body).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.header("x-drover-job-id").expect("a job").to_owned()
    };
    stream::iter((0..count).map(|_| submit())).buffer_unordered(AT_ONCE).collect().await
}

async fn open(address: &str, job: &str) -> Socket {
    let mut socket = Socket::open(address).await.expect("the api listens");
    socket.say(&json!({"type": "job.subscribe", "job": job})).await.expect("sent");
    let answer = socket.hear().await.expect("an answer");
    assert_eq!(answer["type"], "job.subscribed", "{answer}");
    socket
}

/// Answers pings, as every library does, for as long as nothing else comes.
async fn listen(mut socket: Socket) {
    panic!("nothing was to come: {:?}", socket.hear().await);
}

/// As many as both sides need; the api has what its parent has.
fn allow_descriptors() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most.min(65_536), most).expect("it may be raised up to there");
}
