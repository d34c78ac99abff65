//! The client's tools: what the model may call, and who answers it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A tool of the client's. The model calls it, the client runs it and comes back with the result in a job of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// What the model calls it: 1 to 64 letters, digits, `_` and `-`. No two tools of a job have one name.
    pub name: String,
    /// What it is for, in the client's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON schema of its arguments, exactly and in the order in which the client gave it.
    pub input_schema: Map<String, Value>,
    /// Whether the arguments must match the schema (Anthropic API, `strict`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
}

impl Tool {
    /// What its calls are held against: its name, and its schema where arguments must match.
    #[must_use]
    pub fn promised(&self) -> Self {
        let input_schema = if self.strict { self.input_schema.clone() } else { Map::new() };
        Self { name: self.name.clone(), description: None, input_schema, strict: self.strict }
    }
}

/// Which tools the model may or must call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToolChoice {
    /// Any or none, as it finds right. It is what happens anyway.
    Auto,
    /// One at least.
    Any,
    /// None.
    None,
    /// This one.
    Tool {
        /// Its name.
        name: String,
    },
}
