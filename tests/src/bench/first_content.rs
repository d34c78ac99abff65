//! Time to the first word where a process is started for each request, one after the other.

use super::report::{Figure, Section};
use super::road::{self, call_for};
use super::times::{Times, added, whole};
use crate::harness::ClaudeKind;
use crate::upstream::Upstream;

const PROMPT: &str = "say 20 words";
const NATIVE_ROUNDS: usize = 15;
/// More, as they are short.
const SCRIPTED_ROUNDS: usize = 40;

pub(super) async fn measure() -> Section {
    let native = compare(ClaudeKind::Native, NATIVE_ROUNDS).await;
    let scripted = compare(ClaudeKind::Scripted(None), SCRIPTED_ROUNDS).await;
    let added = |of| added(&scripted.road, &scripted.bare, of);
    Section {
        title: format!("First content: `{PROMPT}`, cold, {NATIVE_ROUNDS} in turn with {NATIVE_ROUNDS} bare"),
        figures: vec![
            Figure::new("real CLI, first content, median", whole(&native.road, 0.5), "ms")
                .beside("bare", whole(&native.bare, 0.5))
                .ratio_at_most(1.25),
            Figure::new("real CLI, first content, p90", whole(&native.road, 0.9), "ms")
                .beside("bare", whole(&native.bare, 0.9)),
            Figure::new("scripted CLI, first content, median", whole(&scripted.road, 0.5), "ms")
                .beside("bare", whole(&scripted.bare, 0.5)),
            Figure::new("added by Drover (scripted less bare)", added(|times| times.whole), "ms")
                .at_most(15.0),
            Figure::new("  before the provider's call", added(|times| times.before), "ms"),
            Figure::new("  after the provider's first word", added(|times| times.after), "ms"),
        ],
    }
}

struct Compared {
    road: Vec<Times>,
    bare: Vec<Times>,
}

/// By turns, after one round that only warms up.
async fn compare(kind: ClaudeKind, rounds: usize) -> Compared {
    let upstream = Upstream::start();
    let cluster = road::cluster(kind, 1, &upstream).cold().start().await;
    let client = cluster.client();
    let mut compared = Compared { road: Vec::new(), bare: Vec::new() };
    for round in 0..=rounds {
        upstream.forget();
        let heard = road::through_drover(&client, PROMPT).await;
        let through = Times::of(&heard, &call_for(&upstream, PROMPT).await);
        // Its end is not to slow the next start.
        cluster.wait_until_no_descendants().await;
        upstream.forget();
        let heard = road::by_hand(kind, &upstream.url(), PROMPT).await;
        let bare = Times::of(&heard, &call_for(&upstream, PROMPT).await);
        if round > 0 {
            compared.road.push(through);
            compared.bare.push(bare);
        }
    }
    compared
}
