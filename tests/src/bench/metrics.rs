//! What a scrape of `/metrics` takes, of an api and of a worker, while hundreds of jobs run and while none does.

use super::report::{Figure, Section};
use super::road::{self, ms};
use super::statistics::{median, quantile};
use crate::client::Client;
use crate::harness::{ClaudeKind, Cluster, wait_for};
use crate::upstream::Upstream;
use drover_shared::schema::limits;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Jobs that run at once, all on one worker.
const RUNNING: usize = 500;
/// The model says a word and then nothing until all is measured.
const PROMPT: &str = "say 1 words then wait 3600s";
const SCRAPES: usize = 20;
/// Processes are started one for each job, a few at a time.
const PATIENCE: Duration = Duration::from_mins(5);

pub(super) async fn measure() -> Section {
    let upstream = Upstream::start();
    let builder = road::cluster(ClaudeKind::Scripted(None), 1, &upstream).cold();
    let builder =
        builder.env("DROVER_SLOTS", RUNNING.to_string()).env("DROVER_METRICS_ADDRESS", "127.0.0.1:0");
    let mut cluster = builder.env("DROVER_API_METRICS_ADDRESS", "127.0.0.1:0").start().await;
    // What is counted by route or provider is there once it has counted something.
    road::through_drover(&cluster.client(), "say 1 words").await;
    let idle = scrapes(&mut cluster).await;
    run(&cluster.client()).await;
    let busy = scrapes(&mut cluster).await;
    let mut figures = Vec::new();
    for (who, busy, idle) in [("api", busy.api_ms, idle.api_ms), ("worker", busy.worker_ms, idle.worker_ms)] {
        let scrape =
            Figure::new(format!("{who}, {RUNNING} jobs run: median"), median(&busy), "ms").at_most(20.0);
        figures.push(scrape.beside("while none runs", median(&idle)));
        let slowest = Figure::new(format!("{who}, {RUNNING} jobs run: slowest"), quantile(&busy, 1.0), "ms");
        figures.push(slowest.beside("while none runs", quantile(&idle, 1.0)));
    }
    Section { title: format!("Scrapes of /metrics: {SCRAPES} each, 1 worker, scripted CLI"), figures }
}

/// Begins all jobs, and waits until the worker runs them.
async fn run(client: &Client) {
    let mut body = road::chat(PROMPT, false);
    body["background"] = json!(true);
    let asked = (0..RUNNING).map(|_| client.post("/v1/chat/completions", &body));
    for answer in join_all(asked).await {
        assert_eq!(answer.status, 202, "a job was refused: {}", answer.text());
    }
    wait_for("all jobs run", PATIENCE, async || {
        let health: Value = client.get("/health").await.json();
        (health["active_sessions"] == RUNNING && health["queue"]["running"] == RUNNING).then_some(())
    })
    .await;
}

struct Scrapes {
    api_ms: Vec<f64>,
    worker_ms: Vec<f64>,
}

/// As far apart as it takes for the api to ask the store each time, as it does for a Prometheus that comes once in a while.
async fn scrapes(cluster: &mut Cluster) -> Scrapes {
    let api = Client::new(cluster.api().metrics());
    let worker = Client::new(cluster.workers()[0].metrics());
    let mut taken = Scrapes { api_ms: Vec::new(), worker_ms: Vec::new() };
    for _ in 0..SCRAPES {
        tokio::time::sleep(limits::FLEET_FRESH).await;
        taken.api_ms.push(scrape_ms(&api, "drover_api_running_jobs").await);
        taken.worker_ms.push(scrape_ms(&worker, "drover_worker_active_jobs").await);
    }
    taken
}

async fn scrape_ms(client: &Client, told: &str) -> f64 {
    let asked = Instant::now();
    let page = client.get("/metrics").await;
    let took = ms(asked, Instant::now());
    assert!(page.status.is_success() && page.text().contains(told), "no page: {}", page.text());
    took
}
