//! Files that clients have uploaded.

use async_trait::async_trait;

use super::{Millis, StoreError};
use crate::schema::{FileId, FileQuery, Owner, StoredFile};

/// The part of a store that holds files. One comes in pieces and is seen once it is finished, until it expires or is
/// deleted. What is another owner's is not there.
#[async_trait]
pub trait Files: Send + Sync {
    /// Begins a file.
    async fn begin(&self, owner: &Owner, id: FileId, now: Millis) -> Result<(), StoreError>;

    /// Adds the piece of this number, from 0 on, to a file that is not finished. All files of an owner hold at most
    /// `quota` bytes together, those under way included.
    async fn add(&self, id: FileId, number: u32, piece: &[u8], quota: u64) -> Result<PieceAdded, StoreError>;

    /// Lets a file that was begun be seen. `false`: it is gone.
    async fn finish(&self, file: &StoredFile) -> Result<bool, StoreError>;

    /// A file.
    async fn find(&self, owner: &Owner, id: FileId, now: Millis) -> Result<Option<StoredFile>, StoreError>;

    /// Many of them, and one more than the limit if there are more.
    async fn list(&self, query: &FileQuery, now: Millis) -> Result<Vec<StoredFile>, StoreError>;

    /// The piece of this number; `None` behind the last one.
    async fn piece(&self, id: FileId, number: u32) -> Result<Option<Vec<u8>>, StoreError>;

    /// Deletes a file, finished or not. `false`: there is none.
    async fn delete(&self, owner: &Owner, id: FileId) -> Result<bool, StoreError>;

    /// Deletes at most `limit` files that have expired, or were begun before `stale` and never finished. Returns how
    /// many.
    async fn expire(&self, stale: Millis, now: Millis, limit: u32) -> Result<u64, StoreError>;
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceAdded {
    /// It is stored.
    Stored,
    /// Its owner's files would hold more than they may.
    QuotaFull,
    /// The file is gone, or finished.
    Gone,
}
