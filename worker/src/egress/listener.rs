//! Connections of a slot's tools, their limits and their end.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use drover_shared::schema::limits;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::door::{Door, Tunnel};
use super::lively::Lively;

/// Pause after a connection could not be accepted, as when the process has no file descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Serves until the guard is dropped; connections end with it.
pub(super) fn serve(listener: TcpListener, door: Arc<Door>) -> DropGuard {
    let open = CancellationToken::new();
    let serving = open.clone();
    tokio::spawn(async move { serving.run_until_cancelled(accept_all(listener, door, &serving)).await });
    open.drop_guard()
}

async fn accept_all(listener: TcpListener, door: Arc<Door>, open: &CancellationToken) {
    let room = Arc::new(Semaphore::new(limits::EGRESS_CONNECTIONS));
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            Ok((client, _)) => {
                let (door, open) = (Arc::clone(&door), open.child_token());
                tokio::spawn(async move {
                    open.run_until_cancelled(converse(client, door, &open)).await;
                    // What was begun for this connection elsewhere ends with it.
                    open.cancel();
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a slot's proxy cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Serves one connection until it ends or nothing moves on it any more.
async fn converse(client: TcpStream, door: Arc<Door>, open: &CancellationToken) {
    let _ = client.set_nodelay(true);
    let (client, pulse) = Lively::new(client);
    tokio::select! {
        () = serve_one(client, door, open) => {}
        () = pulse.stopped(limits::EGRESS_IDLE) => tracing::debug!("a slot's connection has been idle for too long"),
    }
}

/// Serves one request: what follows it on the connection might belong to another.
async fn serve_one(client: Lively<TcpStream>, door: Arc<Door>, open: &CancellationToken) {
    let tunnel = Mutex::new(None);
    let service = service_fn(async |request| {
        let (answer, wanted) = door.call(request, open.clone()).await;
        *tunnel.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
        Ok::<_, Infallible>(answer)
    });
    let served = http().serve_connection(TokioIo::new(client), service).with_upgrades().await;
    if let Err(error) = served {
        tracing::debug!(%error, "a slot's connection has broken");
    }
    if let Some(tunnel) = tunnel.into_inner().unwrap_or_else(PoisonError::into_inner) {
        carry(tunnel).await;
    }
}

fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits::EGRESS_HEAD)
        .max_headers(limits::EGRESS_HEADERS)
        .max_header_size(limits::EGRESS_HEAD_BYTES)
        .keep_alive(false);
    http
}

/// Carries bytes both ways until both sides have ended theirs.
async fn carry(Tunnel { client, mut server }: Tunnel) {
    let Ok(client) = client.await else { return };
    let size = limits::EGRESS_BUFFER_BYTES;
    // That one of them breaks off is how tunnels end, too.
    let _ = copy_bidirectional_with_sizes(&mut TokioIo::new(client), &mut server, size, size).await;
}
