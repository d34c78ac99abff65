//! API keys, and what is left of what they may use.

use async_trait::async_trait;

use super::{Millis, StoreError};
use crate::schema::{Allowance, ApiKey, Denied, JobSpec, KeyChange, KeyDigest, Owner};

/// The part of a store that holds API keys. Of a key's secret it knows a digest only.
#[async_trait]
pub trait ApiKeys: Send + Sync {
    /// Adds a key, unless there are `most` already that are valid when it is made.
    async fn create(&self, key: &ApiKey, digest: &KeyDigest, most: u32) -> Result<KeyAdded, StoreError>;

    /// All keys, revoked ones included, from the oldest on.
    async fn all(&self) -> Result<Vec<KnownKey>, StoreError>;

    /// A number that rises whenever a key is added, changed or revoked.
    async fn revision(&self) -> Result<i64, StoreError>;

    /// A key.
    async fn find(&self, owner: &Owner) -> Result<Option<ApiKey>, StoreError>;

    /// Changes a key. As it is then; `None`: there is none. Its jobs that wait are held to the new limits when their turn
    /// comes.
    async fn change(&self, owner: &Owner, change: KeyChange) -> Result<Option<ApiKey>, StoreError>;

    /// Revokes a key for good: it asks for nothing more. Its jobs that wait or run go on. As it is then; `None`: there is
    /// none.
    async fn revoke(&self, owner: &Owner, now: Millis) -> Result<Option<ApiKey>, StoreError>;

    /// Notes when keys were last used.
    async fn note_use(&self, used: &[(Owner, Millis)]) -> Result<(), StoreError>;

    /// Forgets what was spent on days before that of `before`, `limit` rows at most. How many that were.
    async fn forget_spent(&self, before: Millis, limit: u32) -> Result<u64, StoreError>;

    /// Why a job would be denied that the key asked for now, for who would rather know before anything else is done. What
    /// counts is what [`Store::enqueue`](super::Store::enqueue) says.
    async fn denied(&self, owner: &Owner, spec: &JobSpec, now: Millis) -> Result<Option<Denied>, StoreError>;

    /// What is left of a key's minute.
    async fn allowance(&self, owner: &Owner, now: Millis) -> Result<Allowance, StoreError>;
}

/// A key with the digest by which it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The key.
    pub key: ApiKey,
    /// Its digest.
    pub digest: KeyDigest,
}

/// What became of a key that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAdded {
    /// It is there.
    Added,
    /// There is one with this secret, or with one whose digest begins alike.
    Known,
    /// There are as many valid ones as there may be.
    Full,
}
