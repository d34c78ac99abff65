//! The provider, or the demo model in its place.

use std::sync::{Arc, Once};

use bytes::Bytes;
use drover_shared::provider::{AGENT_BETA, Offer, demo, failure};
use drover_shared::schema::{Class, Failure, JobId, JobSpec, limits};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use hyper::StatusCode;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use reqwest::{Client, Response, Url, redirect};
use serde_json::Value;
use tokio::time::sleep;

use drover_shared::secret::Secret;

/// Version of the Messages API (Anthropic API reference, "Versions").
const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// An answer that has begun, piece by piece.
pub(super) type Stream = BoxStream<'static, Result<Bytes, Failure>>;

/// Where the models are.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// What `/v1/messages` is appended to.
    pub base_url: String,
    /// The provider's key; without one there is only the demo.
    pub credential: Credential,
    /// The model that the operator has configured as the default.
    pub default_model: Option<String>,
    /// Drover's version, for the `User-Agent`.
    pub version: String,
}

/// How a provider knows who pays.
#[derive(Clone, Debug)]
pub enum Credential {
    /// There is no account.
    None,
    /// Sent as `x-api-key`.
    ApiKey(Secret),
    /// Sent as `Authorization: Bearer`.
    AuthToken(Secret),
}

/// The configuration cannot work.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The base URL is none, or not one of HTTP.
    #[error("the provider's base URL is no http or https URL")]
    BaseUrl,
    /// The key or the version has characters that no header can hold.
    #[error("the provider's key cannot be sent as a header")]
    Header,
    /// The HTTP client cannot be made, as when the machine has no certificates.
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
}

/// Serves the models of its [`Offer`]. One for all relays of a worker, as it keeps the connections.
#[derive(Debug)]
pub struct Upstream {
    offer: Offer,
    provider: Option<Provider>,
}

/// A call to be made.
pub(super) struct Ask<'a> {
    pub(super) job: JobId,
    pub(super) spec: &'a JobSpec,
    /// The Messages API body.
    pub(super) body: Value,
}

/// There is no stream.
#[derive(Debug)]
pub(super) struct Refusal {
    /// What the CLI is answered with.
    pub(super) status: StatusCode,
    pub(super) failure: Failure,
}

impl Upstream {
    /// Checks the configuration. Without a credential nothing of it is needed.
    pub fn new(config: &UpstreamConfig) -> Result<Arc<Self>, UpstreamError> {
        let provider = Provider::new(config)?;
        let offer = Offer::new(provider.is_some(), config.default_model.as_deref());
        Ok(Arc::new(Self { offer, provider }))
    }

    /// The models it serves.
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Asks for an answer and waits until it begins.
    pub(super) async fn open(&self, ask: Ask<'_>) -> Result<Stream, Refusal> {
        let model = &ask.spec.model;
        if !self.offer.has(model) {
            return Err(Refusal { status: StatusCode::NOT_FOUND, failure: failure::not_offered(model) });
        }
        let opened = match &self.provider {
            Some(provider) => provider.open(&ask).await,
            None => Ok(demonstrate(&ask)),
        };
        opened.map_err(|refusal| Refusal { failure: self.clean(refusal.failure), ..refusal })
    }

    /// The failure without the provider's words, if they repeat the key.
    pub(super) fn clean(&self, failure: Failure) -> Failure {
        let key = self.provider.as_ref().map(|provider| provider.key.expose());
        match key {
            Some(key) if repeats(&failure.message, key) => {
                Failure { message: "The model provider refused the request.".to_owned(), ..failure }
            }
            _ => failure,
        }
    }
}

/// Whether `message` holds the key, or as much of its secret end as providers like to show.
fn repeats(message: &str, key: &str) -> bool {
    let tail = key.char_indices().rev().nth(7).map_or(key, |(at, _)| &key[at..]);
    message.contains(tail)
}

/// The demo's answer, word by word.
fn demonstrate(ask: &Ask<'_>) -> Stream {
    let frames = demo::answer(ask.spec, &format!("msg_{}", ask.job));
    let paced = async |frame: Vec<u8>| {
        sleep(limits::DEMO_PACE).await;
        Ok(Bytes::from(frame))
    };
    stream::iter(frames).then(paced).boxed()
}

/// A provider of the Messages API, with an account.
#[derive(Debug)]
struct Provider {
    client: Client,
    messages: Url,
    key: Secret,
}

impl Provider {
    fn new(config: &UpstreamConfig) -> Result<Option<Self>, UpstreamError> {
        let (name, value, key) = match &config.credential {
            Credential::None => return Ok(None),
            Credential::ApiKey(key) => (HeaderName::from_static("x-api-key"), key.expose().to_owned(), key),
            Credential::AuthToken(key) => (AUTHORIZATION, format!("Bearer {}", key.expose()), key),
        };
        let mut value = HeaderValue::from_str(&value).map_err(|_| UpstreamError::Header)?;
        value.set_sensitive(true);
        let agent = format!("drover/{}", config.version);
        let agent = HeaderValue::from_str(&agent).map_err(|_| UpstreamError::Header)?;
        let headers = HeaderMap::from_iter([
            (name, value),
            (USER_AGENT, agent),
            (HeaderName::from_static("anthropic-version"), ANTHROPIC_VERSION),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ACCEPT, HeaderValue::from_static("text/event-stream")),
        ]);
        let client = client(headers).map_err(UpstreamError::Client)?;
        let messages = messages_url(&config.base_url).ok_or(UpstreamError::BaseUrl)?;
        Ok(Some(Self { client, messages, key: key.clone() }))
    }

    /// One call. A status other than 200, or an answer of another type, is a failure.
    async fn open(&self, ask: &Ask<'_>) -> Result<Stream, Refusal> {
        let mut request = self.client.post(self.messages.clone()).body(ask.body.to_string());
        if ask.spec.class() == Class::Agent {
            request = request.header("anthropic-beta", AGENT_BETA);
        }
        let response = request.send().await.map_err(|error| {
            tracing::warn!(error = %error.without_url(), "the provider cannot be reached");
            Refusal { status: StatusCode::BAD_GATEWAY, failure: failure::unreachable() }
        })?;
        if response.status() != StatusCode::OK {
            return Err(refused(response).await);
        }
        if !is_event_stream(&response) {
            return Err(Refusal { status: StatusCode::BAD_GATEWAY, failure: failure::no_stream() });
        }
        Ok(response.bytes_stream().map_err(|_| failure::interrupted()).boxed())
    }
}

/// Follows no redirect, which would carry the key elsewhere; minds no proxy of the environment, keeps no
/// cookie and unpacks nothing.
fn client(headers: HeaderMap) -> Result<Client, reqwest::Error> {
    static TLS: Once = Once::new();
    // Fails only if another one has been installed, which will do as well.
    TLS.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    Client::builder()
        .default_headers(headers)
        .connect_timeout(limits::PROVIDER_CONNECT)
        .http2_keep_alive_interval(limits::PROVIDER_PING)
        .http2_keep_alive_timeout(limits::PROVIDER_CONNECT)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .build()
}

/// `/v1/messages` below the base URL, which may have a path of its own.
fn messages_url(base_url: &str) -> Option<Url> {
    let url = Url::parse(&format!("{}/v1/messages", base_url.trim_end_matches('/'))).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.query().is_none()).then_some(url)
}

fn is_event_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// What an answer that is no 200 means. The CLI gets the same status where it is one of an error; it
/// would follow a redirect.
async fn refused(mut response: Response) -> Refusal {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).cloned();
    let mut body = Vec::new();
    // What of the body cannot be read any more says nothing either.
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = limits::PROVIDER_ERROR_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == limits::PROVIDER_ERROR_BYTES {
            break;
        }
    }
    let retry_after = retry_after.as_ref().and_then(|value| value.to_str().ok());
    let failure = failure::from_answer(status.as_u16(), retry_after, &body);
    let is_error = status.is_client_error() || status.is_server_error();
    Refusal { status: if is_error { status } else { StatusCode::BAD_GATEWAY }, failure }
}
