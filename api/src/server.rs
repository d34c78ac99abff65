//! Sockets: accepting, limits on slow heads, and leaving in two stages.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use drover_shared::schema::limits;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Layer as _;

use crate::app::App;
use crate::router::router;
use crate::socket::Line;

/// Pause after a failed accept: out of file descriptors, most likely, which does not pass at once.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Accepts until the api is told to leave, then lets open answers finish within their grace, then cuts
/// what is left. Returns when no connection is open.
pub(crate) async fn run(listener: TcpListener, app: Arc<App>, cut: CancellationToken) {
    let connections = TaskTracker::new();
    let server = Server { http: http(&app), router: router(&app), leave: app.shutdown.clone(), cut };
    app.shutdown.run_until_cancelled(server.accept(&listener, &connections)).await;
    drop(listener);
    connections.close();
    tracing::info!(connections = connections.len(), "leaving; open answers may finish");
    if tokio::time::timeout(app.settings.shutdown_grace, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "cutting answers that took too long to finish");
        server.cut.cancel();
        connections.wait().await;
    }
}

fn http(app: &App) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(app.settings.head_timeout)
        .max_headers(limits::REQUEST_HEADERS)
        .max_header_size(limits::REQUEST_HEAD_BYTES);
    http
}

/// Frames are small and are not to wait for each other; and a client that has vanished without a word
/// has left, too.
fn prepare(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    let probes = TcpKeepalive::new().with_time(limits::PEER_PROBE).with_interval(limits::PEER_PROBE);
    socket.set_tcp_keepalive(&probes)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(limits::PEER_SILENCE))?;
    Ok(())
}

struct Server {
    http: http1::Builder,
    router: Router,
    leave: CancellationToken,
    cut: CancellationToken,
}

impl Server {
    async fn accept(&self, listener: &TcpListener, connections: &TaskTracker) -> Infallible {
        let places = Arc::new(Semaphore::new(limits::CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                // The semaphore is never closed.
                std::future::pending().await
            };
            match listener.accept().await {
                Ok((socket, _)) => {
                    let line = Line::new(place, connections.token(), self.cut.clone());
                    tokio::spawn(self.connection(socket, Arc::new(line)));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn connection(&self, socket: TcpStream, line: Arc<Line>) -> impl Future<Output = ()> + Send + 'static {
        if let Err(error) = prepare(&socket) {
            tracing::debug!(%error, "a socket's options could not be set");
        }
        let service = Extension(Arc::clone(&line)).layer(self.router.clone());
        let service = TowerToHyperService::new(service);
        let connection = self.http.serve_connection(TokioIo::new(socket), service).with_upgrades();
        let (leave, cut) = (self.leave.clone(), self.cut.clone());
        async move {
            let _line = line;
            let mut connection = pin!(connection);
            let served = async {
                tokio::select! {
                    served = connection.as_mut() => return served,
                    () = leave.cancelled() => connection.as_mut().graceful_shutdown(),
                }
                connection.await
            };
            if let Some(Err(error)) = cut.run_until_cancelled(served).await {
                tracing::debug!(%error, "a connection has broken");
            }
        }
    }
}
