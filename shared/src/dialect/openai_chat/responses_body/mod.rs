//! Bodies of the Responses API that come to the path of chats, as Cursor sends them: `input` instead of `messages`.
//!
//! They are put into the form of a chat, which one reader then reads. What it finds wrong is named as the client wrote it.

mod input;
mod options;
mod parts;
pub(super) mod table;

use serde_json::{Map, Value};

use super::admission::{Ignored, admit_listed};
use super::origins::Origins;
use super::parameters::{self, Scope};
use super::reader::Node;
use crate::dialect::Rejection;

/// A body in the form of a chat.
pub(super) struct Converted {
    pub(super) body: Value,
    pub(super) origins: Origins,
}

/// Whether a body is such a one.
pub(super) fn is_one(body: &Value) -> bool {
    let has = |name| body.get(name).is_some_and(|value: &Value| !value.is_null());
    has("input") && !has("messages")
}

/// Puts one into the form of a chat. Fields that both APIs know under one name are left to the chat's reader.
pub(super) fn convert(body: &Node, ignored: &mut Ignored) -> Result<Converted, Rejection> {
    admit_listed(body, Scope::ResponsesBody, ignored)?;
    let mut chat = Chat { fields: Map::new(), origins: Origins::default() };
    for (name, field) in body.fields()? {
        match name {
            "text" => chat.text(&field, body, ignored)?,
            "tools" => chat.tools(&field),
            "tool_choice" => chat.tool_choice(&field),
            "max_output_tokens" => chat.set("max_completion_tokens", field.value().clone(), &field, body)?,
            _ if parameters::find(Scope::ResponsesBody, name).is_some() => {}
            _ => {
                chat.fields.insert(name.to_owned(), field.value().clone());
            }
        }
    }
    let messages = input::messages(body, &mut chat.origins, ignored)?;
    chat.fields.insert("messages".to_owned(), messages);
    Ok(Converted { body: Value::Object(chat.fields), origins: chat.origins })
}

impl Converted {
    /// Where the client wrote what stands at `path`.
    pub(super) fn written(&self, path: &str) -> String {
        self.origins.of(path)
    }

    /// The same rejection, naming what the client wrote.
    pub(super) fn rename(&self, rejection: Rejection) -> Rejection {
        let Some(param) = &rejection.param else { return rejection };
        let written = self.written(param);
        let message = rejection.message.replace(&format!("'{param}'"), &format!("'{written}'"));
        Rejection { param: Some(written), message, ..rejection }
    }
}

/// A chat's body in the making.
struct Chat {
    fields: Map<String, Value>,
    origins: Origins,
}

impl Chat {
    /// Sets a field that the chat's body knows under another name.
    fn set(&mut self, name: &str, value: Value, field: &Node, body: &Node) -> Result<(), Rejection> {
        if body.get(name).is_some() {
            return Err(field.invalid_value(format!("It is the same as '{name}'; send one of the two.")));
        }
        self.origins.add(name.to_owned(), field.path());
        self.fields.insert(name.to_owned(), value);
        Ok(())
    }
}
