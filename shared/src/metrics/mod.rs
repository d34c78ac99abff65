//! What api and worker tell of themselves to Prometheus: one list of names, units and meanings, and the port that it is
//! told at. Without a port nothing is recorded, and measuring costs next to nothing.

pub mod api;
mod measured;
mod port;
pub mod store;
pub mod worker;

pub use self::measured::Measured;
pub use self::port::{Port, PortError};

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name on the wire.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What its number counts.
    pub unit: &'static str,
    /// What it tells.
    pub meaning: &'static str,
    /// What it is told apart by. Every combination of their values is a series of its own.
    pub labels: &'static [Label],
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only rises, from 0 when the process starts.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Observations, counted by size.
    Histogram {
        /// The sizes that they are counted up to.
        buckets: &'static [f64],
    },
}

impl Kind {
    /// The name in documents and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram { .. } => "histogram",
        }
    }
}

/// What series of one metric are told apart by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it may say. Never what a client has chosen.
    pub values: Values,
}

/// All that a label may say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values {
    /// These.
    Listed(&'static [&'static str]),
    /// The ids of the providers of the registry.
    Providers,
    /// The patterns of the api's routes, and `other` for what matches none.
    Routes,
}

/// Which process tells a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teller {
    /// Each api.
    Api,
    /// Each worker.
    Worker,
}

impl Teller {
    /// All that it tells, in the order of the documents.
    pub fn metrics(self) -> Vec<Metric> {
        let own: &[Metric] = match self {
            Self::Api => &api::ALL,
            Self::Worker => &worker::ALL,
        };
        own.iter().chain(&store::ALL).copied().collect()
    }
}

/// Every metric, in the order of the documents.
pub fn all() -> impl Iterator<Item = Metric> {
    api::ALL.into_iter().chain(worker::ALL).chain(store::ALL)
}

const fn gauge(
    name: &'static str,
    unit: &'static str,
    meaning: &'static str,
    labels: &'static [Label],
) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, meaning, labels }
}

const fn counter(
    name: &'static str,
    unit: &'static str,
    meaning: &'static str,
    labels: &'static [Label],
) -> Metric {
    Metric { name, kind: Kind::Counter, unit, meaning, labels }
}

const fn histogram(
    name: &'static str,
    buckets: &'static [f64],
    meaning: &'static str,
    labels: &'static [Label],
) -> Metric {
    Metric { name, kind: Kind::Histogram { buckets }, unit: "seconds", meaning, labels }
}

/// The list as a Markdown table.
pub fn markdown() -> String {
    let rows = all().map(|metric| {
        let Metric { name, kind, unit, meaning, labels } = metric;
        let labels: Vec<String> = labels.iter().map(|label| format!("`{}`", label.name)).collect();
        format!("| `{name}` | {} | {unit} | {} | {meaning} |\n", kind.as_str(), labels.join(", "))
    });
    format!("| name | kind | unit | labels | meaning |\n|---|---|---|---|---|\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_they_name() {
        for (list, prefix) in [
            (&api::ALL[..], "drover_api_"),
            (&worker::ALL[..], "drover_worker_"),
            (&store::ALL[..], "drover_store_"),
        ] {
            for metric in list {
                assert!(metric.name.starts_with(prefix), "{}", metric.name);
                assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
                assert_eq!(metric.name.ends_with("_seconds"), metric.unit == "seconds", "{}", metric.name);
            }
        }
    }

    #[test]
    fn buckets_rise_and_values_differ() {
        for metric in all() {
            if let Kind::Histogram { buckets } = metric.kind {
                assert!(buckets.is_sorted_by(|one, next| one < next), "{}", metric.name);
            }
            for label in metric.labels {
                if let Values::Listed(values) = label.values {
                    let mut distinct = values.to_vec();
                    distinct.sort_unstable();
                    distinct.dedup();
                    assert_eq!(distinct.len(), values.len(), "{} {}", metric.name, label.name);
                }
            }
        }
    }
}
