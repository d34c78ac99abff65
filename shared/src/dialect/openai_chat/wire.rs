//! The JSON that chunks and whole answers share.

use schemars::JsonSchema;
use serde::Serialize;

use crate::dialect::Answer;
use crate::schema::dollars::as_dollars;
use crate::schema::{self, JobId, ProjectId, SessionId};

/// The identifier of the completion.
pub(super) fn completion_id(job: JobId) -> String {
    format!("chatcmpl-{}", job.uuid().simple())
}

/// Appends `value` as JSON.
pub(super) fn json(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("a vector takes every byte, and no map here has odd keys");
}

/// Where the job belongs, as earlier Python gateways tell it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChatPlace")]
pub(super) struct Place {
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<ProjectId>,
}

impl Place {
    pub(super) fn of(answer: &Answer) -> Self {
        Self { session_id: answer.session, project_id: answer.project }
    }
}

/// `usage`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChatUsage")]
pub(super) struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
    #[serde(skip_serializing_if = "Cost::is_unasked")]
    cost: Cost,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChatPromptDetails")]
struct PromptDetails {
    cached_tokens: u64,
    audio_tokens: u64,
}

#[derive(Serialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the wire's")]
#[schemars(rename = "ChatCompletionDetails")]
struct CompletionDetails {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
}

impl Usage {
    /// OpenAI's `prompt_tokens` include what was cached; the provider's counts are disjoint.
    pub(super) fn new(usage: &schema::Usage, include_cost: bool) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens(),
            completion_tokens: usage.output_tokens,
            total_tokens: usage.prompt_tokens() + usage.output_tokens,
            prompt_tokens_details: PromptDetails { cached_tokens: usage.cache_read_tokens, audio_tokens: 0 },
            completion_tokens_details: CompletionDetails {
                reasoning_tokens: usage.thinking_tokens,
                audio_tokens: 0,
                accepted_prediction_tokens: 0,
                rejected_prediction_tokens: 0,
            },
            cost: if include_cost { Cost::of(usage) } else { Cost::Unasked },
        }
    }
}

/// What was paid, in US dollars.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "ChatCost")]
enum Cost {
    /// The client has not asked.
    Unasked,
    /// Not every call has a known price.
    Unknown,
    Dollars(f64),
}

impl Cost {
    fn of(usage: &schema::Usage) -> Self {
        match usage.unpriced_calls {
            0 => Self::Dollars(as_dollars(usage.cost_microusd)),
            _ => Self::Unknown,
        }
    }

    fn is_unasked(&self) -> bool {
        matches!(self, Self::Unasked)
    }
}
