//! Tools, their choice, and the shape of the answer: what the Responses API writes flat and chats in two levels.

use serde_json::{Map, Value};

use super::super::admission::{Ignored, admit};
use super::super::parameters::Scope;
use super::super::reader::Node;
use super::Chat;
use crate::dialect::Rejection;

impl Chat {
    /// `text`: its `format` is a chat's `response_format`.
    pub(super) fn text(&mut self, text: &Node, body: &Node, ignored: &mut Ignored) -> Result<(), Rejection> {
        admit(text, Scope::Text, ignored)?;
        let Some(format) = text.get("format") else { return Ok(()) };
        let mut value = format.value().clone();
        if value["type"] == "json_schema" && value.get("json_schema").is_none() {
            value = nested(value, "json_schema");
        }
        self.origins.add("response_format.json_schema".to_owned(), format.path());
        self.set("response_format", value, &format, body)
    }

    /// What is no flat function is left to the chat's reader, which knows what else there may be.
    pub(super) fn tools(&mut self, tools: &Node) {
        let mut value = tools.value().clone();
        for (number, tool) in value.as_array_mut().into_iter().flatten().enumerate() {
            if is_flat(tool, "function") {
                *tool = nested(tool.take(), "function");
                self.origins.add(format!("tools[{number}].function"), format!("tools[{number}]"));
            }
        }
        self.fields.insert("tools".to_owned(), value);
    }

    /// Likewise.
    pub(super) fn tool_choice(&mut self, choice: &Node) {
        let mut value = choice.value().clone();
        if is_flat(&value, "function") {
            value = nested(value, "function");
            self.origins.add("tool_choice.function".to_owned(), choice.path());
        } else if is_flat(&value, "allowed_tools") {
            let list = value.get_mut("tools").and_then(Value::as_array_mut);
            for (number, tool) in list.into_iter().flatten().enumerate() {
                if is_flat(tool, "function") {
                    *tool = nested(tool.take(), "function");
                    let written = format!("tool_choice.tools[{number}]");
                    self.origins.add(format!("tool_choice.allowed_tools.tools[{number}].function"), written);
                }
            }
            value = nested(value, "allowed_tools");
            self.origins.add("tool_choice.allowed_tools".to_owned(), choice.path());
        }
        self.fields.insert("tool_choice".to_owned(), value);
    }
}

fn is_flat(value: &Value, kind: &str) -> bool {
    value["type"] == kind && value.get(kind).is_none()
}

/// The same with all but `type` in an object of that name.
fn nested(value: Value, name: &str) -> Value {
    let Value::Object(mut fields) = value else { return value };
    let kind = fields.shift_remove("type").unwrap_or_default();
    let mut outer = Map::new();
    outer.insert("type".to_owned(), kind);
    outer.insert(name.to_owned(), Value::Object(fields));
    Value::Object(outer)
}
