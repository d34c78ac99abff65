//! Tickets: what stands for a key for a moment, once.

use async_trait::async_trait;

use super::{Millis, StoreError};
use crate::schema::{KeyDigest, Owner};

/// The part of a store that holds tickets. Of a ticket it knows a digest only, and of the keys behind it theirs.
#[async_trait]
pub trait Tickets: Send + Sync {
    /// Adds a ticket. `false`: `most` of its owner's are good at `now` already, and it is not added.
    async fn add(&self, ticket: &Ticket, most: u32, now: Millis) -> Result<bool, StoreError>;

    /// Takes a ticket away, so that nobody else comes with it. The keys behind it; `None`: there is none, or none that is
    /// good at `now`.
    async fn redeem(&self, digest: &KeyDigest, now: Millis) -> Result<Option<Vec<KeyDigest>>, StoreError>;

    /// Forgets at most `limit` tickets that are over at `now`. Returns how many went.
    async fn expire(&self, now: Millis, limit: u32) -> Result<u64, StoreError>;
}

/// A ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The digest by which it is known.
    pub digest: KeyDigest,
    /// Whose it is.
    pub owner: Owner,
    /// The digests of the keys that it was asked for with; none where nobody needs a key.
    pub keys: Vec<KeyDigest>,
    /// When it is good no more.
    pub expires_at_ms: Millis,
}
