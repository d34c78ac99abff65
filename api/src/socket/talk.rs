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
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::close::Ending;
use super::holder::Holder;
use super::outgoing::{Exchanged, Outgoing, Socket};
use super::request::{self, Asked};
use super::subscriptions::Subscriptions;
use super::wire::Wire;
use super::{frame, work};
use crate::app::App;
use crate::error::Problem;

pub(super) struct Talk {
    app: Arc<App>,
    holder: Holder,
    socket: Socket,
    outgoing: Outgoing,
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

async fn socket(wire: Wire) -> Socket {
    let config = WebSocketConfig::default()
        .read_buffer_size(limits::SOCKET_READ_BYTES)
        .write_buffer_size(limits::SOCKET_WRITE_BYTES)
        .max_message_size(Some(limits::SOCKET_MESSAGE_BYTES))
        .max_frame_size(Some(limits::SOCKET_MESSAGE_BYTES));
    WebSocketStream::from_raw_socket(wire, Role::Server, Some(config)).await
}

impl Talk {
    /// `read` is what has come already.
    pub(super) async fn new(app: Arc<App>, holder: Holder, connection: TcpStream, read: Bytes) -> Self {
        let socket = socket(Wire::new(connection, read, app.rooms.clone())).await;
        let ping_at = Instant::now() + app.settings.socket_ping;
        let (outgoing, subscriptions) = (Outgoing::default(), Subscriptions::default());
        Self { app, holder, socket, outgoing, subscriptions, ping_at, unanswered: 0 }
    }

    /// Talks to the end.
    pub(super) async fn run(mut self) -> Ending {
        let ending = loop {
            if let Err(ending) = self.step().await {
                break ending;
            }
            if self.keeps_too_much() {
                self = Box::pin(self.renewed()).await;
            }
        };
        // Whoever reads on for this client need not any more.
        self.subscriptions = Subscriptions::default();
        let _ = timeout(limits::SOCKET_CLOSE, self.close(ending)).await;
        ending
    }

    async fn step(&mut self) -> Result<(), Ending> {
        // After a large message the socket is made anew, before another one may begin.
        let is_full = self.socket.get_ref().holds_room() && self.socket.get_ref().is_between_messages();
        let listens = self.outgoing.takes_requests() && !is_full;
        let wake_at = self.wake_at();
        tokio::select! {
            () = self.app.shutdown.cancelled() => Err(Ending::Leaving),
            exchanged = self.outgoing.exchange(&mut self.socket, listens) => match exchanged? {
                Exchanged::Wrote => Ok(()),
                // The library has its answer to a close ready, after which nothing may be said any more.
                Exchanged::Ended | Exchanged::Heard(Message::Close(_)) => Err(Ending::Closed),
                Exchanged::Heard(message) => self.hear(message).await,
            },
            Some((mut subscription, batch)) = self.subscriptions.next(), if self.outgoing.has_room() => {
                match batch {
                    Some(batch) => {
                        self.outgoing.tell(subscription.tell(&batch));
                        self.subscriptions.add(subscription);
                    }
                    None => self.outgoing.tell(vec![subscription.end()]),
                }
                Ok(())
            }
            () = sleep_until(wake_at) => self.look().await,
        }
    }

    async fn hear(&mut self, message: Message) -> Result<(), Ending> {
        self.unanswered = 0;
        self.ping_at = Instant::now() + self.app.settings.socket_ping;
        let text = match message {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
            // It is answered by the library, which has to be asked to write; a close comes no further than to `step`.
            Message::Ping(_) | Message::Close(_) | Message::Frame(_) => {
                self.outgoing.has_to_flush();
                return Ok(());
            }
            Message::Pong(_) => return Ok(()),
        };
        let good = self.holder.still(&self.app).await?;
        let answer = if let Some(text) = text {
            self.do_what(text.into(), good).await
        } else {
            let message = "Binary frames mean nothing here; send JSON in text frames.";
            frame::error(self.app.dialect, None, &Rejection::new(400, "unsupported_frame", message))
        };
        self.outgoing.answer(answer);
        Ok(())
    }

    /// `good`: whether it is known who asks.
    async fn do_what(&mut self, text: Bytes, good: Result<(), Problem>) -> Utf8Bytes {
        let Asked { id, what } = request::read(text).await;
        let id = id.as_deref();
        let answered = match good.and(what) {
            Ok(what) => {
                // In a box, since what a request needs is many times what an idle WebSocket does.
                let (app, holder) = (&self.app, &self.holder);
                Box::pin(work::answer(app, holder, &mut self.subscriptions, id, what)).await
            }
            Err(problem) => Err(problem),
        };
        answered.unwrap_or_else(|problem| frame::error(self.app.dialect, id, &problem.0))
    }

    /// When something may be over, unless something happens before.
    fn wake_at(&mut self) -> Instant {
        let settings = &self.app.settings;
        let slow_at = self.outgoing.owes_since().map(|since| since + settings.socket_write);
        let unfinished_at =
            self.socket.get_ref().unfinished_since().map(|since| since + settings.body_timeout);
        [slow_at, unfinished_at].into_iter().flatten().fold(self.ping_at, Instant::min)
    }

    /// Looks whether the client is too slow, and asks it whether it is still there.
    async fn look(&mut self) -> Result<(), Ending> {
        let (settings, now) = (&self.app.settings, Instant::now());
        let wire = self.socket.get_mut();
        if self.outgoing.owes_since().is_some_and(|since| now >= since + settings.socket_write) {
            return Err(Ending::SlowReader);
        }
        if wire.unfinished_since().is_some_and(|since| now >= since + settings.body_timeout) {
            return Err(Ending::SlowWriter);
        }
        if now < self.ping_at {
            return Ok(());
        }
        self.ping_at = now + settings.socket_ping;
        // Whoever is in the middle of a message cannot answer a ping before its end.
        let is_heard = wire.heard();
        // While nobody can say, it is asked again with the next one.
        let _ = self.holder.still(&self.app).await?;
        if is_heard {
            self.unanswered = 0;
        } else if self.unanswered >= limits::SOCKET_PINGS {
            return Err(Ending::Silent);
        }
        self.unanswered += 1;
        Ok(self.outgoing.ping(&mut self.socket)?)
    }

    /// Whether the library keeps room for a large message that is done with.
    fn keeps_too_much(&mut self) -> bool {
        let wire = self.socket.get_ref();
        wire.is_between_messages()
            && self.outgoing.is_written()
            && (wire.holds_room() || self.outgoing.has_grown())
    }

    /// The same, with a library that keeps nothing. Between messages there is nothing that it knows.
    async fn renewed(self) -> Self {
        let mut wire = self.socket.into_inner();
        wire.give_back();
        Self { socket: socket(wire).await, ..self }
    }

    /// Tells the client why, and waits for its own last word: what it still sends must not make the kernel throw away
    /// what it is told (RFC 6455, section 7.1.1).
    async fn close(&mut self, ending: Ending) {
        if let Some(frame) = ending.frame() {
            // Fails where the client has begun to close: then it is answered below.
            let _ = self.socket.close(Some(frame)).await;
        }
        // What answers the client's close has to be out before its end is read: nothing is written after that.
        let _ = self.socket.flush().await;
        while let Some(Ok(_)) = self.socket.next().await {}
        let connection = self.socket.get_mut().stream();
        let _ = connection.shutdown().await;
        let mut rest = [0; 512];
        while let Ok(1..) = connection.read(&mut rest).await {}
    }
}
