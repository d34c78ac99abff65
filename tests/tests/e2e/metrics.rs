//! What a worker tells Prometheus.

use std::collections::{BTreeMap, BTreeSet};

use drover_shared::metrics::ALL;
use drover_tests::chat::{self, ask};
use drover_tests::client::{Answer, Client};
use drover_tests::harness::Cluster;
use nix::sys::signal::Signal;
use reqwest::Method;

/// Every metric's name, and what it is said to be.
type Kinds = BTreeMap<String, String>;

#[tokio::test]
async fn a_worker_that_has_run_a_job_tells_every_metric_of_the_list_and_no_other() {
    let cluster = Cluster::builder().env("DROVER_METRICS_ADDRESS", "127.0.0.1:0").start().await;
    let prompt = "a prompt that is nobody's business";
    let answer = cluster.client().post(chat::PATH, &ask(prompt)).await;
    assert_eq!(answer.status, 200);
    let page = Client::new(address(&cluster)).get("/metrics").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")));
    let told = page.text();

    let listed = ALL.map(|metric| (metric.name.to_owned(), metric.kind.as_str().to_owned()));
    assert_eq!(kinds(&told), Kinds::from(listed), "{told}");
    for metric in ALL {
        assert!(told.contains(&format!("# HELP {} {}\n", metric.name, metric.meaning)), "{told}");
    }
    for sample in [
        "drover_worker_slots 4\n",
        "drover_worker_active_jobs ",
        "drover_worker_spares{class=\"agent\"} ",
        "drover_worker_claims_total{from=\"cold\"} ",
        "drover_worker_jobs_ended_total{end=\"completed\"} 1\n",
        "drover_worker_jobs_ended_total{end=\"cli_failed\"} 0\n",
        "drover_worker_first_content_seconds_count{class=\"chat\"} 1\n",
        "drover_worker_job_seconds_count{class=\"chat\"} 1\n",
        "drover_worker_job_seconds_bucket{class=\"chat\",le=\"1800\"} 1\n",
    ] {
        assert!(told.contains(sample), "{sample:?} in {told}");
    }
    let unlisted: Vec<_> =
        labels(&told).difference(&listed_labels()).filter(|it| !of_a_provider(it)).cloned().collect();
    assert!(unlisted.is_empty(), "{unlisted:?}");
    assert!(!told.contains("nobody"), "{told}");
}

#[tokio::test]
async fn metrics_are_served_at_their_path_alone_and_until_the_worker_has_left() {
    let mut cluster = Cluster::builder().env("DROVER_METRICS_ADDRESS", "127.0.0.1:0").start().await;
    let client = Client::new(address(&cluster));
    assert_eq!(client.get("/").await.status, 404);
    assert_eq!(client.get("/metrics").await.status, 200);
    assert!(cluster.kill_worker(0, Signal::SIGTERM).await.success());
    assert!(Answer::try_of(client.request(Method::GET, "/metrics")).await.is_err());
}

/// Where the worker says that its metrics are.
fn address(cluster: &Cluster) -> String {
    let logs = cluster.logs();
    let rest = logs.split_once("metrics are at ").expect("the worker tells where").1;
    rest.split_once("/metrics").expect("a path").0.to_owned()
}

fn kinds(page: &str) -> Kinds {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let kinds: Vec<_> = types.filter_map(|line| line.split_once(' ')).collect();
    kinds.into_iter().map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// Every label that a sample has, with the metric's name; but for `le`, which the format itself adds.
fn labels(page: &str) -> BTreeSet<String> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let labelled = samples.filter_map(|line| line.rsplit_once(' ')?.0.strip_suffix('}')?.split_once('{'));
    let each = labelled.flat_map(|(name, labels)| labels.split(',').map(move |label| (name, label)));
    let own = each.filter(|(_, label)| !label.starts_with("le="));
    own.map(|(name, label)| format!("{} {label}", plain(name))).collect()
}

fn listed_labels() -> BTreeSet<String> {
    let labels = ALL.iter().flat_map(|metric| metric.labels.iter().map(|label| (metric.name, label)));
    let each =
        labels.flat_map(|(name, label)| label.values.iter().map(move |value| (name, label.name, value)));
    each.map(|(name, label, value)| format!("{name} {label}=\"{value}\"")).collect()
}

/// Providers are what the registry says; here there is the demo alone.
fn of_a_provider(label: &str) -> bool {
    label.ends_with(" provider=\"drover-demo\"")
}

/// The metric's name without what a histogram's samples add to it.
fn plain(name: &str) -> &str {
    let added = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix));
    added.unwrap_or(name)
}
