//! `instructions` and `input` to messages.

use serde_json::{Map, Value, json};

use super::super::admission::Ignored;
use super::super::origins::Origins;
use super::super::parameters::Scope;
use super::super::reader::Node;
use super::parts;
use crate::dialect::Rejection;

/// What an item tells of itself, and not of the conversation.
const OF_THE_ITEM: [&str; 3] = ["id", "status", "phase"];

/// The messages that a body comes to.
pub(super) fn messages(
    body: &Node,
    origins: &mut Origins,
    ignored: &mut Ignored,
) -> Result<Value, Rejection> {
    let mut messages = Messages { list: Vec::new(), origins, ignored };
    messages.origins.add("messages".to_owned(), "input".to_owned());
    if let Some(instructions) = body.get("instructions") {
        messages.says("system", &instructions)?;
    }
    let input = body.required("input")?;
    if input.value().is_string() {
        messages.says("user", &input)?;
    } else {
        for item in input.items()? {
            messages.add(&item)?;
        }
    }
    Ok(Value::Array(messages.list))
}

struct Messages<'a> {
    list: Vec<Value>,
    origins: &'a mut Origins,
    ignored: &'a mut Ignored,
}

impl Messages<'_> {
    /// A message that is one text.
    fn says(&mut self, role: &str, text: &Node) -> Result<(), Rejection> {
        let place = self.push(json!({"role": role, "content": text.text()?}));
        self.origins.add(format!("{place}.content"), text.path());
        self.origins.add(place, text.path());
        Ok(())
    }

    fn add(&mut self, item: &Node) -> Result<(), Rejection> {
        let kind = item.of_object()?.get("type");
        match kind.as_ref().map(Node::text).transpose()?.unwrap_or("message") {
            "message" => self.message(item),
            "function_call" => self.call(item),
            "function_call_output" => self.output(item),
            // What the model thought is not shown to it again.
            "reasoning" => {
                self.ignored.add(Scope::InputItem, "reasoning");
                Ok(())
            }
            _ => Err(item.required("type")?.unsupported(
                "Of items, `message`, `function_call`, `function_call_output` and `reasoning` are known here.",
            )),
        }
    }

    fn message(&mut self, item: &Node) -> Result<(), Rejection> {
        let place = self.next();
        let mut message = Map::new();
        for (name, field) in item.fields()? {
            match name {
                "type" => {}
                "content" => {
                    let content = self.content(&field, &place)?;
                    message.insert(name.to_owned(), content);
                }
                _ if OF_THE_ITEM.contains(&name) => self.ignored.add(Scope::InputItem, name),
                _ => {
                    message.insert(name.to_owned(), field.value().clone());
                }
            }
        }
        self.origins.add(place, item.path());
        self.push(Value::Object(message));
        Ok(())
    }

    /// Belongs to the assistant's message right before, if there is one.
    fn call(&mut self, item: &Node) -> Result<(), Rejection> {
        self.only(item, &["type", "call_id", "name", "arguments"])?;
        if self.list.last().is_none_or(|message| message["role"] != "assistant") {
            self.push(json!({"role": "assistant"}));
        }
        let at = self.list.len() - 1;
        let mut call = json!({"type": "function", "function": {}});
        copy(item, "call_id", &mut call, "id");
        copy(item, "name", &mut call["function"], "name");
        copy(item, "arguments", &mut call["function"], "arguments");
        let message = &mut self.list[at];
        if !message["tool_calls"].is_array() {
            message["tool_calls"] = json!([]);
        }
        let Some(calls) = message["tool_calls"].as_array_mut() else { return Ok(()) };
        let place = format!("messages[{at}].tool_calls[{}]", calls.len());
        calls.push(call);
        self.origins.add(format!("{place}.id"), format!("{}.call_id", item.path()));
        self.origins.add(format!("{place}.function"), item.path());
        self.origins.add(place, item.path());
        Ok(())
    }

    fn output(&mut self, item: &Node) -> Result<(), Rejection> {
        self.only(item, &["type", "call_id", "output"])?;
        let place = self.next();
        let mut message = json!({"role": "tool"});
        copy(item, "call_id", &mut message, "tool_call_id");
        if let Some(output) = item.get("output") {
            message["content"] = self.content(&output, &place)?;
        }
        self.origins.add(format!("{place}.content"), format!("{}.output", item.path()));
        self.origins.add(format!("{place}.tool_call_id"), format!("{}.call_id", item.path()));
        self.origins.add(place, item.path());
        self.push(message);
        Ok(())
    }

    fn content(&mut self, content: &Node, message: &str) -> Result<Value, Rejection> {
        parts::content(content, &format!("{message}.content"), self.origins, self.ignored)
    }

    /// Notes what else an item has as ignored.
    fn only(&mut self, item: &Node, known: &[&str]) -> Result<(), Rejection> {
        for (name, _) in item.fields()? {
            if !known.contains(&name) {
                self.ignored.add(Scope::InputItem, name);
            }
        }
        Ok(())
    }

    /// Where the next message will stand.
    fn next(&self) -> String {
        format!("messages[{}]", self.list.len())
    }

    fn push(&mut self, message: Value) -> String {
        let place = self.next();
        self.list.push(message);
        place
    }
}

fn copy(item: &Node, name: &str, to: &mut Value, as_name: &str) {
    if let Some(field) = item.get(name) {
        to[as_name] = field.value().clone();
    }
}
