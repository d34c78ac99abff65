//! Many requests at once, each of which finds a spare.

use super::super::report::{Figure, Section};
use super::super::road::{self, chat, ms};
use super::super::statistics::{as_f64, median};
use super::{PROMPT, refilled};
use crate::client::Client;
use crate::harness::ClaudeKind;
use crate::upstream::Upstream;
use futures_util::future::join_all;
use std::time::Instant;

const AT_ONCE: usize = 8;
const ROUNDS: usize = 4;

pub(super) async fn measure() -> Section {
    let upstream = Upstream::start();
    let many = AT_ONCE.to_string();
    let cluster = road::cluster(ClaudeKind::Native, 1, &upstream).env("DROVER_SLOTS", &many);
    let cluster = cluster.env("DROVER_SPARES", &many).env("DROVER_ISOLATION", "job").start().await;
    let client = cluster.client();
    let (mut road, mut bare) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        refilled(&client, AT_ONCE, AT_ONCE * round).await;
        road.push(all_through_drover(&client).await);
        refilled(&client, AT_ONCE, AT_ONCE * (round + 1)).await;
        bare.push(all_by_hand(&upstream.url()).await);
    }
    let pool = refilled(&client, AT_ONCE, AT_ONCE * ROUNDS).await;
    let cold_starts = pool["cold_starts"].as_u64().and_then(|count| usize::try_from(count).ok());
    Section {
        title: format!("Burst: {AT_ONCE} requests at once, {AT_ONCE} spares, {ROUNDS} times"),
        figures: vec![
            Figure::new("all answers, median", median(&road), "ms")
                .beside("bare, cold", median(&bare))
                .ratio_at_most(0.25),
            Figure::new("cold starts", as_f64(cold_starts.unwrap_or(usize::MAX)), "").at_most(0.0),
        ],
    }
}

/// Milliseconds until the last of the answers is whole.
async fn all_through_drover(client: &Client) -> f64 {
    let began = Instant::now();
    let asked = (0..AT_ONCE).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { road::heard(&client, &chat(PROMPT, true)).await.done })
    });
    last_of(began, join_all(asked).await)
}

async fn all_by_hand(upstream: &str) -> f64 {
    let began = Instant::now();
    let asked = (0..AT_ONCE).map(|_| {
        let url = upstream.to_owned();
        tokio::spawn(async move { road::by_hand(ClaudeKind::Native, &url, PROMPT).await.done })
    });
    last_of(began, join_all(asked).await)
}

fn last_of(began: Instant, done: Vec<Result<Instant, tokio::task::JoinError>>) -> f64 {
    let done = done.into_iter().map(|done| done.expect("the answer is read to its end"));
    ms(began, done.max().expect("some were asked for"))
}
