//! `GET /metrics`, on a port of its own.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::DropGuard;

use super::{Kind, Metric, Teller, Values};
use crate::accept;
use crate::schema::limits;

/// Prometheus' text format.
const TEXT_FORMAT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// A port that metrics are to be served at. From its making on the process records what it measures.
pub struct Port {
    listener: TcpListener,
    address: SocketAddr,
    handle: PrometheusHandle,
}

/// Metrics cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Neither HOST:PORT nor HOST:FIRST-LAST.
    #[error("{0:?} is neither HOST:PORT nor HOST:FIRST-LAST")]
    Address(String),
    /// No port of it can be had.
    #[error("cannot serve metrics at {0}")]
    Bind(String, #[source] io::Error),
    /// Something records already.
    #[error("cannot measure")]
    Recorder(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Port {
    /// Takes the first free port of the address, HOST:PORT or HOST:FIRST-LAST, so that processes which share their
    /// settings get one each. To be called once in a process.
    pub async fn open(address: &str, teller: Teller) -> Result<Self, PortError> {
        let listener = bind(address).await?;
        let bound = listener.local_addr().map_err(|error| PortError::Bind(address.to_owned(), error))?;
        tracing::info!("metrics are at http://{bound}/metrics");
        Ok(Self { listener, address: bound, handle: record(&teller.metrics())? })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the guard is dropped. `tell` is waited for before each answer: it brings up to date what is not
    /// counted as it happens.
    pub fn serve<F>(self, tell: impl Fn() -> F + Send + Sync + 'static) -> DropGuard
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let page = Arc::new(Page { handle: self.handle, tell });
        let kept = Arc::clone(&page);
        let guard = accept::serve(self.listener, limits::METRICS_CONNECTIONS, move |stream, _| {
            converse(stream, Arc::clone(&page))
        });
        let open = guard.disarm();
        let upkeep = open.clone();
        tokio::spawn(async move { upkeep.run_until_cancelled(kept.keep_up()).await });
        open.drop_guard()
    }
}

async fn bind(address: &str) -> Result<TcpListener, PortError> {
    let no_address = || PortError::Address(address.to_owned());
    let (host, ports) = address.rsplit_once(':').ok_or_else(no_address)?;
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else { return Err(no_address()) };
    // Whoever writes [::1] means the address in the brackets.
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let mut in_use = None;
    for port in first..=last {
        match TcpListener::bind((host, port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => in_use = Some(error),
            Err(error) => return Err(PortError::Bind(address.to_owned(), error)),
        }
    }
    Err(in_use.map_or_else(no_address, |error| PortError::Bind(address.to_owned(), error)))
}

/// Makes the process's recorder, and describes to it what there is.
fn record(list: &[Metric]) -> Result<PrometheusHandle, PortError> {
    let broken = |error: BuildError| PortError::Recorder(error.into());
    let builder = list.iter().try_fold(PrometheusBuilder::new(), with_buckets).map_err(broken)?;
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| PortError::Recorder(error.to_string().into()))?;
    list.iter().for_each(describe);
    Ok(handle)
}

fn with_buckets(builder: PrometheusBuilder, metric: &Metric) -> Result<PrometheusBuilder, BuildError> {
    match metric.kind {
        Kind::Histogram { buckets } => {
            builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)
        }
        Kind::Counter | Kind::Gauge => Ok(builder),
    }
}

/// Says what it means, and begins the series that are known: one that is not there until it counts 1 hides its first
/// event from rates.
fn describe(metric: &Metric) {
    let (name, meaning) = (metric.name, metric.meaning);
    match metric.kind {
        Kind::Counter => metrics::describe_counter!(name, meaning),
        Kind::Gauge => metrics::describe_gauge!(name, meaning),
        Kind::Histogram { .. } => metrics::describe_histogram!(name, meaning),
    }
    match (metric.kind, metric.labels) {
        (Kind::Counter, []) => metrics::counter!(name).increment(0),
        (Kind::Gauge, []) => metrics::gauge!(name).increment(0.0),
        (Kind::Counter, [label]) => known(label.values, |value| {
            metrics::counter!(name, label.name => value).increment(0);
        }),
        (Kind::Gauge, [label]) => known(label.values, |value| {
            metrics::gauge!(name, label.name => value).increment(0.0);
        }),
        // Of these there are many, and buckets besides.
        _ => {}
    }
}

fn known(values: Values, begin: impl Fn(&'static str)) {
    if let Values::Listed(values) = values {
        for value in values {
            begin(value);
        }
    }
}

struct Page<T> {
    handle: PrometheusHandle,
    tell: T,
}

impl<T, F> Page<T>
where
    T: Fn() -> F,
    F: Future<Output = ()>,
{
    /// Observations wait in memory until they are read; nobody may be reading.
    async fn keep_up(&self) {
        loop {
            tokio::time::sleep(limits::METRICS_UPKEEP).await;
            self.handle.run_upkeep();
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET || request.uri().path() != "/metrics" {
            let mut response = Response::new(Full::from("Metrics are at GET /metrics.\n"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        }
        (self.tell)().await;
        let mut response = Response::new(Full::from(self.handle.render()));
        response.headers_mut().insert(CONTENT_TYPE, TEXT_FORMAT);
        response
    }
}

async fn converse<T, F>(stream: TcpStream, page: Arc<Page<T>>)
where
    T: Fn() -> F,
    F: Future<Output = ()>,
{
    let service = service_fn(async |request| Ok::<_, Infallible>(page.answer(&request).await));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits::REQUEST_HEAD).keep_alive(false);
    // Who does not read is not waited for; that it hangs up is nothing to tell.
    let _ =
        tokio::time::timeout(limits::METRICS_ANSWER, http.serve_connection(TokioIo::new(stream), service))
            .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_a_range_the_first_free_port_is_taken() {
        let first = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = first.local_addr().expect("an address").port();
        // Somebody else may have the next one; one of the ten is free.
        let range = format!("127.0.0.1:{port}-{}", port.saturating_add(10));
        let second = bind(&range).await.expect("another port").local_addr().expect("an address").port();
        assert!(second > port && second <= port.saturating_add(10), "{second}");
        let taken = bind(&format!("127.0.0.1:{port}")).await;
        assert!(matches!(taken, Err(PortError::Bind(..))));
        assert!(bind("[::1]:0").await.is_ok() || bind("127.0.0.1:0").await.is_ok());
    }

    #[tokio::test]
    async fn what_is_no_address_is_refused() {
        for text in
            ["", "9464", "localhost", "127.0.0.1:x", "127.0.0.1:2-", "127.0.0.1:9-8", "127.0.0.1:70000"]
        {
            assert!(matches!(bind(text).await, Err(PortError::Address(_))), "{text}");
        }
    }
}
