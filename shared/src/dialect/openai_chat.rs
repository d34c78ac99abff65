//! OpenAI Chat Completions.

use super::{Answer, Dialect, Rejection, Request, StreamEncoder};
use crate::schema::SeqEvent;

/// `POST /v1/chat/completions`.
pub struct OpenAiChat;

impl Dialect for OpenAiChat {
    fn name(&self) -> &'static str {
        "openai_chat"
    }
    fn parse(&self, _body: &[u8], _default_model: Option<&str>) -> Result<Request, Rejection> {
        Err(Rejection::new(501, "unbuilt", "not built yet"))
    }
    fn stream(&self, _answer: &Answer) -> Box<dyn StreamEncoder> {
        unreachable!()
    }
    fn whole(&self, _answer: &Answer, _events: &[SeqEvent]) -> Result<Vec<u8>, Rejection> {
        Err(Rejection::new(501, "unbuilt", "not built yet"))
    }
    fn error(&self, _rejection: &Rejection) -> Vec<u8> {
        Vec::new()
    }
}
