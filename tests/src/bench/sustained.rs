//! Short jobs without a pause, through the real CLI, with the settings that a worker has by default; and the
//! same for so long that whatever grows is seen to grow.

use super::process::{Footprint, family_cpu_s, footprint};
use super::report::{Figure, Section};
use super::road::{self, chat, ms};
use super::statistics::{as_f64, quantile};
use crate::client::Client;
use crate::harness::{ClaudeKind, Cluster};
use crate::upstream::Upstream;
use futures_util::future::join_all;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const CLIENTS: usize = 8;
const PROMPT: &str = "say 1 words";
const SPELL: Duration = Duration::from_secs(15);
/// What comes before, so that processes are kept and connections open.
const WARM_UP: Duration = Duration::from_secs(3);
/// Jobs after which the provider's record is cut back.
const FORGET_EVERY: usize = 100;
const SOAK_STRETCHES: usize = 10;
const SOAK_STRETCH_JOBS: usize = 1_000;

/// One section for each number of workers.
pub(super) async fn measure() -> Vec<Section> {
    vec![spell(1).await, spell(2).await]
}

async fn spell(workers: usize) -> Section {
    let upstream = Upstream::start();
    let mut cluster = filled(workers, &upstream).await;
    let client = cluster.client();
    let start = footprint(&mut cluster);
    let until = |spell| move |_, elapsed| elapsed < spell;
    run(&client, &upstream, until(WARM_UP)).await;
    let cpu = family_cpu_s(&mut cluster);
    let first = run(&client, &upstream, until(SPELL / 2)).await;
    let middle = footprint(&mut cluster);
    let second = run(&client, &upstream, until(SPELL / 2)).await;
    let (used, end) = (family_cpu_s(&mut cluster), footprint(&mut cluster));
    let jobs = as_f64(first.each_ms.len() + second.each_ms.len());
    let each_ms = [first.each_ms, second.each_ms].concat();
    let mut figures = vec![
        Figure::new("jobs", jobs / (first.seconds + second.seconds), "/s").at_least(40.0),
        Figure::new("a job, median", quantile(&each_ms, 0.5), "ms"),
        Figure::new("a job, p99", quantile(&each_ms, 0.99), "ms"),
        Figure::new("processor time of a job, CLIs", (used.clis_s - cpu.clis_s) / jobs * 1e3, "ms"),
        Figure::new(
            "processor time of a job, api and workers",
            (used.drover_s - cpu.drover_s) / jobs * 1e3,
            "ms",
        ),
    ];
    for (when, taken) in [("at the start", start), ("in the middle", middle), ("at the end", end)] {
        figures.extend(memory(when, taken));
    }
    Section {
        title: format!(
            "Sustained: `{PROMPT}` for {} s, {CLIENTS} clients, {workers} worker(s) as by default",
            SPELL.as_secs()
        ),
        figures,
    }
}

/// Memory after every so many jobs. It has to stay where it was once the first of them are done.
pub(super) async fn soak() -> Section {
    let upstream = Upstream::start();
    let mut cluster = filled(1, &upstream).await;
    let client = cluster.client();
    let (mut figures, mut taken) = (Vec::new(), Vec::new());
    for stretch in 1..=SOAK_STRETCHES {
        let ran = run(&client, &upstream, |begun, _| begun < SOAK_STRETCH_JOBS).await;
        let jobs = stretch * SOAK_STRETCH_JOBS;
        let now = footprint(&mut cluster);
        figures.push(Figure::new(
            format!("jobs, up to {jobs}"),
            as_f64(ran.each_ms.len()) / ran.seconds,
            "/s",
        ));
        figures.extend(memory(&format!("after {jobs} jobs"), now));
        taken.push(now);
    }
    let (first, second) = taken.split_at(SOAK_STRETCHES / 2);
    for (what, of) in [
        ("workers and CLIs", (|taken| taken.fleet) as fn(&Footprint) -> f64),
        ("workers alone", |taken| taken.workers),
        ("api", |taken| taken.api),
    ] {
        let mean = |half: &[Footprint]| half.iter().map(of).sum::<f64>() / as_f64(half.len());
        let figure = Figure::new(format!("{what}, mean of the second half"), mean(second), "MB");
        figures.push(figure.beside("of the first half", mean(first)).ratio_at_most(1.1));
    }
    let jobs = SOAK_STRETCHES * SOAK_STRETCH_JOBS;
    Section { title: format!("Soak: {jobs} jobs, {CLIENTS} clients, 1 worker as by default"), figures }
}

fn memory(when: &str, taken: Footprint) -> [Figure; 3] {
    [
        Figure::new(format!("{when}, workers and CLIs"), taken.fleet, "MB"),
        Figure::new(format!("{when}, workers alone"), taken.workers, "MB"),
        Figure::new(format!("{when}, api"), taken.api, "MB"),
    ]
}

/// A cluster with its default settings, all of whose spares wait.
async fn filled(workers: usize, upstream: &Upstream) -> Cluster {
    let cluster = road::cluster(ClaudeKind::Native, workers, upstream).start().await;
    let full = 4 * workers;
    road::pool(&cluster.client(), "all spares wait", |pool| pool["chat_spares"] == full).await;
    cluster
}

struct Ran {
    seconds: f64,
    each_ms: Vec<f64>,
}

/// Each client asks one thing after the other while `more`, given the number of jobs that were begun and the
/// time, says so.
async fn run(client: &Client, upstream: &Upstream, more: impl Fn(usize, Duration) -> bool) -> Ran {
    let (started, begun) = (Instant::now(), AtomicUsize::new(0));
    let clients = (0..CLIENTS).map(async |_| {
        let mut each_ms = Vec::new();
        loop {
            let jobs = begun.fetch_add(1, Ordering::Relaxed);
            if !more(jobs, started.elapsed()) {
                return each_ms;
            }
            if jobs % FORGET_EVERY == 0 {
                upstream.forget();
            }
            let asked = Instant::now();
            let answer = client.post("/v1/chat/completions", &chat(PROMPT, false)).await;
            assert!(answer.status.is_success(), "a job failed: {}", answer.text());
            each_ms.push(ms(asked, Instant::now()));
        }
    });
    let each_ms = join_all(clients).await.concat();
    Ran { seconds: started.elapsed().as_secs_f64(), each_ms }
}
