//! What api and worker tell of the store, each as it sees it.

use super::measured::VERBS;
use super::{Label, Metric, Values, counter, histogram};

/// The metrics of the store.
pub const ALL: [Metric; 2] = [TIME, ERRORS];

/// How long the store takes.
pub const TIME: Metric = histogram(
    "drover_store_seconds",
    &[0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0],
    "What one call to the store takes, by what is called; told by api and worker.",
    &[Label { name: "verb", values: Values::Listed(VERBS) }],
);
/// What the store could not do.
pub const ERRORS: Metric = counter(
    "drover_store_errors_total",
    "calls",
    "Calls that have failed: the store could not be used, or a row could not be read; told by api and worker.",
    &[Label { name: "kind", values: Values::Listed(&["unavailable", "corrupt"]) }],
);
