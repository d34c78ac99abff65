//! The calls of tools that a conversation holds, each with exactly one answer.

use std::cell::Cell;
use std::collections::HashSet;

use super::admission::{Ignored, admit};
use super::parameters::Scope;
use super::reader::Node;
use super::{json, tools};
use crate::dialect::{Answered, Rejection};
use crate::schema::{Part, limits};

/// What has been called so far.
pub(super) struct Calls {
    /// The identifiers of all calls.
    ids: HashSet<String>,
    /// The calls of the assistant's latest message that have no answer yet.
    open: Vec<Open>,
    /// The calls of what was said before the conversation that have an answer in it; `None` once none of them can be
    /// answered any more.
    before: Option<Vec<Answered>>,
    /// The same, when they are all known.
    answered: Vec<Answered>,
    /// How many values the arguments of all calls may still hold.
    left: Cell<usize>,
}

struct Open {
    id: String,
    /// Where it stands in the body.
    path: String,
    /// The name of a function that was called in the older form, which knows no identifiers.
    older: Option<String>,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            ids: HashSet::new(),
            open: Vec::new(),
            before: None,
            answered: Vec::new(),
            left: Cell::new(limits::REQUEST_VALUES),
        }
    }
}

impl Calls {
    /// Those of a conversation that goes on with another, or does not.
    pub(super) fn after(goes_on: bool) -> Self {
        Self { before: goes_on.then(Vec::new), ..Self::default() }
    }

    /// What has been answered of what was said before.
    pub(super) fn take_answered(&mut self) -> Vec<Answered> {
        std::mem::take(&mut self.answered)
    }

    /// Takes in what an assistant's message calls, in either form.
    pub(super) fn open(&mut self, message: &Node, ignored: &mut Ignored) -> Result<Vec<Part>, Rejection> {
        let mut parts = Vec::new();
        if let Some(calls) = message.get("tool_calls") {
            for call in calls.items()? {
                parts.push(self.call(&call, ignored)?);
            }
        }
        if let Some(call) = message.get("function_call") {
            if !parts.is_empty() {
                return Err(call.invalid_value("It is the older form of 'tool_calls'; send one of the two."));
            }
            parts.push(self.older_call(&call, ignored)?);
        }
        Ok(parts)
    }

    fn call(&mut self, call: &Node, ignored: &mut Ignored) -> Result<Part, Rejection> {
        let kind = call.of_object()?.get("type");
        if let Some(kind) = kind.filter(|kind| kind.value() != "function") {
            return Err(kind.unsupported("Only tools of type `function` are supported."));
        }
        admit(call, Scope::Call, ignored)?;
        let id = call.required("id")?;
        let function = call.required("function")?;
        admit(&function, Scope::CalledFunction, ignored)?;
        let id = self.unused(&id)?;
        self.open.push(Open { id: id.clone(), path: call.path(), older: None });
        self.part(id, &function)
    }

    /// The older form has no identifiers, so it is given one that tells it from all others.
    fn older_call(&mut self, call: &Node, ignored: &mut Ignored) -> Result<Part, Rejection> {
        admit(call, Scope::FunctionCall, ignored)?;
        let mut id = format!("function_call_{}", self.ids.len());
        while !self.ids.insert(id.clone()) {
            id.push('_');
        }
        let older = Some(tools::name(&call.required("name")?)?);
        self.open.push(Open { id: id.clone(), path: call.path(), older });
        self.part(id, call)
    }

    fn part(&self, id: String, function: &Node) -> Result<Part, Rejection> {
        let name = tools::name(&function.required("name")?)?;
        let arguments = function.required("arguments")?;
        let input =
            json::object(arguments.text()?, &self.left).map_err(|why| arguments.invalid_value(why))?;
        Ok(Part::ToolUse { id, name, input })
    }

    fn unused(&mut self, field: &Node) -> Result<String, Rejection> {
        let id = field.text()?;
        if id.is_empty() || id.len() > limits::TOOL_CALL_ID_BYTES {
            return Err(
                field.invalid_value(format!("It must be 1 to {} bytes long.", limits::TOOL_CALL_ID_BYTES))
            );
        }
        if !self.ids.insert(id.to_owned()) {
            return Err(field.invalid_value("Another call has the same identifier."));
        }
        Ok(id.to_owned())
    }

    /// The identifier of the call that a message of role `tool` answers. Answers come in any order.
    pub(super) fn answer(&mut self, message: &Node) -> Result<String, Rejection> {
        let field = message.required("tool_call_id")?;
        let id = field.text()?;
        match self.open.iter().position(|call| call.older.is_none() && call.id == id) {
            Some(at) => Ok(self.open.remove(at).id),
            None if self.before.is_some() && !self.ids.contains(id) => {
                self.ids.insert(id.to_owned());
                let answered = Answered { id: id.to_owned(), path: field.path() };
                self.before.get_or_insert_default().push(answered);
                Ok(id.to_owned())
            }
            None if self.ids.contains(id) => Err(field.invalid_value(
                "Its call has been answered before, or is not in the assistant's message right before.",
            )),
            None => Err(field.invalid_value("No call has this identifier.")),
        }
    }

    /// The same for a message of role `function`, which names the function.
    pub(super) fn older_answer(&mut self, message: &Node) -> Result<String, Rejection> {
        let field = message.required("name")?;
        let name = field.text()?;
        match self.open.iter().position(|call| call.older.as_deref() == Some(name)) {
            Some(at) => Ok(self.open.remove(at).id),
            None => Err(field.invalid_value("The assistant's message right before calls no such function.")),
        }
    }

    /// Whoever speaks next does so after all calls have been answered.
    pub(super) fn close(&mut self) -> Result<(), Rejection> {
        self.answered.extend(self.before.take().into_iter().flatten());
        let Some(call) = self.open.first() else { return Ok(()) };
        let message = format!(
            "Invalid value for '{}'. Every call must be answered by a message of role 'tool' (or 'function') before \
             anybody else speaks.",
            call.path
        );
        Err(Rejection::invalid("invalid_value", call.path.clone(), message))
    }
}
