//! Where agents work, and what they continue there.

use serde::{Deserialize, Serialize};

use super::id::{Owner, ProjectId, SessionId};
use super::network::HostRule;

/// A workspace: a directory of files in which agents work, one job at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Its identifier.
    pub id: ProjectId,
    /// Who may work in it.
    pub owner: Owner,
    /// What people call it.
    pub name: String,
    /// The hosts that jobs in it may reach; empty for none.
    pub network: Vec<HostRule>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at_ms: i64,
}

/// A conversation with an agent in a project, continued by one job after another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its identifier.
    pub id: SessionId,
    /// Who may continue it.
    pub owner: Owner,
    /// Where it works.
    pub project: ProjectId,
    /// When it began, in milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// When it was last written to.
    pub updated_at_ms: i64,
}
