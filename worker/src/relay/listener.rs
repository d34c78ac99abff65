//! Accepts the CLI's connections and serves HTTP/1 on them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use drover_shared::schema::limits;
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::door::Door;
use super::peers::Peers;

/// Pause after a connection could not be accepted, as when the process has no file descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// A socket that waits for the CLI.
pub(super) enum Listener {
    Unix(UnixListener, Peers),
    Loopback(TcpListener),
}

trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

impl Listener {
    /// Serves until the guard is dropped; connections end with it.
    pub(super) fn serve(self, door: Arc<Door>) -> DropGuard {
        let open = CancellationToken::new();
        let serving = open.clone();
        tokio::spawn(async move { serving.run_until_cancelled(self.accept_all(door, &serving)).await });
        open.drop_guard()
    }

    async fn accept_all(self, door: Arc<Door>, open: &CancellationToken) {
        let room = Arc::new(Semaphore::new(limits::RELAY_CONNECTIONS));
        while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
            match self.accept().await {
                Ok((pipe, admitted)) => {
                    let (door, open) = (Arc::clone(&door), open.clone());
                    tokio::spawn(async move {
                        let conversation = async {
                            if admitted.await {
                                converse(pipe, door).await;
                            }
                        };
                        open.run_until_cancelled(conversation).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a relay cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// A connection, and whether it is heard.
    async fn accept(&self) -> io::Result<(Box<dyn Pipe>, BoxFuture<'static, bool>)> {
        match self {
            Self::Unix(listener, peers) => {
                let stream = listener.accept().await?.0;
                let admitted = peers.admit(stream.peer_cred()?);
                Ok((Box::new(stream), admitted.boxed()))
            }
            Self::Loopback(listener) => {
                let stream = listener.accept().await?.0;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), future::ready(true).boxed()))
            }
        }
    }
}

async fn converse(pipe: Box<dyn Pipe>, door: Arc<Door>) {
    let service = service_fn(|request| door.call(request));
    // That the CLI hangs up, or is hung up on, is how calls end here; there is nothing to tell.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(pipe), service).await;
}
