//! A job as api and worker see it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::changes::Changes;
use super::failure::Failure;
use super::id::{JobId, Owner, ProjectId, SessionId, WorkerId};
use super::kept::Keep;
use super::limits;
use super::spec::JobSpec;
use super::state::JobState;
use super::terms::{RequestKey, Terms};
use super::trace::Origin;
use super::usage::Usage;

/// What the api enqueues. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// Minted by the api.
    pub id: JobId,
    /// Who may see it.
    pub owner: Owner,
    /// What to do.
    pub spec: JobSpec,
    /// When it was asked for.
    pub created_at_ms: i64,
    /// When it expires if no worker has taken it by then.
    pub deadline_at_ms: i64,
    /// How many attempts it has; at least 1.
    pub max_attempts: u32,
    /// What it does if its session has a job that waits or runs.
    pub if_busy: IfBusy,
    /// What its client said that its session keeps if it has none of it yet.
    pub told: Told,
    /// How its answer is told, if anybody may ask for it again.
    pub keep: Option<Keep>,
    /// What its client says of it besides.
    pub terms: Terms,
    /// By what its client asks for it again, if by anything.
    pub key: Option<RequestKey>,
    /// The request that it was made of.
    pub origin: Option<Origin>,
    /// How many jobs of its owner's may wait, if others are to find room in the queue as well; those whose time has not come
    /// are counted for themselves.
    pub share: Option<u64>,
}

impl NewJob {
    /// One that is done as soon as may be, with the usual attempts, and of which nothing besides is said. Times are
    /// milliseconds since the Unix epoch.
    pub fn plain(id: JobId, owner: Owner, spec: JobSpec, created_at_ms: i64, deadline_at_ms: i64) -> Self {
        Self {
            id,
            owner,
            spec,
            created_at_ms,
            deadline_at_ms,
            max_attempts: limits::ATTEMPTS,
            if_busy: IfBusy::Wait,
            told: Told::default(),
            keep: None,
            terms: Terms::default(),
            key: None,
            origin: None,
            share: None,
        }
    }

    /// Its row once it is added, before anybody has taken it up.
    pub fn row(&self) -> Job {
        Job {
            id: self.id,
            owner: self.owner.clone(),
            state: JobState::Queued,
            model: self.spec.model.clone(),
            attempts: 0,
            max_attempts: self.max_attempts,
            worker: None,
            created_at_ms: self.created_at_ms,
            deadline_at_ms: self.deadline_at_ms,
            started_at_ms: None,
            finished_at_ms: None,
            failure: None,
            usage: None,
            changes: None,
            session: self.spec.session(),
            project: self.spec.agent.as_ref().map(|agent| agent.project),
            terms: self.terms.clone(),
        }
    }
}

/// What a job does whose session is busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfBusy {
    /// It waits until those before it have ended.
    #[default]
    Wait,
    /// It is not added.
    Refuse,
}

/// What a client said of what its session keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The model, as it named it.
    pub model: Option<String>,
    /// The system prompt.
    pub system: Option<String>,
}

/// A job's row, without its events and its spec's conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its identifier.
    pub id: JobId,
    /// Who may see it.
    pub owner: Owner,
    /// Where it stands.
    pub state: JobState,
    /// The model, as the client named it.
    pub model: String,
    /// How many attempts were begun.
    pub attempts: u32,
    /// How many it has.
    pub max_attempts: u32,
    /// The worker that runs it or ran it last.
    pub worker: Option<WorkerId>,
    /// When it was asked for, in milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// When it expires if no worker has taken it by then.
    pub deadline_at_ms: i64,
    /// When the last attempt began.
    pub started_at_ms: Option<i64>,
    /// When it ended.
    pub finished_at_ms: Option<i64>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// What was billed; `None` until it has ended.
    pub usage: Option<Usage>,
    /// What it has done to the files of its project, if it was an agent's and has ended.
    pub changes: Option<Changes>,
    /// The session that it continues, as long as there is one.
    pub session: Option<SessionId>,
    /// The project that it works in, likewise.
    pub project: Option<ProjectId>,
    /// What its client said of it besides what it is to do.
    pub terms: Terms,
}

/// Who or what called a job off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// Its client asked for it.
    Requested,
    /// Its last reader went away.
    ClientGone,
}

impl CancelReason {
    /// The name in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::ClientGone => "client_gone",
        }
    }

    /// The reason of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Requested, Self::ClientGone].into_iter().find(|reason| reason.as_str() == name)
    }
}
