//! The keys that are known here: the configured ones, and those of the store, which are remembered for a short time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use drover_shared::schema::{ApiKey, KeyDigest, Owner, Scopes, limits};
use drover_shared::store::{Millis, Store, StoreError};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use tokio::time::Instant;

use super::{Caller, owner_of, refusal};
use crate::clock::Clock;
use crate::error::Problem;

/// Whoever comes with one of them is let in. Of configured keys only the digests are kept.
pub(crate) struct Keys {
    configured: Vec<KeyDigest>,
    store: Arc<dyn Store>,
    clock: Clock,
    /// One asks the store at a time; the others wait for what it learns.
    memory: tokio::sync::Mutex<Option<Memory>>,
    /// When keys were used since that was last written down.
    used: Mutex<HashMap<Owner, Millis>>,
}

struct Memory {
    revision: i64,
    checked: Instant,
    book: Arc<Book>,
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
            memory: tokio::sync::Mutex::default(),
            used: Mutex::default(),
        }
    }

    /// Whether anybody could come with a key: one that is configured, or valid in the store.
    pub(crate) async fn any(&self) -> Result<bool, StoreError> {
        let now = self.clock.now_ms();
        Ok(!self.configured.is_empty() || self.book().await?.0.values().any(|key| key.is_valid(now)))
    }

    /// Whoever holds one of the keys. While there is none, and has never been, everybody is welcome, whatever they bring.
    pub(crate) async fn holder(&self, digests: &[KeyDigest]) -> Result<Caller, Problem> {
        if let Some(caller) = digests.iter().find_map(|digest| self.configured(digest)) {
            return Ok(caller);
        }
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
        let Some(key) = digests.iter().find_map(|digest| book.find(digest)) else {
            return Err(refusal("The API key is not valid here.").into());
        };
        let now = self.clock.now_ms();
        if key.revoked_at_ms.is_some() {
            return Err(refusal("The API key was revoked.").into());
        }
        if !key.is_valid(now) {
            return Err(refusal("The API key has expired.").into());
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
    /// asked more often than any other.
    async fn book(&self) -> Result<Arc<Book>, StoreError> {
        let mut memory = self.memory.lock().await;
        if let Some(memory) = memory.as_ref().filter(|memory| memory.checked.elapsed() < limits::KEYS_FRESH) {
            return Ok(Arc::clone(&memory.book));
        }
        let checked = Instant::now();
        let revision = self.store.keys().revision().await?;
        let same = memory.as_ref().filter(|memory| memory.revision == revision);
        let book = if let Some(memory) = same {
            Arc::clone(&memory.book)
        } else {
            let all = self.store.keys().all().await?.into_iter();
            Arc::new(Book(all.map(|known| (known.digest, Arc::new(known.key))).collect()))
        };
        *memory = Some(Memory { revision, checked, book: Arc::clone(&book) });
        Ok(book)
    }

    /// What was changed here counts here at once.
    pub(crate) async fn forget(&self) {
        *self.memory.lock().await = None;
    }

    /// Writes down which keys were used.
    pub(crate) async fn note_use(&self) -> Result<(), StoreError> {
        let used: Vec<(Owner, Millis)> = self.used().drain().collect();
        if used.is_empty() { Ok(()) } else { self.store.keys().note_use(&used).await }
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
