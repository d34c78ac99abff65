//! The worker's registry of providers: read from its file and from wherever the keys are, and read again when
//! that changes.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use drover_shared::provider::registry::{
    ANTHROPIC, Auth, KeyPlace, KeySource, LOGIN, Provider, Registry, RegistryError,
};
use drover_shared::schema::{AgentsOffer, Offer, WorkerId, limits};
use drover_shared::secret::Secret;
use drover_shared::store::Store;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::relay::{Catalog, Credential, EndpointConfig, Upstream, UpstreamError};

/// Where everything stands.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The operator's own file, if there is one.
    pub file: Option<PathBuf>,
    /// The base URL of the provider `anthropic`, if it is another one than the registry's.
    pub anthropic_base_url: Option<String>,
    /// The model for requests that name none.
    pub default_model: Option<String>,
    /// Whether the CLI's own login is a provider.
    pub login: bool,
    /// What the environment and the settings file say, by name.
    pub variables: Variables,
    /// What agents may do here, to be told along with it; `None` where none can run.
    pub agents: Option<AgentsOffer>,
}

/// Values of variables. Its `Debug` form shows no value.
#[derive(Clone, Default)]
pub struct Variables(HashMap<String, Secret>);

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Variables {
    /// Values that were set.
    pub fn new(values: impl IntoIterator<Item = (String, String)>) -> Self {
        let set = values.into_iter().filter(|(_, value)| !value.is_empty());
        Self(set.map(|(name, value)| (name, Secret::new(value))).collect())
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.get(name)
    }
}

/// The registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The operator's file is wrong.
    #[error("{}, {source}", path.display())]
    Registry {
        /// Which.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: RegistryError,
    },
    /// A provider has more keys than are possible.
    #[error("the provider {0} has more than {max} keys", max = limits::PROVIDER_KEYS)]
    TooManyKeys(String),
    /// What it says cannot be used as it is.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

impl Sources {
    /// Reads everything.
    pub fn load(&self) -> Result<Catalog, LoadError> {
        let registry = self.registry()?;
        let mut endpoints = Vec::new();
        for provider in &registry.providers {
            let keys = self.keys(provider)?;
            if !keys.is_empty() {
                endpoints.push(self.endpoint(provider, keys));
            }
        }
        let count = |id: &str| {
            let keys = endpoints.iter().find(|it| it.id == id).map_or(0, |it| it.keys.len());
            u32::try_from(keys).unwrap_or(u32::MAX)
        };
        let offer = registry.offer(count, self.default_model.as_deref());
        Ok(Catalog { offer: Offer { agents: self.agents.clone(), ..offer }, endpoints })
    }

    /// Where each provider's keys may be, for people.
    pub fn registry(&self) -> Result<Registry, LoadError> {
        let registry = match &self.file {
            None => Registry::shipped(),
            Some(path) => {
                let failed = |source| LoadError::Registry { path: path.clone(), source };
                Registry::read(&read(path)?).map_err(failed)?
            }
        };
        Ok(if self.login { registry.with_login() } else { registry })
    }

    fn endpoint(&self, provider: &Provider, keys: Vec<Credential>) -> EndpointConfig {
        let is_anthropic = provider.id == ANTHROPIC || provider.id == LOGIN;
        let own = self.anthropic_base_url.clone().filter(|_| is_anthropic);
        EndpointConfig {
            id: provider.id.clone(),
            base_url: own.unwrap_or_else(|| provider.base_url.clone()),
            keys,
            headers: provider.headers.clone(),
            betas: provider.betas,
            login: provider.id == LOGIN,
            max_calls: provider.max_calls,
            first_byte: Duration::from_secs(provider.first_byte_s.into()),
        }
    }

    /// The keys that there are for a provider, each once.
    pub fn keys(&self, provider: &Provider) -> Result<Vec<Credential>, LoadError> {
        let mut keys: Vec<Credential> = Vec::new();
        for source in &provider.keys {
            for key in self.keys_of(source)? {
                if !keys.iter().any(|known| known.fingerprint() == key.fingerprint()) {
                    keys.push(key);
                }
            }
        }
        if keys.len() > limits::PROVIDER_KEYS {
            return Err(LoadError::TooManyKeys(provider.id.clone()));
        }
        Ok(keys)
    }

    fn keys_of(&self, source: &KeySource) -> Result<Vec<Credential>, LoadError> {
        let (text, separator) = match &source.place {
            KeyPlace::Variable(name) => (self.variables.get(name).map(|it| it.expose().to_owned()), ','),
            KeyPlace::File(path) => (key_file(Path::new(path))?, '\n'),
        };
        let text = text.unwrap_or_default();
        let keys = text.split(separator).map(str::trim).filter(|key| !key.is_empty());
        let credential = |key| match source.auth {
            Auth::XApiKey => Credential::ApiKey(Secret::new(key)),
            Auth::Bearer => Credential::Bearer(Secret::new(key)),
        };
        Ok(keys.map(str::to_owned).map(credential).collect())
    }

    /// When the files that all this is read from were last changed.
    fn stamps(&self) -> Vec<Option<(SystemTime, u64)>> {
        let keys = self.registry().into_iter().flat_map(|registry| registry.providers).flat_map(|it| it.keys);
        let files = keys.filter_map(|key| match key.place {
            KeyPlace::File(path) => Some(PathBuf::from(path)),
            KeyPlace::Variable(_) => None,
        });
        let stamp = |path: PathBuf| {
            let about = std::fs::metadata(path).ok()?;
            Some((about.modified().ok()?, about.len()))
        };
        self.file.clone().into_iter().chain(files).map(stamp).collect()
    }
}

fn read(path: &Path) -> Result<String, LoadError> {
    let failed = |source| LoadError::File { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > limits::REGISTRY_BYTES {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large")));
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// A file that is not there holds no key.
fn key_file(path: &Path) -> Result<Option<String>, LoadError> {
    match read(path) {
        Ok(text) => Ok(Some(text)),
        Err(LoadError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads everything again when one of its files changes, and on SIGHUP, and tells the store what is offered then.
/// What cannot be used is told to the log and changes nothing. Ends only with the process.
pub async fn watch(sources: Sources, upstream: Arc<Upstream>, store: Arc<dyn Store>, worker: WorkerId) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        warn!("SIGHUP cannot be listened to; the registry of providers is not read again");
        return;
    };
    let mut known = sources.stamps();
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            () = tokio::time::sleep(limits::REGISTRY_LOOK) => false,
        };
        let stamps = sources.stamps();
        if !asked && stamps == known {
            continue;
        }
        known = stamps;
        match sources.load().and_then(|catalog| Ok(upstream.replace(catalog)?)) {
            Ok(()) => {
                info!("the registry of providers was read again");
                tell(store.as_ref(), &worker, &upstream).await;
            }
            Err(error) => {
                warn!(%error, "the registry of providers cannot be used; the one before stays in force");
            }
        }
    }
}

/// Tells the store what this worker offers, as often as it takes.
async fn tell(store: &dyn Store, worker: &WorkerId, upstream: &Upstream) {
    while let Err(error) = store.offer(worker, &upstream.offer()).await {
        warn!(%error, "the store does not take what this worker offers");
        tokio::time::sleep(limits::STORE_RETRY).await;
    }
}
