//! What the processes take that wait.

use super::super::process::{family_cpu_s, footprint};
use super::super::report::{Figure, Section};
use super::super::road;
use crate::harness::ClaudeKind;
use crate::upstream::Upstream;
use std::time::{Duration, Instant};

const FEW: u32 = 1;
const MANY: u32 = 4;
/// A process collects its garbage once, some seconds after its last turn; what it takes from then on counts.
const SETTLING: Duration = Duration::from_secs(15);
const WATCHED: Duration = Duration::from_secs(10);

pub(super) async fn measure() -> Section {
    let (few, many) = (rest(FEW).await, rest(MANY).await);
    Section {
        title: format!("Waiting: a worker with {FEW} spare, then one with {MANY}, shared pages shared out"),
        figures: vec![
            Figure::new("worker and 1 spare", few.memory_mb, "MB"),
            Figure::new("worker and 4 spares", many.memory_mb, "MB"),
            Figure::new(
                "memory per extra spare",
                (many.memory_mb - few.memory_mb) / f64::from(MANY - FEW),
                "MB",
            )
            .at_most(110.0),
            Figure::new("4 spares, share of a core", many.core_percent, "%").at_most(2.0),
        ],
    }
}

struct Rest {
    memory_mb: f64,
    core_percent: f64,
}

/// One after the other, since two clusters would share the CLI's pages with each other.
async fn rest(spares: u32) -> Rest {
    let upstream = Upstream::start();
    let cluster = road::cluster(ClaudeKind::Native, 1, &upstream).env("DROVER_SPARES", spares.to_string());
    let mut cluster = cluster.start().await;
    road::pool(&cluster.client(), "the spares wait", |pool| pool["chat_spares"] == spares).await;
    tokio::time::sleep(SETTLING).await;
    let (began, before) = (Instant::now(), family_cpu_s(&mut cluster).clis_s);
    tokio::time::sleep(WATCHED).await;
    let used = family_cpu_s(&mut cluster).clis_s - before;
    Rest {
        memory_mb: footprint(&mut cluster).fleet,
        core_percent: used / began.elapsed().as_secs_f64() * 100.0,
    }
}
