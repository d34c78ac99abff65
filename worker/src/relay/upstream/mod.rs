//! Where the models are: the providers and what they serve, how they do, and who served a conversation before.
//! One for all relays of a worker, as it keeps the connections.

mod demo;
mod endpoint;
mod memory;
mod says;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, RwLock};

use bytes::Bytes;
use drover_shared::clock::now_ms;
use drover_shared::provider::health::Health;
use drover_shared::provider::registry::DEMO;
use drover_shared::schema::offer::ProviderHealth;
use drover_shared::schema::{Failure, Offer, limits};
use futures_util::stream::BoxStream;
use hyper::StatusCode;
use reqwest::{Client, redirect};

use self::endpoint::Endpoint;
use self::memory::Memory;

pub(super) use self::demo::demonstrate;
pub(super) use self::endpoint::{Begun, silent};
pub use self::endpoint::{Credential, EndpointConfig};
pub(super) use self::memory::{Conversation, Memorised};
pub(super) use self::says::Says;

/// An answer that has begun, piece by piece.
pub(super) type Stream = BoxStream<'static, Result<Bytes, Failure>>;

/// What is served, and by whom.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// What clients may ask for.
    pub offer: Offer,
    /// The providers of the offer that there is a key for.
    pub endpoints: Vec<EndpointConfig>,
}

/// The configuration cannot work.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The base URL is none, or not one of HTTP.
    #[error("the base URL of the provider {provider} is no http or https URL")]
    BaseUrl {
        /// Whose.
        provider: String,
    },
    /// A key, a header or the version has characters that no header can hold.
    #[error("a provider's key or header cannot be sent as a header")]
    Header,
    /// The HTTP client cannot be made, as when the machine has no certificates.
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
}

/// There is no stream.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// What the CLI is answered with.
    pub(super) status: StatusCode,
    pub(super) failure: Failure,
}

impl Refusal {
    /// For an answer that has gone wrong at its beginning.
    pub(super) fn of(failure: Failure) -> Self {
        Self { status: StatusCode::BAD_GATEWAY, failure }
    }
}

/// Serves the models of its offer.
#[derive(Debug)]
pub struct Upstream {
    served: RwLock<Arc<Served>>,
    health: Mutex<Health>,
    memory: Mutex<Memory>,
    client: Client,
    version: String,
    most_attempts: u32,
}

/// What is served at one time. A call keeps what it began with.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) offer: Arc<Offer>,
    endpoints: HashMap<String, Arc<Endpoint>>,
}

impl Served {
    fn new(catalog: Catalog, client: &Client, version: &str) -> Result<Arc<Self>, UpstreamError> {
        let endpoints = catalog.endpoints.into_iter().map(|config| {
            let id = config.id.clone();
            Ok((id, Arc::new(Endpoint::new(config, client.clone(), version)?)))
        });
        Ok(Arc::new(Self { offer: Arc::new(catalog.offer), endpoints: endpoints.collect::<Result<_, _>>()? }))
    }

    pub(super) fn endpoint(&self, provider: &str) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(provider)
    }

    /// The fingerprints of each provider's keys.
    fn keys(&self) -> Vec<(String, Vec<String>)> {
        let keys = self.endpoints.iter().map(|(id, at)| (id.clone(), at.fingerprints()));
        // The demo takes no key; it has one in name.
        let demo = self.offer.providers.iter().filter(|provider| provider.id == DEMO);
        keys.chain(demo.map(|demo| (demo.id.clone(), vec![demo.id.clone()]))).collect()
    }
}

impl Upstream {
    /// Checks the configuration. `version` is Drover's, for the `User-Agent`; `most_attempts` how many calls may be
    /// made for one answer.
    pub fn new(catalog: Catalog, version: &str, most_attempts: u32) -> Result<Arc<Self>, UpstreamError> {
        let client = client().map_err(UpstreamError::Client)?;
        let served = Served::new(catalog, &client, version)?;
        let health = Mutex::new(Health::new(&served.keys()));
        let memory = Mutex::new(Memory::default());
        let version = version.to_owned();
        Ok(Arc::new(Self { served: RwLock::new(served), health, memory, client, version, most_attempts }))
    }

    /// Serves this from now on. Connections, and what is known of providers that stay, are kept; calls under way
    /// go on as they began.
    pub fn replace(&self, catalog: Catalog) -> Result<(), UpstreamError> {
        let served = Served::new(catalog, &self.client, &self.version)?;
        self.health().reload(&served.keys());
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = served;
        Ok(())
    }

    /// What clients may ask for.
    pub fn offer(&self) -> Arc<Offer> {
        Arc::clone(&self.served().offer)
    }

    /// How the providers do.
    pub fn report(&self) -> Vec<ProviderHealth> {
        self.health().report(now_ms())
    }

    pub(super) fn most_attempts(&self) -> u32 {
        self.most_attempts
    }

    pub(super) fn served(&self) -> Arc<Served> {
        Arc::clone(&self.served.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows no redirect, which would carry a key elsewhere; minds no proxy of the environment, keeps no cookie
/// and unpacks nothing.
fn client() -> Result<Client, reqwest::Error> {
    static TLS: Once = Once::new();
    // Fails only if another one has been installed, which will do as well.
    TLS.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    Client::builder()
        .connect_timeout(limits::PROVIDER_CONNECT)
        .http2_keep_alive_interval(limits::PROVIDER_PING)
        .http2_keep_alive_timeout(limits::PROVIDER_CONNECT)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .build()
}
