//! Who may come in, and what becomes of a call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drover_shared::schema::limits;
use drover_shared::secret::Secret;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc;
use tracing::Instrument;

use super::attempts::{self, Order};
use super::call::Call;
use super::gate::{Admission, Binding, Bound, Gate};
use super::priming::{Primer, Priming};
use super::pump;
use super::reply::{self, Body};
use super::upstream::{Refusal, Says, Upstream};

/// What all connections of a relay share.
#[derive(Debug)]
pub(super) struct Door {
    token: Secret,
    upstream: Arc<Upstream>,
    guest: Mutex<Option<Guest>>,
}

/// Whom the relay serves; there is one at a time.
#[derive(Clone, Debug)]
enum Guest {
    Job(Arc<Gate>),
    Primer(Arc<Primer>),
}

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the job is gone")]
pub(super) struct HungUp;

type Answer = Result<Response<Body>, HungUp>;

impl Door {
    pub(super) fn new(token: Secret, upstream: Arc<Upstream>) -> Self {
        Self { token, upstream, guest: Mutex::new(None) }
    }

    pub(super) fn bind(&self, bound: Bound) -> Binding {
        let (gate, binding) = Gate::bind(bound);
        self.admit(Guest::Job(gate));
        binding
    }

    pub(super) fn prime(&self, placeholder: &str) -> Priming {
        let (primer, priming) = Primer::begin(placeholder);
        self.admit(Guest::Primer(primer));
        priming
    }

    fn admit(&self, guest: Guest) {
        match self.guest().replace(guest) {
            Some(Guest::Job(earlier)) => earlier.end(),
            Some(Guest::Primer(earlier)) => earlier.end(),
            None => {}
        }
    }

    /// One call of the CLI.
    pub(super) async fn call(&self, request: Request<Incoming>) -> Answer {
        // What asks a proxy names the host. Without a network, an agent's tools ask the relay of a JavaScript CLI.
        if request.uri().authority().is_some() {
            return Ok(reply::error(
                StatusCode::FORBIDDEN,
                "Nothing on the network can be reached from here.",
            ));
        }
        if !self.is_shown_the_token(request.headers()) {
            return Ok(reply::error(StatusCode::UNAUTHORIZED, "This is not the relay's token."));
        }
        let gate = match self.current() {
            Some(Guest::Job(gate)) => gate,
            Some(Guest::Primer(primer)) if is_messages(&request) => return Ok(prime(&primer, request).await),
            Some(Guest::Primer(_)) | None => return Ok(unbound()),
        };
        if !is_messages(&request) {
            return Ok(reply::error(StatusCode::NOT_FOUND, "The relay answers POST /v1/messages only."));
        }
        if gate.is_answered() {
            return hold(&gate).await;
        }
        let says = Says::of(request.headers());
        match read(request).await {
            Ok(body) => self.messages(&gate, says, body).await,
            Err(refused) => Ok(refused),
        }
    }

    /// As its API key, or, where the CLI believes to pay by its login, as its access token.
    fn is_shown_the_token(&self, headers: &HeaderMap) -> bool {
        let key = headers.get("x-api-key").map(HeaderValue::as_bytes);
        let token = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        [key, token].into_iter().flatten().any(|shown| self.token.matches(shown))
    }

    /// A call of `POST /v1/messages`. Whether it is a chat job's is known by the placeholder in its body;
    /// an agent has the relay to itself as long as it is bound.
    async fn messages(&self, gate: &Arc<Gate>, says: Says, body: Value) -> Answer {
        let Ok(order) = Order::take(&self.upstream, &gate.bound, says, body) else {
            return Ok(reply::error(StatusCode::FORBIDDEN, "This call does not belong to the bound job."));
        };
        match gate.admit().await {
            Admission::Hold => hold(gate).await,
            Admission::Repeat(status, failure) => Ok(reply::error(status, &failure.message)),
            Admission::Forward(call) => self.forward(call, order).instrument(gate.span.clone()).await,
        }
    }

    /// Asks providers and sends the answer back. Retries and failover have their place here, before the CLI has
    /// been given a status.
    async fn forward(&self, mut call: Call, order: Result<Order, Refusal>) -> Answer {
        let ended = call.ended();
        let answered = async {
            match order {
                Ok(order) => attempts::answer(&self.upstream, &mut call, order).await,
                Err(refusal) => Err(refusal),
            }
        };
        let answered = tokio::select! {
            biased;
            () = ended.cancelled() => return Err(HungUp),
            answered = answered => answered,
        };
        match answered {
            Ok((answer, asked)) => {
                let (chunks, received) = mpsc::channel(limits::RELAY_BACKLOG);
                tokio::spawn(pump::run(asked, answer, call, chunks).in_current_span());
                Ok(reply::event_stream(received))
            }
            Err(refusal) => {
                call.failed(refusal.status, refusal.failure.clone());
                Ok(reply::error(refusal.status, &refusal.failure.message))
            }
        }
    }

    fn current(&self) -> Option<Guest> {
        let mut guest = self.guest();
        guest.take_if(|guest| match guest {
            Guest::Job(gate) => gate.has_ended(),
            Guest::Primer(primer) => primer.has_ended(),
        });
        guest.clone()
    }

    fn guest(&self) -> MutexGuard<'_, Option<Guest>> {
        self.guest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call while the process is warmed up. Whatever else the CLI wants has no job.
async fn prime(primer: &Primer, request: Request<Incoming>) -> Response<Body> {
    match read(request).await {
        Ok(body) => primer.answer(&body).map_or_else(unbound, reply::events),
        Err(refused) => refused,
    }
}

/// A query (`?beta=true`) makes no difference.
fn is_messages(request: &Request<Incoming>) -> bool {
    request.method() == Method::POST && request.uri().path() == "/v1/messages"
}

fn unbound() -> Response<Body> {
    reply::error(StatusCode::FORBIDDEN, "No job is bound to this relay.")
}

async fn hold(gate: &Gate) -> Answer {
    gate.hold().await;
    Err(HungUp)
}

/// The body, or what to answer if there is none.
async fn read(request: Request<Incoming>) -> Result<Value, Response<Body>> {
    let body = Limited::new(request.into_body(), limits::RELAY_BODY_BYTES).collect().await;
    let body = body
        .map_err(|_| reply::error(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large or incomplete."))?;
    serde_json::from_slice(&body.to_bytes())
        .map_err(|_| reply::error(StatusCode::BAD_REQUEST, "The body is no JSON."))
}
