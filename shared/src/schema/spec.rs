//! What a client asked for, in canonical form.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::agent::AgentOptions;
use super::id::{ProjectId, SessionId};
use super::media::Source;
use super::network::HostRule;
use super::output::OutputFormat;
use super::tool::{Tool, ToolChoice};

/// Everything a worker needs to run a job. Kept in the job's row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The model, as the client named it.
    pub model: String,
    /// The system prompt; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub system: String,
    /// The conversation, oldest first; the last turn is the user's.
    pub turns: Vec<Turn>,
    /// How the model is to speak.
    #[serde(default)]
    pub sampling: Sampling,
    /// The client's tools, in the order in which the model is told of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Which of them the model may or must call; `None` leaves it to the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may call several at once; `None` leaves it to the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    /// What shape the answer is to have; `None` for free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputFormat>,
    /// How many answers are wanted, where it is more than one; never an agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<NonZeroU32>,
    /// What a job of the agent class needs besides; without it the job is of the chat class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentSpec>,
    /// The session that a chat goes on with, if it is not a conversation of its own; an agent's is in `agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<SessionId>,
}

impl JobSpec {
    /// Which kind of CLI process runs it.
    pub fn class(&self) -> Class {
        if self.agent.is_some() { Class::Agent } else { Class::Chat }
    }

    /// The session that it continues, a chat's or an agent's.
    pub fn session(&self) -> Option<SessionId> {
        self.agent.as_ref().map(|agent| agent.session).or(self.chat)
    }
}

/// Which kind of CLI process a job needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A plain conversation: no tools of the agent's, the client's system prompt.
    Chat,
    /// Claude Code with its own tools, at work in a project.
    Agent,
}

impl Class {
    /// The name in logs, metrics and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Agent => "agent",
        }
    }
}

/// What a job of the agent class needs. Its `turns` are what is new: the CLI knows the rest of the session,
/// or reads it from the transcript that the store keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSpec {
    /// The conversation that it continues; one job at a time.
    pub session: SessionId,
    /// The workspace that it works in; one job at a time.
    pub project: ProjectId,
    /// The hosts that its tools may reach; empty for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network: Vec<HostRule>,
    /// What it may do there.
    #[serde(flatten)]
    pub options: AgentOptions,
}

/// One turn of the conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Whose.
    pub role: Role,
    /// What was said; never empty, and no text part is empty.
    pub parts: Vec<Part>,
}

impl Turn {
    /// How many messages clients make of it: one for the result of each tool, and one for all else.
    pub fn messages(&self) -> u64 {
        let is_result = |part: &&Part| matches!(part, Part::ToolResult { .. });
        let results = self.parts.iter().filter(is_result).count();
        let all_else = usize::from(results < self.parts.len());
        u64::try_from(results + all_else).unwrap_or(u64::MAX)
    }
}

/// Who speaks in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The client.
    User,
    /// The model.
    Assistant,
}

/// A piece of a turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Text, exactly as the client sent it.
    Text {
        /// The text; never empty.
        text: String,
    },
    /// An image; in the client's turns and in what its tools say.
    Image {
        /// Where it is.
        source: Source,
    },
    /// A document, there too.
    Document {
        /// Where it is.
        source: Source,
        /// What the client calls it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
    },
    /// A call of one of the client's tools; only in the model's turns.
    ToolUse {
        /// The identifier by which its result names it.
        id: String,
        /// The tool's name.
        name: String,
        /// The arguments.
        input: Map<String, Value>,
    },
    /// What came of a call in the model's turn before; only in the client's turns, before all else.
    ToolResult {
        /// Of which call.
        tool_use_id: String,
        /// What the tool said; may be empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        content: Vec<Part>,
        /// Whether it tells of an error.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
}

impl Part {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text { text } => Some(text),
            Self::Image { .. } | Self::Document { .. } | Self::ToolUse { .. } | Self::ToolResult { .. } => {
                None
            }
        }
    }
}

/// What the CLI has no flag for; the relay puts it into the upstream body.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 to 1, as the Anthropic API takes it (a dialect with another range refuses what lies outside).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Most tokens to answer with; `None` leaves it to the model's own limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Texts at which the model stops.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// From how many of the likeliest tokens the next one is drawn; at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// How much the model is to think; `None` leaves it to the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<ThinkingWish>,
    /// How soon it is to be served; `None` leaves it to the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<ServiceTier>,
    /// Who the end user is, as the client tells them apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// How much a model is to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThinkingWish {
    /// Not at all.
    Off,
    /// At most so many tokens.
    Budget(u32),
    /// As much as it finds right for this effort.
    Effort(Effort),
}

impl ThinkingWish {
    /// Whether it is to think at all.
    pub fn is_on(self) -> bool {
        self != Self::Off
    }
}

/// How hard a model is to try (Anthropic Messages API, `output_config.effort`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say all")]
pub enum Effort {
    Low,
    Medium,
    High,
}

/// How soon a request is served (Anthropic Messages API, `service_tier`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceTier {
    /// With priority where the account has any left.
    Auto,
    /// As everybody.
    StandardOnly,
}
