//! The fields that ask for an agent. They are Drover's own: `OpenAI`'s API knows none.

use super::admission::{Ignored, admit};
use super::parameters::Scope;
use super::reader::Node;
use super::session;
use crate::dialect::{AgentByName, AgentWish, Rejection};
use crate::schema::agent::{AGENT_SUFFIX, SUBAGENTS};
use crate::schema::dollars::read_dollars;
use crate::schema::{AgentOptions, JobSpec, Permissions, limits};

/// How the CLI samples and thinks is its own affair.
const NOT_FOR_AGENTS: [&str; 7] =
    ["reasoning", "reasoning_effort", "stop", "temperature", "thinking", "top_k", "top_p"];

/// Where an agent is to work and what it may do, if one is asked for: by `agent`, or by naming a project. If not, but
/// the request goes on with a session, which may be an agent's, what would speak against one.
pub(super) fn read(
    body: &Node,
    messages: &Node,
    spec: &JobSpec,
    goes_on: bool,
    ignored: &mut Ignored,
) -> Result<(Option<AgentWish>, Option<Rejection>), Rejection> {
    let field = body.get("agent");
    let options = field.as_ref().filter(|field| field.value().is_object());
    let agent =
        field.as_ref().map(|field| options.map_or_else(|| field.boolean(), |_| Ok(true))).transpose()?;
    let project = body.get("project_id");
    if let (Some(false), Some(project)) = (agent, &project) {
        return Err(project.invalid_value("Projects are an agent's."));
    }
    if agent.unwrap_or(project.is_some()) {
        suits(body, messages, spec, goes_on)?;
        let project = project.as_ref().map(|field| id(field, "project")).transpose()?;
        let mut wish = AgentWish { project, ..AgentWish::default() };
        if let Some(field) = options {
            admit(field, Scope::Agent, ignored)?;
            wish.options = what_it_may(field)?;
            wish.names_servers = field.get("mcp_servers").is_some();
            wish.activity = field.get("activity").map(|field| activity(&field)).transpose()?.unwrap_or(false);
        }
        return Ok((Some(wish), None));
    }
    let unfit = match field {
        Some(field) => Some(field.invalid_value("The session is an agent's.")),
        None => suits(body, messages, spec, goes_on).err(),
    };
    Ok((None, unfit.filter(|_| goes_on)))
}

/// What the model's name asks for, if it ends so. Only who knows all names can tell whether it does. `asked` is what
/// the fields ask for.
pub(super) fn by_name(
    body: &Node,
    messages: &Node,
    spec: &JobSpec,
    goes_on: bool,
    asked: Option<&AgentWish>,
) -> Option<AgentByName> {
    let model = spec.model.strip_suffix(AGENT_SUFFIX).filter(|model| !model.is_empty())?.to_owned();
    let wish = match (asked, body.get("agent")) {
        (Some(wish), _) => Ok(wish.clone()),
        (None, Some(field)) => Err(field.invalid_value("The model's name asks for an agent.")),
        (None, None) => suits(body, messages, spec, goes_on).map(|()| AgentWish::default()),
    };
    Some(AgentByName { model, wish })
}

/// Refuses what no agent takes. `goes_on`: its session may know what was said; whether more is sent than is new, who can
/// read it will tell.
fn suits(body: &Node, messages: &Node, spec: &JobSpec, goes_on: bool) -> Result<(), Rejection> {
    if !goes_on && spec.turns.len() > 1 {
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
    session::has_one_answer(body, spec)?;
    if spec.output.is_some() {
        return Err(body.required("response_format")?.unsupported("An agent answers in its own words."));
    }
    Ok(())
}

/// The options of `agent`. Which tools there are is for the one to say who knows the workers.
fn what_it_may(agent: &Node) -> Result<AgentOptions, Rejection> {
    Ok(AgentOptions {
        tools: agent.get("tools").map(|field| tools(&field)).transpose()?.unwrap_or_default(),
        subagents: agent.get("subagents").map(|field| field.boolean()).transpose()?.unwrap_or(false),
        permissions: agent
            .get("permission_mode")
            .map(|field| permissions(&field))
            .transpose()?
            .unwrap_or_default(),
        mcp_servers: agent.get("mcp_servers").map(|field| names(&field)).transpose()?.unwrap_or_default(),
        max_turns: agent.get("max_turns").map(|field| field.count()).transpose()?,
        budget_microusd: agent.get("budget_usd").map(|field| budget(&field)).transpose()?,
    })
}

fn activity(field: &Node) -> Result<bool, Rejection> {
    match field.text()? {
        "reasoning" => Ok(true),
        "none" => Ok(false),
        _ => Err(field.invalid_value("It must be 'reasoning' or 'none'.")),
    }
}

fn tools(field: &Node) -> Result<Vec<String>, Rejection> {
    if let Some(item) = field.items()?.find(|item| item.value() == SUBAGENTS) {
        return Err(item.invalid_value("Subagents are asked for by `subagents`."));
    }
    let names = names(field)?;
    if names.is_empty() { Err(field.invalid_value("It names at least one tool.")) } else { Ok(names) }
}

/// Each once.
fn names(field: &Node) -> Result<Vec<String>, Rejection> {
    let items = field.items()?;
    if items.len() > limits::TOOLS {
        return Err(field.invalid_value(format!("It holds more than {} names.", limits::TOOLS)));
    }
    let mut names: Vec<String> = Vec::new();
    for item in items {
        let name = item.text()?;
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn permissions(field: &Node) -> Result<Permissions, Rejection> {
    let name = field.text()?;
    Permissions::ALL.into_iter().find(|known| known.as_str() == name).ok_or_else(|| {
        let all = Permissions::ALL.map(Permissions::as_str).join(", ");
        field.invalid_value(format!("It must be one of {all}: no other mode does without a person to ask."))
    })
}

/// An amount above nothing, as a number or, to be exact, as a text.
fn budget(field: &Node) -> Result<u64, Rejection> {
    // A number is written out without an exponent, which JSON may have.
    let text = match field.value().as_str() {
        Some(text) => text.to_owned(),
        None => field.number()?.to_string(),
    };
    let amount = read_dollars(&text).ok().filter(|amount| *amount > 0);
    amount.ok_or_else(|| {
        field.invalid_value("It must be an amount of US dollars above 0, with six decimals at most.")
    })
}

fn id<T: std::str::FromStr>(field: &Node, what: &str) -> Result<T, Rejection> {
    field.text()?.parse().map_err(|_| field.invalid_value(format!("It is no {what}'s identifier.")))
}
