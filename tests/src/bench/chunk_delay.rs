//! Delay of each word while eight answers stream at once.

use super::report::{Figure, Section};
use super::road::{self, Heard, call_for, ms};
use super::statistics::{as_f64, median, quantile};
use crate::harness::ClaudeKind;
use crate::upstream::Upstream;
use futures_util::future::join_all;

const STREAMS: usize = 8;
const WORDS: usize = 40;
const EVERY_MS: usize = 50;
const ROUNDS: usize = 3;
/// Long enough that the last of the CLIs has started before the first of them speaks.
const PAUSE_S: usize = 6;

pub(super) async fn measure() -> Section {
    let upstream = Upstream::start();
    let cluster = road::cluster(ClaudeKind::Native, 2, &upstream).cold().start().await;
    let (mut road, mut bare) = (Delays::default(), Delays::default());
    for _ in 0..ROUNDS {
        let client = cluster.client();
        let streams = (0..STREAMS).map(|stream| {
            let client = client.clone();
            tokio::spawn(async move { road::through_drover(&client, &prompt(stream)).await })
        });
        road.take(join_all(streams).await, &upstream).await;
        cluster.wait_until_no_descendants().await;
        let streams = (0..STREAMS).map(|stream| {
            let url = upstream.url();
            tokio::spawn(async move { road::by_hand(ClaudeKind::Native, &url, &prompt(stream)).await })
        });
        bare.take(join_all(streams).await, &upstream).await;
    }
    let p99 = |delays: &Delays| quantile(&delays.each_ms, 0.99);
    let (median_road, median_bare) = (median(&road.each_ms), median(&bare.each_ms));
    let (p99_road, p99_bare) = (p99(&road), p99(&bare));
    Section {
        title: format!(
            "Chunk delay: {WORDS} words every {EVERY_MS} ms, {STREAMS} streams at once, {ROUNDS} times each"
        ),
        figures: vec![
            Figure::new("delay, median", median_road, "ms").beside("bare", median_bare),
            Figure::new("delay, p99", p99_road, "ms").beside("bare", p99_bare),
            Figure::new("added to the median", median_road - median_bare, "ms").at_most(3.0),
            Figure::new("added to the p99", p99_road - p99_bare, "ms").at_most(20.0),
            Figure::new("chunks per stream", road.words, "").beside("sent", as_f64(WORDS)),
            Figure::new("span of a stream, median", median(&road.spans_ms), "ms")
                .beside("sent", as_f64((WORDS - 1) * EVERY_MS)),
        ],
    }
}

/// A prompt of its own for each stream, so that its call is found; the last wait plays after the last word.
fn prompt(stream: usize) -> String {
    format!("wait {PAUSE_S}s then say {WORDS} words every {EVERY_MS}ms then wait {stream}ms")
}

#[derive(Default)]
struct Delays {
    each_ms: Vec<f64>,
    spans_ms: Vec<f64>,
    /// Fewest words that a stream had.
    words: f64,
}

impl Delays {
    async fn take(&mut self, heard: Vec<Result<Heard, tokio::task::JoinError>>, upstream: &Upstream) {
        for (stream, heard) in heard.into_iter().enumerate() {
            let heard = heard.expect("the stream is read to its end");
            let call = call_for(upstream, &prompt(stream)).await;
            assert_eq!(heard.words.len(), call.deltas_at.len(), "words were lost or joined");
            let count = as_f64(heard.words.len());
            self.words = if self.each_ms.is_empty() { count } else { self.words.min(count) };
            self.spans_ms.push(ms(heard.words[0], heard.words[heard.words.len() - 1]));
            self.each_ms.extend(call.deltas_at.iter().zip(&heard.words).map(|(sent, came)| ms(*sent, *came)));
        }
        upstream.forget();
    }
}
