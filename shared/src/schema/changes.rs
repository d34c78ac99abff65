//! What a job has done to the files of its project.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The files that are not what they were when the job began, whatever has changed them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changes {
    /// By path.
    pub files: Vec<FileChange>,
    /// Whether these are all of them: a large workspace is not looked through to its end, and a long list is cut.
    pub complete: bool,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileChange {
    /// The way to it, from the top of the workspace.
    pub path: String,
    /// What has become of it.
    pub change: Change,
}

/// What has become of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// There was none of that name.
    Created,
    /// It is another one, or was written to.
    Changed,
    /// It is gone.
    Deleted,
}
