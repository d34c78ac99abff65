//! Wire formats that clients speak. Their JSON exists in here and nowhere else; everything is pure.
//!
//! A dialect turns a body into a [`Request`], and events into frames. Only parsing can reject; encoding
//! takes whatever events there are and never fails.

pub mod granularity;
pub mod openai_chat;
mod promises;
pub mod rejection;
pub mod shape;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::schema::offer::Setting;
use crate::schema::{
    AgentOptions, Event, FileId, IfBusy, JobId, JobSpec, Keep, Metadata, OutputFormat, Priority, ProjectId,
    SeqEvent, SessionId, Tool,
};

pub use crate::schema::Delivery;
pub use granularity::Granularity;
pub use rejection::Rejection;

/// Every dialect, in the order in which documents list them.
pub const ALL: [&dyn Dialect; 1] = [&openai_chat::OpenAiChat];

/// One wire format.
pub trait Dialect: Send + Sync {
    /// For logs and metrics, in `snake_case`.
    fn name(&self) -> &'static str;

    /// Reads a request body.
    fn parse(&self, body: &[u8], beside: &Beside) -> Result<Request, Rejection>;

    /// The uploaded files that a body shows, each once; of one that cannot be read none.
    fn files(&self, body: &[u8]) -> Vec<FileId>;

    /// A streaming encoder for one answer.
    fn stream(&self, answer: &Answer) -> Box<dyn StreamEncoder>;

    /// The whole answer from all events of a job that ended: the body of a 200, or the rejection that
    /// its failure, cancellation or expiry stands for.
    fn whole(&self, answer: &Answer, events: &[SeqEvent]) -> Result<Vec<u8>, Rejection>;

    /// The parameter by which a request asks for a setting.
    fn parameter(&self, setting: Setting) -> &'static str;

    /// The parameter by which it limits the answer.
    fn limit(&self) -> &'static str;

    /// The parameter by which it asks for an agent; what an agent may do stands in it, by the same names in every
    /// dialect.
    fn agent(&self) -> &'static str {
        "agent"
    }

    /// The body of an error answer.
    fn error(&self, rejection: &Rejection) -> Vec<u8>;
}

/// What bears on a request and stands outside of its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// The model for a body that names none.
    pub default_model: Option<String>,
    /// The header [`SESSION_HEADER`], by which a client may name a session as well.
    pub session: Option<String>,
    /// Whether the client would rather not wait for the answer (RFC 7240, `Prefer: respond-async`).
    pub prefers_async: bool,
    /// The files that it shows, as far as they are there.
    pub uploads: Uploads,
}

/// Uploaded files.
pub type Uploads = BTreeMap<FileId, Upload>;

/// A file that a client has uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// What its client calls it.
    pub name: String,
    /// All that it holds.
    pub content: Vec<u8>,
}

/// Names the session of a request, and of an answer.
pub const SESSION_HEADER: &str = "x-drover-session-id";

/// Events in, server-sent events out.
pub trait StreamEncoder: Send {
    /// Appends the frames of one event to `out`, each as it goes over the wire (`data: …\n\n`). One event
    /// may give none, one or several. A terminal event gives everything that closes the stream, the
    /// error frame included.
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>);
}

/// What a client asked for, and how it wants the answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The job.
    pub spec: JobSpec,
    /// Whether the client has named the model. If not, it is the session's or the default one; it is empty where only
    /// the session can tell.
    pub names_model: bool,
    /// The session that it continues or begins; the job's own is still to be found.
    pub session: Option<SessionWish>,
    /// The agent that is to do it, if one is asked for; a session that is an agent's asks for one as well. The job's own
    /// [`AgentSpec`](crate::schema::AgentSpec) is still to be found.
    pub agent: Option<AgentWish>,
    /// What the model's name asks for, if there is no model of that name.
    pub agent_by_name: Option<AgentByName>,
    /// What speaks against an agent, if the session that is named should be an agent's.
    pub unfit_for_agent: Option<Rejection>,
    /// The calls that the first messages answer, if they are none of this request's: the session's last turn should have
    /// made them.
    pub answered: Vec<Answered>,
    /// How the client takes the answer.
    pub delivery: Delivery,
    /// What else it says of its job.
    pub terms: TermsWish,
    /// What the answer is to tell of the usage.
    pub usage: UsageWish,
    /// What form it is to have.
    pub form: Form,
    /// The labels of the answer, if it is to be kept.
    pub keep: Option<Metadata>,
    /// Whether what no provider of the model takes is to be left out instead of refused.
    pub drop_unsupported: bool,
    /// Fields of the body that mean nothing here; named to the client in a response header.
    pub ignored: Vec<String>,
}

/// What a request says of its job besides what it is to do. Times are milliseconds since the Unix epoch, and not yet held
/// against the present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TermsWish {
    /// The job's place in the queue.
    pub priority: Priority,
    /// When it is to be taken up at the earliest; only for jobs in the background. Every dialect calls it `run_at`.
    pub run_at_ms: Option<i64>,
    /// When it expires if nobody has taken it by then. Every dialect calls it `deadline`.
    pub deadline_ms: Option<i64>,
    /// The client's labels, each once.
    pub tags: Vec<String>,
}

/// What an answer is to tell of the usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageWish {
    /// Whether a stream ends with it; an answer in one piece always has it.
    pub streamed: bool,
    /// Whether it tells the cost.
    pub cost: bool,
}

/// What form an answer is to have. Goes from the request to the answer unread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Form {
    /// What shape it has to have.
    pub output: Option<OutputFormat>,
    /// The tools that the client can run, as far as [their calls are held against them](Tool::promised).
    pub tools: Arc<[Tool]>,
    /// Whether the call of a tool is told in the dialect's older way, which knows one call per answer.
    pub older_calls: bool,
    /// Whether an agent's tools are told of as reasoning.
    pub activity: bool,
    /// In what pieces a stream tells it.
    pub granularity: Granularity,
}

/// Which session a request continues or begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionWish {
    /// The session to go on with; `None` for a new one.
    pub known: Option<SessionId>,
    /// What becomes of the request if the session is busy.
    pub if_busy: IfBusy,
}

/// A call that a message answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The call's identifier.
    pub id: String,
    /// Where it stands in the request.
    pub path: String,
}

/// A model's name that ends with [`AGENT_SUFFIX`](crate::schema::agent::AGENT_SUFFIX), which may be all of its name.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentByName {
    /// The name without the suffix.
    pub model: String,
    /// The agent that it asks for, or what speaks against it.
    pub wish: Result<AgentWish, Rejection>,
}

/// Where an agent is to work and what it may do, as far as the client says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentWish {
    /// The project that a new session works in; without it a new one.
    pub project: Option<ProjectId>,
    /// What it may do; the names of tools and servers are as they came.
    pub options: AgentOptions,
    /// Whether the client said which MCP servers it wants, be it none.
    pub names_servers: bool,
    /// Whether the answer tells of its tools as reasoning.
    pub activity: bool,
}

/// What every encoder needs to know of the job it answers for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The job; the dialect derives its own ids from it.
    pub job: JobId,
    /// The model, as the client named it.
    pub model: String,
    /// When the job was asked for, in seconds since the Unix epoch.
    pub created_s: i64,
    /// What to tell of the usage.
    pub usage: UsageWish,
    /// What form it has, as the request said.
    pub form: Form,
    /// The session that the job continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The project that an agent works in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
}

impl Answer {
    /// What is to be kept with the job for the answer to be told again; stored under these labels, if it has any.
    #[expect(clippy::missing_panics_doc, reason = "it holds no map with odd keys, so it can be written")]
    pub fn keep(&self, dialect: &dyn Dialect, labels: Option<Metadata>) -> Keep {
        let form = serde_json::to_string(self).expect("it holds no map with odd keys");
        let stored = labels.is_some();
        Keep { dialect: dialect.name().to_owned(), form, stored, metadata: labels.unwrap_or_default() }
    }

    /// The same back; `None` for what no version of this one has kept.
    pub fn kept(keep: &Keep) -> Option<Self> {
        serde_json::from_str(&keep.form).ok()
    }
}
