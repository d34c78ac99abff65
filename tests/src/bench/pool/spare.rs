//! The first word from a primed spare, of which each serves one job.

use super::super::report::{Figure, Section};
use super::super::road::{self, Heard, call_for, chat_after};
use super::super::times::{Times, added, whole};
use super::{FEW, MANY, PROMPT, refilled};
use crate::client::Client;
use crate::harness::ClaudeKind;
use crate::upstream::Upstream;

const ROUNDS: usize = 15;

pub(super) async fn measure() -> Section {
    let Times4 { few, many, bare, cold } = measure_each().await;
    let (bare_median, few_median) = (whole(&bare, 0.5), whole(&few, 0.5));
    let added = |of| added(&few, &bare, of);
    Section {
        title: format!("Primed spare: `{PROMPT}`, {ROUNDS} in turn with {ROUNDS} bare ones primed by hand"),
        figures: vec![
            Figure::new("first content, 1 prior turn, median", few_median, "ms")
                .beside("bare primed", bare_median)
                .ratio_at_most(1.5),
            Figure::new("first content, 100 prior turns, median", whole(&many, 0.5), "ms")
                .beside("bare primed, 1 turn", bare_median)
                .ratio_at_most(1.5),
            Figure::new("first content, 1 prior turn, p90", whole(&few, 0.9), "ms")
                .beside("bare primed", whole(&bare, 0.9)),
            Figure::new("added by Drover, 1 prior turn", added(|times| times.whole), "ms"),
            Figure::new("  before the provider's call", added(|times| times.before), "ms"),
            Figure::new("  after the provider's first word", added(|times| times.after), "ms"),
            Figure::new("a cold CLI's first content, median", whole(&cold, 0.5), "ms")
                .beside("primed spare", few_median)
                .ratio_at_least(5.0),
        ],
    }
}

/// The four ways to an answer.
#[derive(Default)]
struct Times4 {
    few: Vec<Times>,
    many: Vec<Times>,
    bare: Vec<Times>,
    cold: Vec<Times>,
}

/// By turns, after one round that only warms up. Whatever is measured, nothing else is at work: the next spare
/// is awaited each time, and the CLI that was primed by hand has waited like one.
async fn measure_each() -> Times4 {
    let upstream = Upstream::start();
    let cluster = road::cluster(ClaudeKind::Native, 1, &upstream);
    let cluster = cluster.env("DROVER_SPARES", "1").env("DROVER_ISOLATION", "job").start().await;
    let client = cluster.client();
    let mut all = Times4::default();
    for round in 0..=ROUNDS {
        let mut hand = road::primed_by_hand(ClaudeKind::Native, &upstream.url()).await;
        let few = through_a_spare(&client, FEW, 2 * round, &upstream).await;
        let many = through_a_spare(&client, MANY, 2 * round + 1, &upstream).await;
        refilled(&client, 1, 2 * round + 2).await;
        let bare = times(&upstream, road::turn_by_hand(&mut hand, PROMPT)).await;
        assert!(hand.finish().await.success(), "the CLI did not end well");
        let cold = times(&upstream, road::by_hand(ClaudeKind::Native, &upstream.url(), PROMPT)).await;
        if round > 0 {
            all.few.push(few);
            all.many.push(many);
            all.bare.push(bare);
            all.cold.push(cold);
        }
    }
    all
}

async fn through_a_spare(client: &Client, turns: usize, served: usize, upstream: &Upstream) -> Times {
    refilled(client, 1, served).await;
    times(upstream, road::heard(client, &chat_after(turns, PROMPT))).await
}

/// Hears an answer, and asks the provider when it was called for it.
pub(super) async fn times(upstream: &Upstream, answer: impl Future<Output = Heard>) -> Times {
    upstream.forget();
    let heard = answer.await;
    Times::of(&heard, &call_for(upstream, PROMPT).await)
}
