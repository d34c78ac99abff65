//! The keys that are known here: the configured ones, and those of the store, which are remembered for a short time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use drover_shared::schema::{ApiKey, KeyDigest, Owner, Scope, Scopes, limits};
use drover_shared::store::{Millis, Store, StoreError};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use tokio::time::{Instant, timeout};

use super::{Caller, owner_of, refusal};
use crate::clock::Clock;
use crate::error::Problem;

/// Whoever comes with one of them is let in. Of configured keys only the digests are kept.
pub(crate) struct Keys {
    configured: Vec<KeyDigest>,
    store: Arc<dyn Store>,
    clock: Clock,
    memory: Mutex<Memory>,
    /// Held by the one that asks the store. The others go on with what was known before, or wait for what it learns.
    asking: tokio::sync::Mutex<()>,
    /// When keys were used since that was last written down.
    used: Mutex<HashMap<Owner, Millis>>,
}

/// What is known, or why nothing is.
type Told = Result<Arc<Book>, StoreError>;

/// What the store has told of keys, and whether it has failed to since.
#[derive(Default)]
struct Memory {
    known: Option<Known>,
    failed: Option<(Instant, StoreError)>,
}

struct Known {
    revision: i64,
    checked: Instant,
    book: Arc<Book>,
}

impl Memory {
    /// What is to be said without asking: what was learned a moment ago, be it that the store does not tell.
    fn recent(&self) -> Option<Told> {
        if let Some(known) = self.known.as_ref().filter(|known| known.checked.elapsed() < limits::KEYS_FRESH)
        {
            return Some(Ok(Arc::clone(&known.book)));
        }
        let (_, error) = self.failed.as_ref().filter(|(at, _)| at.elapsed() < limits::KEYS_RETRY)?;
        Some(self.former().ok_or_else(|| error.again()))
    }

    /// What there is to go on with while the store does not tell.
    fn former(&self) -> Option<Arc<Book>> {
        let known = self.known.as_ref().filter(|known| known.checked.elapsed() < limits::KEYS_KEPT)?;
        Some(Arc::clone(&known.book))
    }
}

/// What is kept of a key that somebody brings.
pub(crate) fn digest(key: &[u8]) -> KeyDigest {
    Sha256::digest(key).into()
}

/// All keys of the store, by their digests. Looking there tells by its time no more than whether a digest is known, and
/// nobody chooses a key by its digest; what is found is compared in constant time all the same.
#[derive(Default)]
struct Book(HashMap<KeyDigest, Arc<ApiKey>>);

impl Keys {
    pub(crate) fn new(configured: &[String], store: Arc<dyn Store>, clock: Clock) -> Self {
        let digests = configured.iter().filter(|key| !key.is_empty()).map(|key| digest(key.as_bytes()));
        Self {
            configured: digests.collect(),
            store,
            clock,
            memory: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            used: Mutex::default(),
        }
    }

    /// Whether nobody comes in without a key: one is configured, or the store has one, and be it that it has expired.
    pub(crate) async fn any(&self) -> Result<bool, StoreError> {
        Ok(!self.configured.is_empty() || !self.book().await?.0.is_empty())
    }

    /// Whether there are several that could ask for jobs, each of which is to find room in the queue.
    pub(crate) async fn several(&self) -> Result<bool, StoreError> {
        let (book, now) = (self.book().await?, self.clock.now_ms());
        let asks = |key: &&Arc<ApiKey>| {
            key.is_valid(now)
                && [Scope::Chat, Scope::Jobs].into_iter().any(|scope| key.scopes.contains(scope))
        };
        let configured = self.configured.iter().filter(|digest| !book.0.contains_key(*digest)).count();
        Ok(configured + book.0.values().filter(asks).take(2).count() > 1)
    }

    /// Whoever holds one of the keys. While there is none, and has never been, everybody is welcome, whatever they bring.
    pub(crate) async fn holder(&self, digests: &[KeyDigest]) -> Result<Caller, Problem> {
        let book = self.book().await?;
        if self.configured.is_empty() && book.0.is_empty() {
            return Ok(Caller::anonymous());
        }
        if digests.is_empty() {
            return Err(refusal(
                "No API key was given. Send it as `Authorization: Bearer KEY` or as `x-api-key: KEY`.",
            )
            .into());
        }
        let mut refused = None;
        for digest in digests {
            match self.judge(&book, digest) {
                Ok(caller) => return Ok(caller),
                // What is said of a key that is known tells more than that another one is not.
                Err(Some(why)) => refused = refused.or(Some(why)),
                Err(None) => {}
            }
        }
        Err(refusal(refused.unwrap_or("The API key is not valid here.")).into())
    }

    /// Whose key it is, or why it opens nothing; `None`: nobody knows it. A key that is configured and in the store is the
    /// store's: whoever limits or revokes it there means it.
    fn judge(&self, book: &Book, digest: &KeyDigest) -> Result<Caller, Option<&'static str>> {
        let Some(key) = book.find(digest) else { return self.configured(digest).ok_or(None) };
        let now = self.clock.now_ms();
        if key.revoked_at_ms.is_some() {
            return Err(Some("The API key was revoked."));
        }
        if !key.is_valid(now) {
            return Err(Some("The API key has expired."));
        }
        self.used().insert(key.owner.clone(), now);
        Ok(Caller { owner: key.owner.clone(), scopes: key.scopes, key: Some(key) })
    }

    fn configured(&self, digest: &KeyDigest) -> Option<Caller> {
        let mut found = Choice::from(0);
        for configured in &self.configured {
            found |= configured.ct_eq(digest);
        }
        bool::from(found).then(|| Caller { owner: owner_of(digest), scopes: Scopes::all(), key: None })
    }

    /// What the store knows, or has known a moment ago. So a flood of wrong keys neither fills memory nor has the store
    /// asked more often than any other; nor does a store that fails or is slow have everybody ask it in turn.
    async fn book(&self) -> Told {
        let (recent, former) = self.recall();
        if let Some(recent) = recent {
            return recent;
        }
        let _turn = match former {
            Some(former) => match self.asking.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(former),
            },
            None => self.asking.lock().await,
        };
        // Somebody may have learned it meanwhile.
        let (recent, former) = self.recall();
        if let Some(recent) = recent {
            return recent;
        }
        let learned = if former.is_some() {
            let late = |_| StoreError::Unavailable("keys were not told in time".to_owned());
            timeout(limits::KEYS_RETRY, self.ask()).await.map_err(late).flatten()
        } else {
            self.ask().await
        };
        let mut memory = self.memory();
        match learned {
            Ok(known) => {
                let book = Arc::clone(&known.book);
                *memory = Memory { known: Some(known), failed: None };
                Ok(book)
            }
            Err(error) => {
                tracing::warn!(%error, "the store does not tell which keys there are");
                memory.failed = Some((Instant::now(), error.again()));
                memory.former().ok_or(error)
            }
        }
    }

    fn recall(&self) -> (Option<Told>, Option<Arc<Book>>) {
        let memory = self.memory();
        (memory.recent(), memory.former())
    }

    async fn ask(&self) -> Result<Known, StoreError> {
        let revision = self.store.keys().revision().await?;
        let same = self
            .memory()
            .known
            .as_ref()
            .filter(|known| known.revision == revision)
            .map(|known| Arc::clone(&known.book));
        let book = if let Some(book) = same {
            book
        } else {
            let all = self.store.keys().all().await?.into_iter();
            Arc::new(Book(all.map(|known| (known.digest, Arc::new(known.key))).collect()))
        };
        // From its answer on: who waited for a slow one does not ask it again.
        Ok(Known { revision, checked: Instant::now(), book })
    }

    /// What was changed here counts here at once: who is asking now may have been told what was before.
    pub(crate) async fn forget(&self) {
        let _turn = self.asking.lock().await;
        *self.memory() = Memory::default();
    }

    /// Writes down which keys were used.
    pub(crate) async fn note_use(&self) -> Result<(), StoreError> {
        let used: Vec<(Owner, Millis)> = self.used().drain().collect();
        if used.is_empty() { Ok(()) } else { self.store.keys().note_use(&used).await }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn used(&self) -> std::sync::MutexGuard<'_, HashMap<Owner, Millis>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn find(&self, digest: &KeyDigest) -> Option<Arc<ApiKey>> {
        let (known, key) = self.0.get_key_value(digest)?;
        bool::from(known.ct_eq(digest)).then(|| Arc::clone(key))
    }
}
