//! One operation: a method of a route, what it takes and what it answers.

use std::collections::BTreeMap;

use drover_shared::dialect::openai_chat::described;
use serde_json::{Map, Value, json};

use super::schemas::Schemas;
use crate::router;

/// What it is about; documents show operations of one kind together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Chats,
    Files,
    Jobs,
    Sessions,
    Projects,
    Models,
    Usage,
    Keys,
    Server,
}

/// Built up step by step.
pub(super) struct Operation {
    method: &'static str,
    /// As the router has it.
    route: &'static str,
    name: &'static str,
    summary: &'static str,
    tag: Tag,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<u16, Value>,
    /// Statuses of errors.
    refusals: Vec<u16>,
    /// Whether it is there for everybody.
    open: bool,
}

impl Operation {
    pub(super) fn new(
        tag: Tag,
        method: &'static str,
        route: &'static str,
        name: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            route,
            name,
            summary,
            tag,
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            refusals: Vec::new(),
            open: false,
        }
    }

    /// Needs no key.
    pub(super) fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// The value of a variable part of the path.
    pub(super) fn path_is(mut self, name: &str, schema: &Value) -> Self {
        self.parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
        self
    }

    /// A parameter of the query.
    pub(super) fn query(mut self, name: &str, schema: &Value, description: &str) -> Self {
        self.parameters
            .push(json!({ "name": name, "in": "query", "schema": schema, "description": description }));
        self
    }

    /// A header of the request.
    pub(super) fn header(mut self, name: &str, schema: &Value, description: &str) -> Self {
        self.parameters
            .push(json!({ "name": name, "in": "header", "schema": schema, "description": description }));
        self
    }

    /// A body of JSON. What it is too large for or too slow is said by itself.
    pub(super) fn takes(self, schema: &Value, required: bool, example: &Value) -> Self {
        let content = json!({ "application/json": { "schema": schema, "example": example } });
        self.takes_content(&content, required)
    }

    /// A body of some other kind.
    pub(super) fn takes_content(mut self, content: &Value, required: bool) -> Self {
        self.body = Some(json!({ "content": content, "required": required }));
        self.refusals.extend([400, 408, 413]);
        self
    }

    /// An answer of JSON.
    pub(super) fn answers(self, status: u16, description: &str, schema: &Value) -> Self {
        self.answers_content(status, description, &json!({ "application/json": { "schema": schema } }))
    }

    /// An answer of some other kind, by media type.
    pub(super) fn answers_content(mut self, status: u16, description: &str, content: &Value) -> Self {
        self.answers.insert(status, json!({ "description": description, "content": content }));
        self
    }

    /// Statuses that its errors may have, besides those that every operation has.
    pub(super) fn refuses(mut self, statuses: &[u16]) -> Self {
        self.refusals.extend(statuses);
        self
    }

    pub(super) fn method(&self) -> &'static str {
        self.method
    }

    #[cfg(test)]
    pub(super) fn route(&self) -> &'static str {
        self.route
    }

    #[cfg(test)]
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The route as `OpenAPI` writes it, which knows no parts of several segments.
    pub(super) fn path(&self) -> String {
        self.route.replace("{*", "{")
    }

    /// As the document has it.
    pub(super) fn describe(mut self, schemas: &mut Schemas) -> Value {
        let error = schemas.by(described::error);
        let mut refusals = std::mem::take(&mut self.refusals);
        let has_input = !self.parameters.is_empty();
        if has_input {
            refusals.push(400);
        }
        if !self.open {
            refusals.extend([401, 403, 429, 503]);
        }
        refusals.push(500);
        let mut answers = std::mem::take(&mut self.answers);
        for status in refusals {
            let refusal = || {
                let content = json!({ "application/json": { "schema": error } });
                json!({ "description": meaning(status), "content": content })
            };
            answers.entry(status).or_insert_with(refusal);
        }
        let responses: Map<String, Value> =
            answers.into_iter().map(|(status, answer)| (status.to_string(), answer)).collect();
        let mut operation = json!({
            "operationId": self.name,
            "summary": self.summary,
            "tags": [format!("{:?}", self.tag)],
            "parameters": self.parameters,
            "responses": responses,
        });
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        if self.open {
            operation["security"] = json!([]);
        } else {
            let scopes: Vec<&str> = router::scopes(self.route).iter().map(|scope| scope.as_str()).collect();
            operation["security"] = json!([{ "bearer": [] }, { "apiKey": [] }]);
            operation["description"] =
                format!("Where keys are configured, one with the scope {} is needed.", scopes.join(" or "))
                    .into();
        }
        operation
    }
}

/// What a status of an error means, whichever operation answers with it.
fn meaning(status: u16) -> &'static str {
    match status {
        400 => "Something in the request is not what it must be; `param` names it.",
        401 => "No key was given, or one that is not known.",
        403 => "The key may not do this.",
        404 => "There is none, or it is another key's.",
        408 => "The request's body took too long to arrive.",
        409 => "Something else has to end first, or is in the way.",
        413 => "It is larger than it may be.",
        415 => "The body is of another kind than it must be.",
        416 => "The file has no such part.",
        422 => "The idempotency key came with another request before.",
        429 => "A limit is reached, or the queue is full; `retry-after` says how long to wait.",
        500 => "Drover has failed; the fault is logged.",
        502 => "The provider has failed, or the model's answer is not what was asked for.",
        503 => "It cannot be done right now; `retry-after` says how long to wait.",
        504 => "It took longer than it may.",
        507 => "The disk is full.",
        _ => "It cannot be done.",
    }
}
