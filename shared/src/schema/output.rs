//! What shape an answer is to have.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The shape of an answer's text, where it is not free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OutputFormat {
    /// Any JSON object.
    Object,
    /// JSON that matches a schema.
    Schema {
        /// The schema, exactly and in the order in which the client gave it.
        schema: Map<String, Value>,
        /// Whether an answer that does not match is no answer.
        strict: bool,
    },
}
