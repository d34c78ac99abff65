//! One WebSocket from its beginning to its end: one task, which reads requests, does them one after another, and tells
//! what its subscriptions have to tell.

use std::sync::Arc;

use axum::body::Bytes;
use drover_shared::dialect::Rejection;
use drover_shared::schema::limits;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::close::Ending;
use super::holder::Holder;
use super::request::{self, Asked};
use super::subscriptions::Subscriptions;
use super::{frame, work};
use crate::app::App;
use crate::error::Problem;

pub(super) struct Talk {
    app: Arc<App>,
    holder: Holder,
    socket: WebSocketStream<TcpStream>,
    subscriptions: Subscriptions,
    /// When the client is next asked whether it is still there.
    ping_at: Instant,
    /// How often it was asked since it was last heard.
    unanswered: u32,
}

/// The connection below, as it is once HTTP is through with it.
pub(super) fn connection(upgraded: hyper::upgrade::Upgraded) -> Option<(TcpStream, Bytes)> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(limits::SOCKET_READ_BYTES)
        .write_buffer_size(limits::SOCKET_WRITE_BYTES)
        .max_message_size(Some(limits::SOCKET_MESSAGE_BYTES))
        .max_frame_size(Some(limits::SOCKET_MESSAGE_BYTES))
}

impl Talk {
    /// `read` is what has come already.
    pub(super) async fn new(app: Arc<App>, holder: Holder, connection: TcpStream, read: &[u8]) -> Self {
        let (role, config) = (Role::Server, Some(config()));
        let socket = WebSocketStream::from_partially_read(connection, read.to_vec(), role, config).await;
        let ping_at = Instant::now() + app.settings.socket_ping;
        Self { app, holder, socket, subscriptions: Subscriptions::default(), ping_at, unanswered: 0 }
    }

    /// Talks to the end.
    pub(super) async fn run(mut self) -> Ending {
        let ending = loop {
            if let Err(ending) = self.step().await {
                break ending;
            }
        };
        // Whoever reads on for this client need not any more.
        self.subscriptions = Subscriptions::default();
        let _ = timeout(limits::SOCKET_CLOSE, self.close(ending)).await;
        ending
    }

    async fn step(&mut self) -> Result<(), Ending> {
        tokio::select! {
            () = self.app.shutdown.cancelled() => Err(Ending::Leaving),
            message = self.socket.next() => match message {
                // The library has its answer to a close ready, after which nothing may be said any more.
                None | Some(Ok(Message::Close(_))) => Err(Ending::Closed),
                Some(message) => self.hear(message?).await,
            },
            Some((mut subscription, batch)) = self.subscriptions.next() => match batch {
                Some(batch) => {
                    self.say(subscription.tell(&batch)).await?;
                    self.subscriptions.add(subscription);
                    Ok(())
                }
                None => self.say(vec![subscription.end()]).await,
            },
            () = tokio::time::sleep_until(self.ping_at) => self.ping().await,
        }
    }

    async fn hear(&mut self, message: Message) -> Result<(), Ending> {
        self.unanswered = 0;
        self.ping_at = Instant::now() + self.app.settings.socket_ping;
        let good = self.holder.still(&self.app).await?;
        let answer = match message {
            Message::Text(text) => self.do_what(text.into(), good).await,
            Message::Binary(_) => {
                let message = "Binary frames mean nothing here; send JSON in text frames.";
                frame::error(self.app.dialect, None, &Rejection::new(400, "unsupported_frame", message))
            }
            // They are answered by the library, with the next read; a close comes no further than to `step`.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return Ok(()),
        };
        self.say(vec![answer]).await
    }

    /// `good`: whether it is known who asks.
    async fn do_what(&mut self, text: Bytes, good: Result<(), Problem>) -> Utf8Bytes {
        let Asked { id, what } = request::read(text).await;
        let id = id.as_deref();
        let answered = match good.and(what) {
            Ok(what) => {
                // In a box, since what a request needs is many times what an idle WebSocket does.
                let (app, caller) = (&self.app, &self.holder.caller);
                Box::pin(work::answer(app, caller, &mut self.subscriptions, id, what)).await
            }
            Err(problem) => Err(problem),
        };
        answered.unwrap_or_else(|problem| frame::error(self.app.dialect, id, &problem.0))
    }

    /// Writes frames, a bounded number of bytes in a bounded time.
    async fn say(&mut self, frames: Vec<Utf8Bytes>) -> Result<(), Ending> {
        let mut frames = frames.into_iter().peekable();
        while frames.peek().is_some() {
            let some = async {
                let mut written = 0;
                while written < limits::SOCKET_WRITE_BYTES
                    && let Some(frame) = frames.next()
                {
                    written += frame.len();
                    self.socket.feed(Message::Text(frame)).await?;
                }
                self.socket.flush().await
            };
            let patience = self.app.settings.socket_write;
            timeout(patience, some).await.map_err(|_slow| Ending::SlowReader)??;
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), Ending> {
        if self.unanswered >= limits::SOCKET_PINGS {
            return Err(Ending::Silent);
        }
        // While nobody can say, it is asked again with the next one.
        let _ = self.holder.still(&self.app).await?;
        self.unanswered += 1;
        self.ping_at = Instant::now() + self.app.settings.socket_ping;
        let ping = self.socket.send(Message::Ping(Bytes::new()));
        timeout(self.app.settings.socket_write, ping).await.map_err(|_slow| Ending::SlowReader)??;
        Ok(())
    }

    /// Tells the client why, and waits for its own last word: what it still sends must not make the kernel throw away
    /// what it is told (RFC 6455, section 7.1.1).
    async fn close(&mut self, ending: Ending) {
        if let Some(frame) = ending.frame() {
            // Fails where the client has begun to close: then it is answered below.
            let _ = self.socket.close(Some(frame)).await;
        }
        // The answer to the client's close goes out with the next read, and its own comes in with one.
        while let Some(Ok(_)) = self.socket.next().await {}
        let connection = self.socket.get_mut();
        let _ = connection.shutdown().await;
        let mut rest = [0; 512];
        while let Ok(1..) = connection.read(&mut rest).await {}
    }
}
