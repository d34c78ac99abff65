//! The fields that ask for an agent. They are Drover's own: `OpenAI`'s API knows none.

use super::reader::Node;
use crate::dialect::{AgentWish, Rejection};
use crate::schema::{JobSpec, ProjectId, SessionId};

/// How the CLI samples and thinks is its own affair.
const NOT_FOR_AGENTS: [&str; 7] =
    ["reasoning", "reasoning_effort", "stop", "temperature", "thinking", "top_k", "top_p"];

/// Where an agent is to work, if one is asked for: by `agent`, or by naming a session or a project.
pub(super) fn read(body: &Node, messages: &Node, spec: &JobSpec) -> Result<Option<AgentWish>, Rejection> {
    let agent = body.get("agent").map(|field| field.boolean()).transpose()?;
    let session = body.get("session_id").map(|field| id::<SessionId>(&field, "session")).transpose()?;
    let project = body.get("project_id").map(|field| id::<ProjectId>(&field, "project")).transpose()?;
    let named = session.is_some() || project.is_some();
    if agent == Some(false) && named {
        let name = if session.is_some() { "session_id" } else { "project_id" };
        return Err(Rejection::invalid("invalid_value", name, "Sessions and projects are an agent's."));
    }
    if !agent.unwrap_or(named) {
        return Ok(None);
    }
    if spec.turns.len() > 1 {
        return Err(messages
            .invalid_value("An agent's session keeps what was said; send only the user's new message."));
    }
    if spec.turns.iter().flat_map(|turn| &turn.parts).any(|part| part.text().is_none()) {
        return Err(messages.unsupported("An agent is told text only."));
    }
    for name in NOT_FOR_AGENTS {
        if let Some(field) = body.get(name) {
            return Err(field.unsupported("An agent's CLI decides on this by itself."));
        }
    }
    for name in ["tools", "functions"] {
        let given =
            body.get(name).filter(|list| list.value().as_array().is_some_and(|list| !list.is_empty()));
        if let Some(field) = given {
            return Err(field.unsupported("An agent has tools of its own."));
        }
    }
    if spec.choices.is_some() {
        return Err(body.required("n")?.unsupported("An agent's session goes on with one answer."));
    }
    if spec.output.is_some() {
        return Err(body.required("response_format")?.unsupported("An agent answers in its own words."));
    }
    Ok(Some(AgentWish { session, project }))
}

fn id<T: std::str::FromStr>(field: &Node, what: &str) -> Result<T, Rejection> {
    field.text()?.parse().map_err(|_| field.invalid_value(format!("It is no {what}'s identifier.")))
}
