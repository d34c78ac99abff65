//! Jobs and deltas per second through everything, with the scripted CLI.

use super::database::Raw;
use super::process::memory_mb;
use super::report::{Figure, Section};
use super::road::{self, chat};
use super::statistics::{as_f64, median};
use crate::client::Client;
use crate::harness::{ClaudeKind, Cluster};
use crate::upstream::Upstream;
use futures_util::future::join_all;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::time::{Duration, Instant};

const CLIENTS: usize = 8;
const WORKERS: usize = 2;
const ROUNDS: usize = 3;
const JOBS_PER_CLIENT: usize = 20;
/// How long the database's own rate is taken over.
const RAW: Duration = Duration::from_secs(1);
const WORDS: usize = 2_000;

pub(super) async fn measure() -> Section {
    let upstream = Upstream::start();
    let mut cluster = road::cluster(ClaudeKind::Scripted(None), WORKERS, &upstream).start().await;
    let mut raw = Raw::open().await;
    let [mut jobs, mut enqueues, mut deltas, mut chunks, mut joined] = [const { Vec::new() }; 5];
    jobs_per_s(&cluster.client(), 1).await;
    for _ in 0..ROUNDS {
        upstream.forget();
        enqueues.push(raw.enqueues_per_s(RAW).await);
        jobs.push(jobs_per_s(&cluster.client(), JOBS_PER_CLIENT).await);
        chunks.push(raw.chunks_per_s().await);
        let before = chunk_rows(&cluster).await;
        deltas.push(deltas_per_s(&cluster.client()).await);
        joined.push(as_f64(CLIENTS * WORDS) / (chunk_rows(&cluster).await - before));
    }
    let mut figures = vec![
        Figure::new("jobs", median(&jobs), "/s").beside("raw enqueues", median(&enqueues)),
        Figure::new("deltas at clients", median(&deltas), "/s").beside("raw chunk commits", median(&chunks)),
        Figure::new("deltas per chunk row", median(&joined), ""),
        Figure::new("api, highest memory", memory_mb(cluster.api().pid()).1, "MB"),
    ];
    let highest = cluster.workers().iter().map(|worker| memory_mb(worker.pid()).1).fold(0.0, f64::max);
    figures.push(Figure::new("worker, highest memory", highest, "MB"));
    Section {
        title: format!("Throughput: {CLIENTS} clients, {WORKERS} workers of 4 slots, scripted CLI"),
        figures,
    }
}

/// Tiny answers, each client one after the other.
async fn jobs_per_s(client: &Client, each: usize) -> f64 {
    let started = Instant::now();
    let clients = (0..CLIENTS).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            for _ in 0..each {
                let answer = client.post("/v1/chat/completions", &chat("say 1 words", false)).await;
                assert!(answer.status.is_success(), "a job failed: {}", answer.text());
            }
        })
    });
    join_all(clients).await.into_iter().for_each(|ended| ended.expect("a client gets its answers"));
    as_f64(CLIENTS * each) / started.elapsed().as_secs_f64()
}

/// Long answers, as fast as they come, all at once.
async fn deltas_per_s(client: &Client) -> f64 {
    let prompt = format!("say {WORDS} words");
    let streams = (0..CLIENTS).map(|_| {
        let (client, prompt) = (client.clone(), prompt.clone());
        tokio::spawn(async move { road::through_drover(&client, &prompt).await.words })
    });
    let heard = join_all(streams).await.into_iter();
    let mut words: Vec<Instant> =
        heard.flat_map(|words| words.expect("a stream is read to its end")).collect();
    assert_eq!(words.len(), CLIENTS * WORDS, "words were lost or joined");
    words.sort();
    as_f64(words.len()) / (words[words.len() - 1] - words[0]).as_secs_f64()
}

async fn chunk_rows(cluster: &Cluster) -> f64 {
    let options = SqliteConnectOptions::new().filename(cluster.database()).read_only(true);
    let mut conn = SqliteConnection::connect_with(&options).await.expect("the store can be read");
    let rows: u32 = sqlx::query_scalar("SELECT count(*) FROM chunk")
        .fetch_one(&mut conn)
        .await
        .expect("chunks are counted");
    f64::from(rows)
}
