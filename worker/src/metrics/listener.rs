//! `GET /metrics`.

use std::convert::Infallible;
use std::sync::Arc;

use drover_shared::schema::limits;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::DropGuard;

use crate::accept;

/// Prometheus' text format.
const TEXT_FORMAT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Serves until the guard is dropped. `tell` is called before each answer, to bring up to date what is not
/// counted as it happens.
pub(super) fn serve(
    listener: TcpListener,
    handle: PrometheusHandle,
    tell: impl Fn() + Send + Sync + 'static,
) -> DropGuard {
    let page = Arc::new(Page { handle, tell });
    let kept = Arc::clone(&page);
    let guard = accept::serve(listener, limits::METRICS_CONNECTIONS, move |stream, _| {
        converse(stream, Arc::clone(&page))
    });
    let open = guard.disarm();
    let upkeep = open.clone();
    tokio::spawn(async move { upkeep.run_until_cancelled(kept.keep_up()).await });
    open.drop_guard()
}

struct Page<T> {
    handle: PrometheusHandle,
    tell: T,
}

impl<T: Fn()> Page<T> {
    /// Observations wait in memory until they are read; nobody may be reading.
    async fn keep_up(&self) {
        loop {
            tokio::time::sleep(limits::METRICS_UPKEEP).await;
            self.handle.run_upkeep();
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET || request.uri().path() != "/metrics" {
            let mut response = Response::new(Full::from("Metrics are at GET /metrics.\n"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        }
        (self.tell)();
        let mut response = Response::new(Full::from(self.handle.render()));
        response.headers_mut().insert(CONTENT_TYPE, TEXT_FORMAT);
        response
    }
}

async fn converse<T: Fn()>(stream: TcpStream, page: Arc<Page<T>>) {
    let service = service_fn(async |request| Ok::<_, Infallible>(page.answer(&request)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits::REQUEST_HEAD).keep_alive(false);
    // Who does not read is not waited for; that it hangs up is nothing to tell.
    let _ =
        tokio::time::timeout(limits::METRICS_ANSWER, http.serve_connection(TokioIo::new(stream), service))
            .await;
}
