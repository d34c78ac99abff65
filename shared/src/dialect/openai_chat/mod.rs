//! OpenAI Chat Completions (OpenAI API specification 2.3.0, `POST /v1/chat/completions`).
//!
//! Extended by `reasoning_content`, which OpenAI's own API lacks and clients of other models know.

mod activity;
mod admission;
mod agent;
mod calls;
mod choice;
mod content;
pub mod described;
mod ending;
mod error;
pub mod files;
mod json;
pub mod listing;
mod media;
mod messages;
mod origins;
mod output;
pub mod parameters;
mod past;
mod reader;
mod request;
mod responses_body;
mod session;
mod settings;
pub mod stored;
mod stream;
mod table;
mod terms;
#[cfg(test)]
mod tests;
mod tools;
mod uploads;
mod whole;
mod wire;

use super::granularity::in_pieces;
use super::{Answer, Beside, Dialect, Rejection, Request, StreamEncoder};
use crate::schema::offer::Setting;
use crate::schema::{FileId, SeqEvent};

pub use self::past::messages_of;

const NAME: &str = "openai_chat";

/// `POST /v1/chat/completions`.
pub struct OpenAiChat;

impl Dialect for OpenAiChat {
    fn name(&self) -> &'static str {
        NAME
    }

    fn parse(&self, body: &[u8], beside: &Beside) -> Result<Request, Rejection> {
        request::parse(body, beside)
    }

    fn files(&self, body: &[u8]) -> Vec<FileId> {
        request::files(body)
    }

    fn stream(&self, answer: &Answer) -> Box<dyn StreamEncoder> {
        in_pieces(answer.form.granularity, Box::new(stream::ChunkEncoder::new(answer)))
    }

    fn whole(&self, answer: &Answer, events: &[SeqEvent]) -> Result<Vec<u8>, Rejection> {
        whole::fold(answer, events)
    }

    fn parameter(&self, setting: Setting) -> &'static str {
        match setting {
            Setting::Temperature => "temperature",
            Setting::TopP => "top_p",
            Setting::TopK => "top_k",
            Setting::Stop => "stop",
            Setting::Thinking => "reasoning_effort",
            Setting::ToolChoice => "tool_choice",
            Setting::ParallelTools => "parallel_tool_calls",
            Setting::ServiceTier => "service_tier",
            Setting::User => "user",
            Setting::Tools => "tools",
            Setting::Images => "messages",
            Setting::OutputFormat => "response_format",
        }
    }

    fn limit(&self) -> &'static str {
        "max_completion_tokens"
    }

    fn error(&self, rejection: &Rejection) -> Vec<u8> {
        error::body(rejection)
    }
}
