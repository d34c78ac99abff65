//! One request, from its token to the server's answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use drover_shared::schema::{HostRule, Target, limits};
use drover_shared::secret::Secret;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue, PROXY_AUTHORIZATION};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::forward::forward;
use super::network::{Network, reach};
use super::reply::{Body, Refusal};

/// What all connections of a proxy share.
pub(super) struct Door {
    /// The user and the token, as they stand in a request.
    credentials: Secret,
    rules: Vec<HostRule>,
    network: Arc<dyn Network>,
    refusals: AtomicUsize,
}

/// Both ends of a tunnel whose client has been told that it stands.
pub(super) struct Tunnel {
    pub(super) client: OnUpgrade,
    pub(super) server: TcpStream,
}

impl Door {
    pub(super) fn new(credentials: Secret, rules: Vec<HostRule>, network: Arc<dyn Network>) -> Self {
        Self { credentials, rules, network, refusals: AtomicUsize::new(0) }
    }

    /// Answers the one request of a connection. A tunnel, if it has asked for one, is to be carried on by the
    /// caller once the answer is out. `open` ends when the connection does.
    pub(super) async fn call(
        &self,
        request: Request<Incoming>,
        open: CancellationToken,
    ) -> (Response<Body>, Option<Tunnel>) {
        let answer = match request.method() {
            &Method::CONNECT => self.tunnel(request).await,
            _ => self.plain(request, open).await.map(|answer| (answer, None)),
        };
        answer.unwrap_or_else(|refusal| {
            self.log(&refusal);
            (refusal.response(), None)
        })
    }

    async fn tunnel(
        &self,
        mut request: Request<Incoming>,
    ) -> Result<(Response<Body>, Option<Tunnel>), Refusal> {
        let target = self.admit(&request, None)?;
        let server = self.reach(&target).await?;
        let client = hyper::upgrade::on(&mut request);
        let body = Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync();
        Ok((Response::new(body), Some(Tunnel { client, server })))
    }

    async fn plain(
        &self,
        request: Request<Incoming>,
        open: CancellationToken,
    ) -> Result<Response<Body>, Refusal> {
        let target = self.admit(&request, Some(80))?;
        if request.uri().scheme_str() != Some("http") {
            return Err(Refusal::Form);
        }
        let server = self.reach(&target).await?;
        forward(request, &target, server, open).await
    }

    /// Who may come in, and where to.
    fn admit(&self, request: &Request<Incoming>, default_port: Option<u16>) -> Result<Target, Refusal> {
        if !self.knows(request.headers()) {
            return Err(Refusal::Token);
        }
        let authority = request.uri().authority().ok_or(Refusal::Form)?;
        let target = Target::parse(authority.as_str(), default_port)?;
        if !self.rules.iter().any(|rule| rule.admits(&target)) {
            return Err(Refusal::NotListed(target));
        }
        Ok(target)
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(PROXY_AUTHORIZATION).map(HeaderValue::as_bytes);
        let Some((scheme, credentials)) = given.and_then(|given| given.split_at_checked(6)) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Basic ") && self.credentials.matches(credentials.trim_ascii())
    }

    async fn reach(&self, target: &Target) -> Result<TcpStream, Refusal> {
        let server = reach(self.network.as_ref(), target).await;
        let server = server.map_err(|unreached| Refusal::Unreached(target.clone(), unreached))?;
        tracing::debug!(host = %target, "a slot has reached a host");
        Ok(server)
    }

    /// Refusals name a host at most; nothing of a path, a header or a body.
    fn log(&self, refusal: &Refusal) {
        let earlier = self.refusals.fetch_add(1, Ordering::Relaxed);
        if earlier < limits::EGRESS_REFUSALS_LOGGED {
            tracing::info!(%refusal, "a slot was refused the network");
        } else {
            tracing::debug!(%refusal, "a slot was refused the network");
        }
    }
}
