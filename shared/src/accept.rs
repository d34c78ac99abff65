//! Accepting connections: so many at once, each in a task of its own, all of them ended together.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Pause after a connection could not be accepted, as when the process has no file descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Gives every connection to `converse` until the guard is dropped; connections end with it. No more than `most`
/// are open at once, further ones wait. The token that comes with a connection ends when the connection does.
pub fn serve<F>(
    listener: TcpListener,
    most: usize,
    converse: impl Fn(TcpStream, CancellationToken) -> F + Send + 'static,
) -> DropGuard
where
    F: Future<Output = ()> + Send + 'static,
{
    let open = CancellationToken::new();
    let serving = open.clone();
    tokio::spawn(async move {
        serving.run_until_cancelled(accept_all(listener, most, converse, &serving)).await;
    });
    open.drop_guard()
}

async fn accept_all<F>(
    listener: TcpListener,
    most: usize,
    converse: impl Fn(TcpStream, CancellationToken) -> F,
    open: &CancellationToken,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(most));
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let open = open.child_token();
                let conversation = converse(stream, open.clone());
                tokio::spawn(async move {
                    open.run_until_cancelled(conversation).await;
                    // What was begun for this connection elsewhere ends with it.
                    open.cancel();
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}
