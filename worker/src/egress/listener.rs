//! Connections of a slot's tools, their limits and their end.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use drover_shared::accept;
use drover_shared::schema::limits;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::door::{Door, Tunnel};
use super::lively::Lively;

/// Serves until the guard is dropped; connections end with it.
pub(super) fn serve(listener: TcpListener, door: Arc<Door>) -> DropGuard {
    accept::serve(listener, limits::EGRESS_CONNECTIONS, move |client, open| {
        converse(client, Arc::clone(&door), open)
    })
}

/// Serves one connection until it ends or nothing moves on it any more.
async fn converse(client: TcpStream, door: Arc<Door>, open: CancellationToken) {
    let _ = client.set_nodelay(true);
    let (client, pulse) = Lively::new(client);
    tokio::select! {
        () = serve_one(client, door, &open) => {}
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
