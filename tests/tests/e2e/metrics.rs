//! What api and worker tell Prometheus, read by Prometheus' own parser.

use std::collections::{BTreeMap, BTreeSet};

use drover_shared::metrics::{Kind, Metric, Teller, Values};
use drover_tests::chat::{self, Spoken, ask, streaming};
use drover_tests::client::{Answer, Client, PATIENCE};
use drover_tests::foreign::{self, Language};
use drover_tests::harness::{Cluster, Process, wait_for, workspace};
use drover_tests::upstream::Upstream;
use nix::sys::signal::Signal;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

/// What nobody but its client and the model has to know.
const PROMPT: &str = "a prompt that is nobody's business";

#[derive(Clone, Debug, Deserialize)]
struct Sample {
    family: String,
    kind: String,
    help: String,
    series: String,
    labels: BTreeMap<String, String>,
    value: String,
}

#[tokio::test]
async fn a_worker_that_has_run_a_job_tells_every_metric_of_the_list_and_no_other() {
    let mut cluster = Cluster::builder().env("DROVER_METRICS_ADDRESS", "127.0.0.1:0").start().await;
    let answer = cluster.client().post(chat::PATH, &ask(PROMPT)).await;
    assert_eq!(answer.status, 200);
    let url = cluster.workers()[0].metrics();
    let page = Client::new(&url).get("/metrics").await;
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")));

    let samples = read(&url).await;
    check(&samples, Teller::Worker);
    let value = |sample: &str, labels: &[(&str, &str)]| value(&samples, sample, labels);
    assert_eq!(value("drover_worker_slots", &[]), "4.0");
    assert_eq!(value("drover_worker_attempts_total", &[("attempt", "first")]), "1.0");
    assert_eq!(value("drover_worker_attempts_total", &[("attempt", "another")]), "0.0");
    assert_eq!(value("drover_worker_jobs_ended_total", &[("end", "completed")]), "1.0");
    assert_eq!(value("drover_worker_jobs_ended_total", &[("end", "cli_failed")]), "0.0");
    for histogram in ["wait", "first_content", "job"] {
        let count = format!("drover_worker_{histogram}_seconds_count");
        assert_eq!(value(&count, &[("class", "chat")]), "1.0", "{count}");
    }
    for counted in ["drover_worker_events_total", "drover_worker_chunks_total"] {
        assert_ne!(value(counted, &[]), "0.0", "{counted}");
    }
    assert_ne!(value("drover_store_seconds_count", &[("verb", "append")]), "0.0");
}

#[tokio::test]
async fn metrics_are_served_at_their_path_alone_and_until_the_worker_has_left() {
    let mut cluster = Cluster::builder().env("DROVER_METRICS_ADDRESS", "127.0.0.1:0").start().await;
    let client = Client::new(cluster.workers()[0].metrics());
    assert_eq!(client.get("/").await.status, 404);
    assert_eq!(client.get("/metrics").await.status, 200);
    assert!(cluster.kill_worker(0, Signal::SIGTERM).await.success());
    assert!(Answer::try_of(client.request(Method::GET, "/metrics")).await.is_err());
}

#[tokio::test]
async fn an_api_tells_every_metric_of_the_list_and_nothing_that_a_client_has_chosen() {
    let upstream = Upstream::start();
    let builder = Cluster::builder().upstream(&upstream);
    let mut cluster = builder.env("DROVER_API_METRICS_ADDRESS", "127.0.0.1:0").start().await;
    let client = cluster.client();
    let url = cluster.api().metrics();
    assert_eq!(client.post(chat::PATH, &ask(PROMPT)).await.status, 200);
    let spoken = Spoken::of(client.stream(chat::PATH, &streaming(ask(PROMPT))).await).await;
    assert!(!spoken.text().is_empty());
    let mut later = ask(PROMPT);
    later["background"] = json!(true);
    let job = client.post(chat::PATH, &later).await;
    assert_eq!(job.status, 202);
    hostile(&client).await;
    let open = client.stream(chat::PATH, &streaming(ask("say 5 words then wait 60s"))).await;

    let running = wait_for("the api tells of the stream and its job", PATIENCE, async || {
        let samples = read(&url).await;
        let told = |sample: &str, labels: &[(&str, &str)]| value(&samples, sample, labels) == "1.0";
        let is_there = told("drover_api_streams", &[("over", "sse")]) && told("drover_api_readers", &[]);
        (is_there && told("drover_api_running_jobs", &[])).then_some(samples)
    })
    .await;
    check(&running, Teller::Api);
    let value = |sample: &str, labels: &[(&str, &str)]| value(&running, sample, labels);
    for (delivery, jobs) in [("whole", "1.0"), ("stream", "2.0"), ("background", "1.0")] {
        assert_eq!(value("drover_api_jobs_enqueued_total", &[("delivery", delivery)]), jobs, "{delivery}");
    }
    assert_eq!(value("drover_api_first_content_seconds_count", &[("delivery", "whole")]), "1.0");
    assert_eq!(value("drover_api_workers", &[]), "1.0");
    assert_eq!(value("drover_api_queued_jobs", &[]), "0.0");
    assert_ne!(value("drover_api_events_total", &[]), "0.0");
    assert_ne!(value("drover_api_refusals_total", &[("why", "not_found")]), "0.0");
    assert_eq!(value("drover_api_refusals_total", &[("why", "queue_full")]), "0.0");
    let of_chat = [("route", chat::PATH), ("method", "POST"), ("status", "2xx")];
    assert_eq!(value("drover_api_requests_total", &of_chat), "4.0");
    assert_ne!(value("drover_store_seconds_count", &[("verb", "enqueue")]), "0.0");

    drop(open);
    wait_for("the stream is gone, and its job called off", PATIENCE, async || {
        let samples = read(&url).await;
        let told = |sample: &str, labels: &[(&str, &str)], value: &str| {
            self::value(&samples, sample, labels) == value
        };
        (told("drover_api_streams", &[("over", "sse")], "0.0")
            && told("drover_api_called_off_total", &[], "1.0"))
        .then_some(())
    })
    .await;
}

#[tokio::test]
async fn processes_that_share_their_settings_share_a_range_of_ports() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let first = taken.local_addr().expect("an address").port();
    let range = format!("127.0.0.1:{first}-{}", first.saturating_add(20));
    let builder = Cluster::builder().workers(2).env("DROVER_API_METRICS_ADDRESS", &range);
    let mut cluster = builder.env("DROVER_METRICS_ADDRESS", range).start().await;
    let mut urls = BTreeSet::from([cluster.api().metrics()]);
    urls.extend(cluster.workers().iter().map(Process::metrics));
    assert_eq!(urls.len(), 3, "{urls:?}");
    for url in urls {
        assert_eq!(Client::new(url).get("/metrics").await.status, 200);
    }
}

/// What a client may send in order to be told apart.
async fn hostile(client: &Client) {
    let evil = "evil%22%7D%0Adrover_api_workers%2099";
    for path in [format!("/{evil}"), format!("/v1/jobs/{evil}"), format!("/v1/models/{evil}/{evil}")] {
        assert_eq!(client.get(&path).await.status, 404, "{path}");
    }
    let method = Method::from_bytes(b"EVIL").expect("a token");
    assert_eq!(Answer::of(client.request(method, "/v1/models")).await.status, 405);
    let mut body = ask(PROMPT);
    body["model"] = json!("evil\"}\ndrover_api_workers 99");
    assert!(client.post(chat::PATH, &body).await.status.is_client_error());
}

/// The page, as Prometheus understands it.
async fn read(url: &str) -> Vec<Sample> {
    let page = format!("{url}/metrics");
    let told = foreign::run(Language::Python, &foreign::script("prometheus.py"), &[("METRICS", &page)]).await;
    assert!(!told.contains("nobody") && !told.contains("evil") && !told.contains("EVIL"), "{told}");
    told.lines().map(|line| serde_json::from_str(line).expect("a sample")).collect()
}

/// The value of one series; nothing if it is not there.
fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> String {
    let labels: BTreeMap<String, String> =
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let of_it = |sample: &&Sample| sample.series == name && sample.labels == labels;
    samples.iter().find(of_it).map(|sample| sample.value.clone()).unwrap_or_default()
}

/// Holds the page against the list: every metric and no other, of its kind, with its meaning, and with no label but
/// those of the list.
fn check(samples: &[Sample], teller: Teller) {
    let listed: BTreeMap<String, Metric> =
        teller.metrics().into_iter().map(|metric| (family(&metric).to_owned(), metric)).collect();
    let told: BTreeSet<&String> = samples.iter().map(|sample| &sample.family).collect();
    assert_eq!(told, listed.keys().collect::<BTreeSet<_>>());
    let routes = routes();
    for sample in samples {
        let metric = &listed[&sample.family];
        assert_eq!((sample.kind.as_str(), sample.help.as_str()), (metric.kind.as_str(), metric.meaning));
        for (name, value) in &sample.labels {
            if name == "le" && matches!(metric.kind, Kind::Histogram { .. }) {
                continue;
            }
            let label = metric.labels.iter().find(|label| label.name == name);
            let is_listed = match label.unwrap_or_else(|| panic!("{sample:?}")).values {
                Values::Listed(values) => values.contains(&value.as_str()),
                Values::Providers => value == "drover-demo",
                Values::Routes => value == "other" || routes.contains(value),
            };
            assert!(is_listed, "{sample:?}");
        }
        assert!(metric.labels.iter().all(|label| sample.labels.contains_key(label.name)), "{sample:?}");
    }
}

/// What Prometheus calls it: the family of a counter is without the suffix of its samples.
fn family(metric: &Metric) -> &'static str {
    metric.name.strip_suffix("_total").unwrap_or(metric.name)
}

/// Every pattern that stands in the list of routes.
fn routes() -> BTreeSet<String> {
    let source = std::fs::read_to_string(workspace().join("api/src/router.rs")).expect("the list of routes");
    source.split('"').filter(|text| text.starts_with('/')).map(str::to_owned).collect()
}
