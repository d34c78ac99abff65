//! One provider of the Messages API, with its keys.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use drover_shared::provider::{AGENT_BETA, failure};
use drover_shared::schema::{Class, Failure, limits};
use drover_shared::secret::Secret;
use futures_util::{StreamExt as _, TryStreamExt as _};
use hyper::StatusCode;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use reqwest::{Client, Response, Url};
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Refusal, Says, Stream, UpstreamError};

/// Version of the Messages API (Anthropic API reference, "Versions").
const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// What a provider is like.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// Its identifier.
    pub id: String,
    /// What `/v1/messages` is appended to.
    pub base_url: String,
    /// The keys, in the order in which they are tried; each with the way in which it is sent.
    pub keys: Vec<Credential>,
    /// Headers that it wants besides.
    pub headers: Vec<(String, String)>,
    /// Whether it knows what `anthropic-beta` names.
    pub betas: bool,
    /// Whether it is the CLI's own login: then the call is the CLI's, and says so.
    pub login: bool,
    /// Calls that it takes at a time.
    pub max_calls: u32,
    /// Longest silence before its answer begins.
    pub first_byte: Duration,
}

/// A key, and how a provider wants to be shown it.
#[derive(Clone, Debug)]
pub enum Credential {
    /// Sent as `x-api-key`.
    ApiKey(Secret),
    /// Sent as `Authorization: Bearer`.
    Bearer(Secret),
}

impl Credential {
    fn secret(&self) -> &Secret {
        let (Self::ApiKey(key) | Self::Bearer(key)) = self;
        key
    }

    /// The first eight hexadecimal digits of its SHA-256: enough to tell keys apart, too few to tell one.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.secret().expose());
        format!("{:08x}", u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]))
    }

    fn header(&self) -> Result<(HeaderName, HeaderValue), UpstreamError> {
        let (name, value) = match self {
            Self::ApiKey(key) => (HeaderName::from_static("x-api-key"), key.expose().to_owned()),
            Self::Bearer(key) => (AUTHORIZATION, format!("Bearer {}", key.expose())),
        };
        let mut value = HeaderValue::from_str(&value).map_err(|_| UpstreamError::Header)?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

/// A provider that can be asked. Its connections are the client's.
pub(in crate::relay) struct Endpoint {
    config: EndpointConfig,
    client: Client,
    messages: Url,
    headers: HeaderMap,
    keys: Vec<(HeaderName, HeaderValue)>,
    room: Arc<Semaphore>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("id", &self.config.id).finish_non_exhaustive()
    }
}

/// An answer that has begun, and the place that it takes at the provider.
pub(in crate::relay) struct Begun {
    pub(in crate::relay) stream: Stream,
    /// Held until the answer is over.
    pub(in crate::relay) _place: Option<OwnedSemaphorePermit>,
}

impl Endpoint {
    pub(super) fn new(config: EndpointConfig, client: Client, version: &str) -> Result<Self, UpstreamError> {
        let messages = messages_url(&config.base_url)
            .ok_or_else(|| UpstreamError::BaseUrl { provider: config.id.clone() })?;
        let agent = HeaderValue::from_str(&format!("drover/{version}")).map_err(|_| UpstreamError::Header)?;
        let mut headers = HeaderMap::from_iter([
            (USER_AGENT, agent),
            (HeaderName::from_static("anthropic-version"), ANTHROPIC_VERSION),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ACCEPT, HeaderValue::from_static("text/event-stream")),
        ]);
        for (name, value) in &config.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| UpstreamError::Header)?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| UpstreamError::Header)?);
        }
        let keys = config.keys.iter().map(Credential::header).collect::<Result<_, _>>()?;
        let room = Arc::new(Semaphore::new(config.max_calls as usize));
        Ok(Self { config, client, messages, headers, keys, room })
    }

    /// The fingerprints of its keys, in order.
    pub(super) fn fingerprints(&self) -> Vec<String> {
        self.config.keys.iter().map(Credential::fingerprint).collect()
    }

    /// Longest silence before its answer begins.
    pub(in crate::relay) fn first_byte(&self) -> Duration {
        self.config.first_byte
    }

    /// One call with its `key`th key. A status other than 200, or an answer of another type, is a failure.
    pub(in crate::relay) async fn ask(
        &self,
        key: usize,
        class: Class,
        says: &Says,
        body: Bytes,
    ) -> Result<Begun, Refusal> {
        let place =
            tokio::time::timeout(self.config.first_byte, Arc::clone(&self.room).acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(silent()) };
        let Some((name, value)) = self.keys.get(key).cloned() else { return Err(unreachable()) };
        let mut request = self.client.post(self.messages.clone()).headers(self.headers.clone());
        request = request.header(name, value).body(body);
        if self.config.login {
            // In place of our own.
            request = request.headers(says.headers());
        } else if self.config.betas && class == Class::Agent {
            request = request.header("anthropic-beta", AGENT_BETA);
        }
        let response = match tokio::time::timeout(self.config.first_byte, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                tracing::warn!(provider = self.config.id, error = %error.without_url(), "a provider cannot be reached");
                return Err(unreachable());
            }
            Err(_) => return Err(silent()),
        };
        if response.status() != StatusCode::OK {
            let refused = tokio::time::timeout(self.config.first_byte, refused(response)).await;
            return Err(refused.unwrap_or_else(|_| silent()));
        }
        if !is_event_stream(&response) {
            return Err(Refusal { status: StatusCode::BAD_GATEWAY, failure: failure::no_stream() });
        }
        let stream = response.bytes_stream().map_err(|_| failure::interrupted()).boxed();
        Ok(Begun { stream, _place: Some(place) })
    }

    /// The failure without the provider's words, if they repeat a key.
    pub(in crate::relay) fn clean(&self, failure: Failure) -> Failure {
        if self.config.keys.iter().any(|key| repeats(&failure.message, key.secret().expose())) {
            return Failure { message: "The model provider refused the request.".to_owned(), ..failure };
        }
        failure
    }
}

fn unreachable() -> Refusal {
    Refusal { status: StatusCode::BAD_GATEWAY, failure: failure::unreachable() }
}

/// The provider has said nothing for as long as it may.
pub(in crate::relay) fn silent() -> Refusal {
    Refusal { status: StatusCode::GATEWAY_TIMEOUT, failure: failure::silent() }
}

/// Whether `message` holds the key, or as much of its secret end as providers like to show.
fn repeats(message: &str, key: &str) -> bool {
    let tail = key.char_indices().rev().nth(7).map_or(key, |(at, _)| &key[at..]);
    message.contains(tail)
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
