//! Where agents work, and conversations that later jobs continue.

use serde::{Deserialize, Serialize};

use super::id::{JobId, Owner, ProjectId, SessionId};
use super::network::HostRule;
use super::spec::Turn;

/// A workspace: a directory of files in which agents work, one job at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Its identifier.
    pub id: ProjectId,
    /// Who may work in it.
    pub owner: Owner,
    /// What people call it; may be empty.
    pub name: String,
    /// What they say of it; may be empty.
    pub description: String,
    /// The hosts that jobs in it may reach; empty for none.
    pub network: Vec<HostRule>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// When the fields above were last changed.
    pub updated_at_ms: i64,
}

impl Project {
    /// A project without a name that reaches nothing.
    pub fn new(id: ProjectId, owner: Owner, now_ms: i64) -> Self {
        Self {
            id,
            owner,
            name: String::new(),
            description: String::new(),
            network: Vec::new(),
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        }
    }
}

/// What is to become of a project's fields; `None` leaves one as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the project's")]
pub struct ProjectChange {
    pub name: Option<String>,
    pub description: Option<String>,
    pub network: Option<Vec<HostRule>>,
}

/// A conversation, continued by one job after another: a chat, or with an agent in a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its identifier.
    pub id: SessionId,
    /// Who may continue it.
    pub owner: Owner,
    /// Where its agent works; a chat has no project.
    pub project: Option<ProjectId>,
    /// What people call it; may be empty.
    pub title: String,
    /// The model of jobs whose requests name none.
    pub model: Option<String>,
    /// The system prompt of jobs whose requests give none.
    pub system: Option<String>,
    /// Messages of its history, counted as by [`Turn::messages`].
    pub message_count: u64,
    /// Tokens that its jobs were billed, in and out.
    pub total_tokens: u64,
    /// What that cost, in millionths of a US dollar.
    pub cost_microusd: u64,
    /// When it began, in milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// When it was last written to.
    pub updated_at_ms: i64,
}

impl Session {
    /// A session in which nothing has been said.
    pub fn new(id: SessionId, owner: Owner, project: Option<ProjectId>, now_ms: i64) -> Self {
        Self {
            id,
            owner,
            project,
            title: String::new(),
            model: None,
            system: None,
            message_count: 0,
            total_tokens: 0,
            cost_microusd: 0,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        }
    }
}

/// What is to become of a session's fields; `None` leaves one as it is, an inner `None` clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the session's")]
pub struct SessionChange {
    pub title: Option<String>,
    pub model: Option<Option<String>>,
    pub system: Option<Option<String>>,
}

/// A turn of a session's history.
#[derive(Clone, Debug, PartialEq)]
pub struct PastTurn {
    /// Its place; counts from 1.
    pub seq: u64,
    /// The job that added it.
    pub job: JobId,
    /// When it was added, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What was said.
    pub turn: Turn,
}

/// The sessions of a key, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionSums {
    /// How many there are.
    pub sessions: u64,
    /// How many of them are an agent's.
    pub agent_sessions: u64,
    /// Messages of their histories.
    pub messages: u64,
    /// Tokens that their jobs were billed.
    pub total_tokens: u64,
    /// What that cost, in millionths of a US dollar.
    pub cost_microusd: u64,
}

/// Which part of a list is asked for. Lists are in the order in which their items were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<Id> {
    /// Whether the newest comes first.
    pub newest_first: bool,
    /// Only what follows this one.
    pub after: Option<Id>,
    /// How many to pass over.
    pub skip: u64,
    /// How many at most.
    pub limit: u32,
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// What was asked for.
    pub items: Vec<T>,
    /// How many there are altogether.
    pub total: u64,
    /// Whether more follow.
    pub has_more: bool,
}
