//! Where the time to the first word goes.

use super::road::{Heard, ms};
use super::statistics::{median, quantile};
use crate::upstream::Call;

/// Of one answer, all in milliseconds.
pub(super) struct Times {
    /// From the request, or the start of the CLI, to the first word.
    pub(super) whole: f64,
    /// From there to the provider's seeing a call.
    pub(super) before: f64,
    /// From the provider's first word to its arrival.
    pub(super) after: f64,
}

impl Times {
    pub(super) fn of(heard: &Heard, call: &Call) -> Self {
        let sent = call.deltas_at[0];
        Self {
            whole: ms(heard.asked, heard.words[0]),
            before: ms(heard.asked, call.started),
            after: ms(sent, heard.words[0]),
        }
    }
}

/// The time below which this share of all first words came.
pub(super) fn whole(times: &[Times], share: f64) -> f64 {
    quantile(&column(times, |times| times.whole), share)
}

/// By how much the road's median is above the bare one's.
pub(super) fn added(road: &[Times], bare: &[Times], of: fn(&Times) -> f64) -> f64 {
    median(&column(road, of)) - median(&column(bare, of))
}

fn column(times: &[Times], of: fn(&Times) -> f64) -> Vec<f64> {
    times.iter().map(of).collect()
}
