//! What happens in a job, in the one form that is stored and that every dialect is encoded from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::changes::Changes;
use super::failure::Failure;
use super::job::CancelReason;
use super::state::JobState;
use super::usage::Usage;

/// Position of an event in its job: 1 for the first, one more for each next, rising across attempts.
/// 0 stands for "before the first".
pub type Seq = u64;

/// One thing that happened. `match` on it without a wildcard, so that a new event makes the compiler
/// list every place that must decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A worker has taken the job up. Counts from 1.
    AttemptStarted {
        /// Which run of the job this is.
        attempt: u32,
    },
    /// A provider has begun to answer a call of the job's.
    Routed {
        /// Which provider, by its identifier.
        provider: String,
        /// What it calls the model.
        model: String,
        /// How many calls it took, those that failed before included; at least 1.
        attempts: u32,
    },
    /// The model begins a message.
    MessageStarted {
        /// The provider's identifier of the message.
        message_id: String,
        /// The model that answers, as the provider names it.
        model: String,
    },
    /// A content block opens. Indexes count from 0 within the message.
    BlockStarted {
        /// Which block.
        index: u32,
        /// What it will hold.
        block: Block,
    },
    /// More text of a text block.
    TextDelta {
        /// Which block.
        index: u32,
        /// The text, exactly as the model sent it.
        text: String,
    },
    /// More text of a thinking block.
    ThinkingDelta {
        /// Which block.
        index: u32,
        /// The text, exactly as the model sent it.
        thinking: String,
    },
    /// The signature that lets a thinking block be sent back later.
    SignatureDelta {
        /// Which block.
        index: u32,
        /// Opaque.
        signature: String,
    },
    /// More of a tool call's arguments.
    ToolInputDelta {
        /// Which block.
        index: u32,
        /// A piece of JSON text; the pieces concatenate to one JSON object, or to nothing for no arguments.
        partial_json: String,
    },
    /// A content block is complete.
    BlockStopped {
        /// Which block.
        index: u32,
    },
    /// The model has finished its message.
    MessageStopped {
        /// Why.
        stop: StopReason,
        /// The stop sequence that was met, if one was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stop_sequence: Option<String>,
    },
    /// The agent uses one of its own tools. Not a call of the client's tools.
    ToolStarted {
        /// The provider's identifier of the call.
        id: String,
        /// The tool, by the CLI's name.
        name: String,
        /// The command, the path, or what else tells it from others, for people; the client's own, so not for logs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
    },
    /// The agent's tool has ended.
    ToolFinished {
        /// The call that began it.
        id: String,
        /// Whether it told of an error.
        failed: bool,
    },
    /// What the agent's job has done to the files of its project, whichever tool did it. Told once, before the job's
    /// last event.
    FilesChanged(Changes),
    /// Something the client may want to know, that changes nothing in the answer.
    Notice {
        /// Stable, in `snake_case`.
        code: String,
        /// For people.
        message: String,
    },
    /// The CLI said something this version does not know. Its content is not kept.
    Unrecognised {
        /// The line's own `type` (and `/subtype`), or `json` for what is no JSON object.
        kind: String,
    },
    /// One of the answers of a job that wants several says or meets something.
    Choice {
        /// Which answer; counts from 0.
        choice: u32,
        /// What it is: neither terminal nor a choice's again.
        event: Box<Self>,
    },
    /// Terminal: the job is done and its answer whole; of several answers, each.
    Completed {
        /// Why the model stopped.
        stop: StopReason,
        /// The stop sequence that was met, if one was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stop_sequence: Option<String>,
        /// What the provider billed.
        usage: Usage,
    },
    /// Terminal: the job ended with an error.
    Failed {
        /// What went wrong.
        failure: Failure,
        /// What the provider billed all the same.
        usage: Usage,
    },
    /// Terminal: somebody or something called the job off.
    Cancelled {
        /// Who or what.
        reason: CancelReason,
        /// What the provider billed all the same.
        usage: Usage,
    },
    /// Terminal: no worker took the job before its deadline.
    Expired,
}

/// What a content block holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Block {
    /// Text for the client.
    Text,
    /// The model's reasoning.
    Thinking,
    /// Reasoning that the provider encrypted.
    RedactedThinking {
        /// Opaque.
        data: String,
    },
    /// A call of one of the client's tools; its arguments follow as [`Event::ToolInputDelta`].
    ToolUse {
        /// The provider's identifier of the call.
        id: String,
        /// The tool's name.
        name: String,
    },
}

/// Why the model stopped speaking (Anthropic Messages API, `stop_reason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// It had said all.
    EndTurn,
    /// The output limit was reached.
    MaxTokens,
    /// A stop sequence was met.
    StopSequence,
    /// It wants the results of the client's tools.
    ToolUse,
    /// A long turn was paused by the provider.
    PauseTurn,
    /// The provider's classifiers stepped in.
    Refusal,
    /// The context window is full.
    ContextWindowExceeded,
}

/// An event with its place in the job.
#[derive(Clone, Debug, PartialEq)]
pub struct SeqEvent {
    /// Where in the job.
    pub seq: Seq,
    /// Which attempt said it.
    pub attempt: u32,
    /// What happened.
    pub event: Event,
}

impl Event {
    /// The event as one of `choice`, if the job wants several answers.
    #[must_use]
    pub fn of(self, choice: Option<u32>) -> Self {
        match choice {
            Some(choice) => Self::Choice { choice, event: Box::new(self) },
            None => self,
        }
    }

    /// Which of several answers the event belongs to, and what it is.
    pub fn split(&self) -> (Option<u32>, &Self) {
        match self {
            Self::Choice { choice, event } => (Some(*choice), event),
            event => (None, event),
        }
    }

    /// Whether the job has spoken with this event: model content of any kind, or a tool used. A job that has spoken is
    /// never run again by itself.
    pub fn speaks(&self) -> bool {
        match self {
            Self::BlockStarted { .. }
            | Self::TextDelta { .. }
            | Self::ThinkingDelta { .. }
            | Self::SignatureDelta { .. }
            | Self::ToolInputDelta { .. }
            | Self::BlockStopped { .. }
            | Self::ToolStarted { .. }
            | Self::ToolFinished { .. } => true,
            Self::Choice { event, .. } => event.speaks(),
            Self::AttemptStarted { .. }
            | Self::Routed { .. }
            | Self::MessageStarted { .. }
            | Self::MessageStopped { .. }
            | Self::FilesChanged(_)
            | Self::Notice { .. }
            | Self::Unrecognised { .. }
            | Self::Completed { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Expired => false,
        }
    }

    /// The state the job ends in with this event, if it is a terminal one.
    pub fn terminal_state(&self) -> Option<JobState> {
        match self {
            Self::Completed { .. } => Some(JobState::Completed),
            Self::Failed { .. } => Some(JobState::Failed),
            Self::Cancelled { .. } => Some(JobState::Cancelled),
            Self::Expired => Some(JobState::Expired),
            Self::AttemptStarted { .. }
            | Self::Routed { .. }
            | Self::MessageStarted { .. }
            | Self::BlockStarted { .. }
            | Self::TextDelta { .. }
            | Self::ThinkingDelta { .. }
            | Self::SignatureDelta { .. }
            | Self::ToolInputDelta { .. }
            | Self::BlockStopped { .. }
            | Self::MessageStopped { .. }
            | Self::ToolStarted { .. }
            | Self::ToolFinished { .. }
            | Self::FilesChanged(_)
            | Self::Notice { .. }
            | Self::Unrecognised { .. }
            | Self::Choice { .. } => None,
        }
    }
}
