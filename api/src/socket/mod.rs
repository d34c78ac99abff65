//! `GET /v1/ws`: jobs over a WebSocket. One carries many jobs; what it says stands in `websocket.md` beside the code, and
//! in `websocket.schema.json` for machines.

mod answer;
mod boundary;
mod close;
mod frame;
mod handshake;
mod holder;
mod listing;
mod outgoing;
mod request;
mod seats;
mod subscriptions;
mod talk;
mod ticket;
mod wire;
mod work;

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::http::header::{ALLOW, HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use hyper::upgrade::OnUpgrade;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Instrument as _;

use self::handshake::{Brought, Handshake};
use self::holder::Holder;
use self::seats::Seat;
use self::talk::Talk;
use crate::app::App;
use crate::auth::{guest, presented};
use crate::envelope::Ticket;
use crate::error::Problem;
use crate::router;

#[cfg(test)]
pub(crate) use self::request::{TYPES, refuses};
pub(crate) use self::seats::Seats;
pub(crate) use self::ticket::ticket;
pub(crate) use self::wire::Rooms;

/// What a connection keeps of the server's while it lives, be it HTTP's or a WebSocket's.
pub(crate) struct Line {
    _place: OwnedSemaphorePermit,
    _counted: TaskTrackerToken,
    /// Cancelled when whoever is still there is cut off.
    cut: CancellationToken,
}

impl Line {
    pub(crate) fn new(
        place: OwnedSemaphorePermit,
        counted: TaskTrackerToken,
        cut: CancellationToken,
    ) -> Self {
        Self { _place: place, _counted: counted, cut }
    }
}

/// `GET /v1/ws`
pub(crate) async fn open(
    State(app): State<Arc<App>>,
    Extension(line): Extension<Arc<Line>>,
    Extension(ticket): Extension<Arc<Ticket>>,
    mut request: Request,
) -> Response {
    let admitted = match handshake::line(&request) {
        Ok(()) => admit(&app, &ticket, request.uri().query(), request.headers()).await,
        Err(rejection) => Err(rejection.into()),
    };
    match admitted {
        Ok((handshake, holder, seat)) => {
            let upgrade = hyper::upgrade::on(&mut request);
            let span = tracing::error_span!("websocket", request = %holder.origin.request, trace = %holder.origin.trace.trace());
            tokio::spawn(serve(app, line, seat, holder, upgrade).instrument(span));
            let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
            response.headers_mut().extend(handshake.headers());
            response
        }
        Err(problem) => {
            let status = problem.0.status;
            let mut response = problem.into_response();
            match status {
                405 => drop(response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"))),
                426 => response.headers_mut().extend(handshake::required()),
                _ => {}
            }
            response
        }
    }
}

/// Who is asking, if the WebSocket can be had.
async fn admit(
    app: &App,
    ticket: &Ticket,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<(Handshake, Holder, Seat), Problem> {
    let handshake = handshake::read(query, headers)?;
    let origins = &app.settings.allowed_origins;
    origins.admit(headers)?;
    // A ticket is not to be used up for nothing.
    if app.shutdown.is_cancelled() {
        return Err(Problem::leaving());
    }
    let presented = match &handshake.brought {
        Some(Brought::Ticket(digest)) => ticket::redeem(app, digest).await?,
        Some(Brought::Key(digest)) => vec![*digest],
        None => presented(headers),
    };
    let caller = app.keys.holder(&presented).await?;
    if caller.is_anonymous() {
        guest::check(headers, origins)?;
    }
    caller.require(router::scopes("/v1/ws"))?;
    let seat = app.seats.take(&caller.owner)?;
    Ok((handshake, Holder { caller, presented, origin: ticket.origin() }, seat))
}

async fn serve(app: Arc<App>, line: Arc<Line>, seat: Seat, holder: Holder, upgrade: OnUpgrade) {
    let talk = async {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => {
                tracing::info!(%error, "a connection has not become the WebSocket that it was to be");
                return;
            }
        };
        let Some((connection, read)) = talk::connection(upgraded) else {
            tracing::error!("a WebSocket's connection is none of ours");
            return;
        };
        let began = tokio::time::Instant::now();
        let ending = Talk::new(app, holder, connection, read).await.run().await;
        let code = ending.told().map(|(code, _)| code);
        tracing::info!(?ending, code, seconds = began.elapsed().as_secs(), "a WebSocket has closed");
    };
    line.cut.run_until_cancelled(talk).await;
    drop(seat);
}
