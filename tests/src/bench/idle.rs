//! What an api and a worker take that have nothing to do.

use super::process::{cpu_s, memory_mb};
use super::report::{Figure, Section};
use super::road;
use crate::harness::ClaudeKind;
use crate::upstream::Upstream;
use std::time::{Duration, Instant};

const WATCHED: Duration = Duration::from_secs(10);

pub(super) async fn measure() -> Section {
    let upstream = Upstream::start();
    let mut cluster = road::cluster(ClaudeKind::Scripted(None), 1, &upstream).cold().start().await;
    road::through_drover(&cluster.client(), "say 20 words").await;
    cluster.wait_until_no_descendants().await;
    let pids = [("api", cluster.api().pid()), ("worker", cluster.workers()[0].pid())];
    let (started, before) = (Instant::now(), pids.map(|(_, pid)| cpu_s(pid)));
    tokio::time::sleep(WATCHED).await;
    let watched_s = started.elapsed().as_secs_f64();
    let figures = pids.iter().zip(before).flat_map(|((name, pid), before)| {
        let share = (cpu_s(*pid) - before) / watched_s * 100.0;
        [
            Figure::new(format!("{name}, resident memory"), memory_mb(*pid).0, "MB").at_most(40.0),
            Figure::new(format!("{name}, share of a core"), share, "%").at_most(1.0),
        ]
    });
    Section { title: format!("Idle, over {watched_s:.0} s"), figures: figures.collect() }
}
