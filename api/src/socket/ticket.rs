//! `POST /v1/ws/tickets`: for pages of browsers, which can set no header when they connect, and should not write a key
//! where an address or a protocol stands. A ticket stands for the key once, for a moment, at any api.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use drover_shared::dialect::Rejection;
use drover_shared::schema::{KeyDigest, limits};
use drover_shared::store::{Ticket, millis};
use serde_json::json;

use crate::app::App;
use crate::auth::{Caller, presented, secret};
use crate::error::{Problem, try_again_ms};
use crate::resource::Fields;

/// `POST /v1/ws/tickets`. The answer is the only one that holds the ticket.
pub(crate) async fn ticket(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let keys = presented(request.headers());
    Fields::of(&app, request).await?.done()?;
    let (secret, digest) = secret::mint(secret::TICKET);
    let now = app.clock.now_ms();
    let expires_at_ms = now + millis(limits::TICKET);
    let ticket = Ticket { digest, owner: caller.owner, keys, expires_at_ms };
    let most = limits::TICKETS_OF_A_KEY;
    if !app.store.tickets().add(&ticket, most, now).await? {
        let message = format!("This key has {most} tickets that are good, which is all that it may have.");
        return Err(Rejection::new(429, "too_many_tickets", message).retry_after_ms(try_again_ms()).into());
    }
    let body = json!({
        "object": "ws.ticket",
        "ticket": secret.expose(),
        "expires_at": expires_at_ms.div_euclid(1_000),
    });
    let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, no_store, Json(body)).into_response())
}

/// The keys behind a ticket, which is good no more from now on.
pub(super) async fn redeem(app: &App, digest: &KeyDigest) -> Result<Vec<KeyDigest>, Problem> {
    let keys = app.store.tickets().redeem(digest, app.clock.now_ms()).await?;
    let message =
        "The ticket is not good here: it was used, is over, or there was none. Ask for another one.";
    Ok(keys.ok_or_else(|| Rejection::new(401, "invalid_ticket", message))?)
}
