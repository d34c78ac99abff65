//! Files that clients have uploaded.

use super::id::{FileId, Owner};

/// A file that is there as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Its identifier.
    pub id: FileId,
    /// Who may see it.
    pub owner: Owner,
    /// What its client calls it; never a path of ours.
    pub name: String,
    /// What it is for, in its client's words.
    pub purpose: String,
    /// How large it is.
    pub bytes: u64,
    /// When it came, in milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// From when on it is not there any more.
    pub expires_at_ms: Option<i64>,
}

/// Which files are asked for. In the order of their age, by their identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileQuery {
    /// Whose.
    pub owner: Owner,
    /// For this purpose only.
    pub purpose: Option<String>,
    /// Behind this one, which need not be there any more.
    pub after: Option<FileId>,
    /// The latest first.
    pub latest_first: bool,
    /// So many at most.
    pub limit: u32,
}
