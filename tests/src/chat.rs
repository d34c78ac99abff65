//! Chat requests, and what a client makes of their answers.

use crate::client::{Events, Frame};
use serde_json::{Value, json};

/// Where chats are asked for.
pub const PATH: &str = "/v1/chat/completions";

/// A request of one user message, for the default model.
pub fn ask(prompt: &str) -> Value {
    json!({"messages": [{"role": "user", "content": prompt}]})
}

/// The same request, to be streamed.
#[must_use]
pub fn streaming(mut body: Value) -> Value {
    body["stream"] = true.into();
    body
}

/// A streamed answer, put together.
#[derive(Debug)]
pub struct Spoken {
    /// Every frame but `[DONE]`, in order.
    pub chunks: Vec<Frame>,
    /// The text, one item per chunk that had any.
    pub pieces: Vec<String>,
    /// The reasoning, likewise.
    pub thoughts: Vec<String>,
    /// Why the model stopped.
    pub finish_reason: Option<String>,
    /// The usage, if the stream told it.
    pub usage: Option<Value>,
    /// The error that ended the stream.
    pub error: Option<ErrorBody>,
    /// Whether `[DONE]` came, as the last frame.
    pub done: bool,
}

/// An error in OpenAI's shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorBody {
    /// For people.
    pub message: String,
    /// OpenAI's class of error.
    pub kind: String,
    /// The parameter at fault.
    pub param: Option<String>,
    /// Stable code.
    pub code: String,
}

impl Spoken {
    /// Reads a stream to its end.
    pub async fn of(events: Events) -> Self {
        let mut chunks = events.all().await;
        let done = chunks.pop_if(|frame| frame.data == "[DONE]").is_some();
        let mut spoken = Self {
            chunks: Vec::new(),
            pieces: Vec::new(),
            thoughts: Vec::new(),
            finish_reason: None,
            usage: None,
            error: None,
            done,
        };
        for frame in chunks {
            spoken.take(&frame.json());
            spoken.chunks.push(frame);
        }
        spoken
    }

    /// All the text.
    pub fn text(&self) -> String {
        self.pieces.concat()
    }

    fn take(&mut self, chunk: &Value) {
        if chunk.get("error").is_some() {
            self.error = Some(ErrorBody::of(chunk));
            return;
        }
        assert_eq!(chunk["object"], "chat.completion.chunk", "{chunk}");
        if chunk["usage"].is_object() {
            assert_eq!(chunk["choices"], json!([]), "the usage comes in a chunk of its own: {chunk}");
            self.usage = Some(chunk["usage"].clone());
        }
        let choice = &chunk["choices"][0];
        let text = |field: &str| choice["delta"][field].as_str().filter(|text| !text.is_empty());
        self.pieces.extend(text("content").map(str::to_owned));
        self.thoughts.extend(text("reasoning_content").map(str::to_owned));
        if let Some(reason) = choice["finish_reason"].as_str() {
            assert_eq!(self.finish_reason.replace(reason.to_owned()), None, "a model stops once");
        }
    }
}

impl ErrorBody {
    /// Reads `{"error": …}`, in which all four keys have to be.
    pub fn of(body: &Value) -> Self {
        let error = body["error"].as_object().unwrap_or_else(|| panic!("no error: {body}"));
        let mut keys: Vec<&str> = error.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["code", "message", "param", "type"], "{body}");
        let text = |key: &str| error[key].as_str().map(str::to_owned);
        Self {
            message: text("message").expect("a message"),
            kind: text("type").expect("a type"),
            param: text("param"),
            code: text("code").expect("a code"),
        }
    }
}
