//! The first word from a process that has served the key before, and what an answer costs in processor time.

use super::super::process::{ended_children_cpu_s, family_cpu_s};
use super::super::report::{Figure, Section};
use super::super::road::{self, chat_after};
use super::super::statistics::as_f64;
use super::super::times::{Times, added, whole};
use super::spare::times;
use super::{FEW, MANY, PROMPT};
use crate::harness::{ClaudeKind, Cluster};
use crate::upstream::Upstream;
use std::time::Duration;

const ROUNDS: usize = 40;
/// Long enough for a process to end its turn, and far less than a person thinks.
const PAUSE: Duration = Duration::from_millis(100);
const CPU_JOBS: usize = 60;
const COLD_STARTS: usize = 5;

pub(super) async fn measure() -> Section {
    let native = compare(ClaudeKind::Native).await;
    let scripted = compare(ClaudeKind::Scripted(None)).await;
    let cpu = cpu_per_job().await;
    let bare = whole(&native.bare, 0.5);
    let of_native = |of| added(&native.few, &native.bare, of);
    let added = |of| added(&scripted.few, &scripted.bare, of);
    Section {
        title: format!("Kept process: `{PROMPT}`, {ROUNDS} in turn with {ROUNDS} turns of a bare one"),
        figures: vec![
            Figure::new("first content, 1 prior turn, median", whole(&native.few, 0.5), "ms")
                .beside("bare", bare)
                .ratio_at_most(1.5),
            Figure::new("first content, 100 prior turns, median", whole(&native.many, 0.5), "ms")
                .beside("bare, 1 turn", bare)
                .ratio_at_most(1.5),
            Figure::new("first content, 1 prior turn, p90", whole(&native.few, 0.9), "ms")
                .beside("bare", whole(&native.bare, 0.9)),
            Figure::new("added by Drover, 1 prior turn", of_native(|times| times.whole), "ms"),
            Figure::new("  before the provider's call", of_native(|times| times.before), "ms"),
            Figure::new("  after the provider's first word", of_native(|times| times.after), "ms"),
            Figure::new("the same with the scripted CLI", added(|times| times.whole), "ms"),
            Figure::new("  before the provider's call", added(|times| times.before), "ms"),
            Figure::new("  after the provider's first word", added(|times| times.after), "ms"),
            Figure::new("processor time of a job, the CLI's", cpu.cli, "ms")
                .beside("cold start", cpu.cold)
                .ratio_at_most(0.1),
            Figure::new("processor time of a job, api and worker", cpu.drover, "ms")
                .beside("cold start", cpu.cold),
        ],
    }
}

#[derive(Default)]
struct Compared {
    few: Vec<Times>,
    many: Vec<Times>,
    bare: Vec<Times>,
}

/// By turns, after one round that only warms up. Either process plays as many turns as the other, since a turn
/// takes longer the more there were before it.
async fn compare(kind: ClaudeKind) -> Compared {
    let upstream = Upstream::start();
    let cluster = one_kept(kind, &upstream).await;
    let client = cluster.client();
    let mut hand = road::primed_by_hand(kind, &upstream.url()).await;
    let mut all = Compared::default();
    for round in 0..=ROUNDS {
        for (turns, road) in [(FEW, &mut all.few), (MANY, &mut all.many)] {
            let through = times(&upstream, road::heard(&client, &chat_after(turns, PROMPT))).await;
            tokio::time::sleep(PAUSE).await;
            let bare = times(&upstream, road::turn_by_hand(&mut hand, PROMPT)).await;
            tokio::time::sleep(PAUSE).await;
            if round > 0 {
                road.push(through);
                all.bare.push(bare);
            }
        }
    }
    let served = 2 * ROUNDS + 2;
    let figures = road::pool(&client, "all are told of", |pool| pool["kept"] == 1 && claims(pool) == served);
    let figures = figures.await;
    assert_eq!(figures["kept_claims"], served - 1, "a job was not played on the kept process: {figures}");
    all
}

fn claims(pool: &serde_json::Value) -> usize {
    let of =
        |name: &str| pool[name].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default();
    of("kept_claims") + of("spare_claims") + of("cold_starts")
}

/// A cluster whose first job finds a spare, and all others the process that it has left.
async fn one_kept(kind: ClaudeKind, upstream: &Upstream) -> Cluster {
    let cluster = road::cluster(kind, 1, upstream).env("DROVER_SLOTS", "1").env("DROVER_SPARES", "1");
    let cluster = cluster.env("DROVER_ISOLATION", "key").start().await;
    road::pool(&cluster.client(), "a spare waits", |pool| pool["chat_spares"] == 1).await;
    cluster
}

/// Processor time in milliseconds.
struct Cpu {
    cli: f64,
    drover: f64,
    cold: f64,
}

async fn cpu_per_job() -> Cpu {
    let upstream = Upstream::start();
    let mut cluster = one_kept(ClaudeKind::Native, &upstream).await;
    let client = cluster.client();
    // One to have a kept process, and the rest until its successor among the spares is there.
    road::through_drover(&client, PROMPT).await;
    road::pool(&client, "one is kept", |pool| pool["kept"] == 1 && pool["chat_spares"] == 1).await;
    let before = family_cpu_s(&mut cluster);
    for _ in 0..CPU_JOBS {
        road::through_drover(&client, PROMPT).await;
        tokio::time::sleep(PAUSE).await;
    }
    let after = family_cpu_s(&mut cluster);
    let jobs = as_f64(CPU_JOBS);
    drop(cluster);
    let before_cold = ended_children_cpu_s();
    for _ in 0..COLD_STARTS {
        road::by_hand(ClaudeKind::Native, &upstream.url(), PROMPT).await;
    }
    Cpu {
        cli: (after.clis_s - before.clis_s) / jobs * 1e3,
        drover: (after.drover_s - before.drover_s) / jobs * 1e3,
        cold: (ended_children_cpu_s() - before_cold) / as_f64(COLD_STARTS) * 1e3,
    }
}
