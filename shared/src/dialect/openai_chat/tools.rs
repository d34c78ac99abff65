//! The client's tools: `tools` and `tool_choice`, and their older forms `functions` and `function_call`.

use serde_json::{Map, Value, json};

use super::admission::{Ignored, admit};
use super::parameters::Scope;
use super::reader::Node;
use crate::dialect::Rejection;
use crate::dialect::shape::Shape;
use crate::schema::{Tool, ToolChoice, limits};

/// What the model may call, and how.
#[derive(Default)]
pub(super) struct Tools {
    /// In the client's order.
    pub(super) list: Vec<Tool>,
    /// Without tools there is no choice.
    pub(super) choice: Option<ToolChoice>,
    /// Whether several may be called at once.
    pub(super) parallel: Option<bool>,
    /// Whether the client speaks of functions, of which an answer holds one call at most.
    pub(super) older: bool,
}

/// Reads them in whichever form they come.
pub(super) fn read(body: &Node, ignored: &mut Ignored) -> Result<Tools, Rejection> {
    let newer = body.get("tools").map(|field| list(&field, ignored, tool)).transpose()?.unwrap_or_default();
    let older =
        body.get("functions").map(|field| list(&field, ignored, function)).transpose()?.unwrap_or_default();
    let parallel = body.get("parallel_tool_calls").map(|field| field.boolean()).transpose()?;
    if older.is_empty() {
        let tools = newer;
        let older_choice = body.get("function_call");
        if let Some(field) =
            older_choice.filter(|field| !matches!(field.value().as_str(), Some("auto" | "none")))
        {
            return Err(field.invalid_value("It is only allowed with 'functions'."));
        }
        let parallel = parallel.filter(|_| !tools.is_empty());
        let read = Tools { list: tools, parallel, ..Tools::default() };
        return choose(read, body.get("tool_choice").as_ref(), choice);
    }
    if !newer.is_empty() {
        return Err(body
            .required("functions")?
            .invalid_value("It is the older form of 'tools'; send one of the two."));
    }
    let read = Tools { list: older, parallel: Some(false), older: true, ..Tools::default() };
    choose(read, body.get("function_call").as_ref(), older_choice)
}

/// How a choice is read: the tools that stay and what is chosen of them.
type Choose = fn(&Node, Vec<Tool>) -> Result<(Vec<Tool>, ToolChoice), Rejection>;

fn choose(read: Tools, field: Option<&Node>, choose: Choose) -> Result<Tools, Rejection> {
    let Some(field) = field else { return Ok(read) };
    let (tools, choice) = choose(field, read.list)?;
    // Without tools there is nothing to choose from.
    let choice = (!tools.is_empty()).then_some(choice);
    Ok(Tools { list: tools, choice, ..read })
}

fn list(
    field: &Node,
    ignored: &mut Ignored,
    read: fn(&Node, &mut Ignored) -> Result<Tool, Rejection>,
) -> Result<Vec<Tool>, Rejection> {
    let items = field.items()?;
    if items.len() > limits::TOOLS {
        return Err(field.invalid_value(format!("It holds more than {} tools.", limits::TOOLS)));
    }
    let mut tools: Vec<Tool> = Vec::with_capacity(items.len());
    for item in items {
        let tool = read(&item, ignored)?;
        if tools.iter().any(|other| other.name == tool.name) {
            return Err(item.invalid_value("Another tool has the same name."));
        }
        tools.push(tool);
    }
    Ok(tools)
}

fn tool(item: &Node, ignored: &mut Ignored) -> Result<Tool, Rejection> {
    let kind = item.of_object()?.required("type")?;
    if kind.text()? != "function" {
        return Err(kind.unsupported("Only tools of type `function` are supported."));
    }
    admit(item, Scope::Tool, ignored)?;
    let function = item.required("function")?;
    admit(&function, Scope::ToolFunction, ignored)?;
    definition(&function)
}

fn function(item: &Node, ignored: &mut Ignored) -> Result<Tool, Rejection> {
    admit(item, Scope::Function, ignored)?;
    definition(item)
}

fn definition(function: &Node) -> Result<Tool, Rejection> {
    let input_schema = match function.get("parameters") {
        Some(field) => field.value().as_object().cloned().ok_or_else(|| field.invalid_type("an object"))?,
        None => no_parameters(),
    };
    let tool = Tool {
        name: name(&function.required("name")?)?,
        description: function.get("description").map(|field| field.text().map(str::to_owned)).transpose()?,
        input_schema,
        strict: function.get("strict").map(|field| field.boolean()).transpose()?.unwrap_or(false),
    };
    // What cannot be checked later is refused now.
    match Shape::of_arguments(&tool) {
        Ok(_) => Ok(tool),
        Err(why) => Err(function.required("parameters")?.invalid_value(format!("With `strict`, {why}."))),
    }
}

/// The schema of a function without parameters, as Anthropic's API wants it.
fn no_parameters() -> Map<String, Value> {
    let schema = json!({ "type": "object", "properties": {} });
    schema.as_object().cloned().unwrap_or_default()
}

/// The name of a tool.
pub(super) fn name(field: &Node) -> Result<String, Rejection> {
    let name = field.text()?;
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > limits::TOOL_NAME_BYTES || !name.bytes().all(is_fit) {
        return Err(field.invalid_value(format!(
            "It must be 1 to {} letters, digits, underscores and hyphens.",
            limits::TOOL_NAME_BYTES
        )));
    }
    Ok(name.to_owned())
}

fn choice(field: &Node, tools: Vec<Tool>) -> Result<(Vec<Tool>, ToolChoice), Rejection> {
    if field.value().is_string() {
        let choice = mode(field, &[("none", ToolChoice::None), AUTO, REQUIRED])?;
        return match choice {
            ToolChoice::Any if tools.is_empty() => Err(no_tools(field)),
            choice => Ok((tools, choice)),
        };
    }
    let kind = field.of_object()?.required("type")?;
    match kind.text()? {
        "function" => {
            field.closed(&["type", "function"])?;
            let function = field.required("function")?;
            let name = named(&function.of_object()?.required("name")?, &tools)?;
            function.closed(&["name"])?;
            Ok((tools, ToolChoice::Tool { name }))
        }
        "allowed_tools" => {
            field.closed(&["type", "allowed_tools"])?;
            allowed(&field.required("allowed_tools")?, tools)
        }
        "custom" => Err(kind.unsupported("Only tools of type `function` are supported.")),
        _ => Err(kind.invalid_value("It must be 'function' or 'allowed_tools'.")),
    }
}

const AUTO: (&str, ToolChoice) = ("auto", ToolChoice::Auto);
const REQUIRED: (&str, ToolChoice) = ("required", ToolChoice::Any);

fn mode(field: &Node, modes: &[(&str, ToolChoice)]) -> Result<ToolChoice, Rejection> {
    let name = field.text()?;
    let found = modes.iter().find(|(mode, _)| *mode == name);
    found.map(|(_, choice)| choice.clone()).ok_or_else(|| {
        let names: Vec<String> = modes.iter().map(|(mode, _)| format!("'{mode}'")).collect();
        field.invalid_value(format!("It must be {}.", names.join(" or ")))
    })
}

/// Of the tools, only those that are allowed are told to the model.
fn allowed(field: &Node, mut tools: Vec<Tool>) -> Result<(Vec<Tool>, ToolChoice), Rejection> {
    field.of_object()?.closed(&["mode", "tools"])?;
    let choice = mode(&field.required("mode")?, &[AUTO, REQUIRED])?;
    let list = field.required("tools")?;
    let mut names = Vec::new();
    for item in list.items()? {
        item.of_object()?.closed(&["type", "function"])?;
        let function = item.required("function")?;
        names.push(named(&function.of_object()?.required("name")?, &tools)?);
    }
    if names.is_empty() {
        return Err(list.invalid_value("It must hold at least one tool."));
    }
    tools.retain(|tool| names.contains(&tool.name));
    Ok((tools, choice))
}

fn older_choice(field: &Node, tools: Vec<Tool>) -> Result<(Vec<Tool>, ToolChoice), Rejection> {
    if field.value().is_string() {
        return Ok((tools, mode(field, &[("none", ToolChoice::None), AUTO])?));
    }
    field.of_object()?.closed(&["name"])?;
    let name = named(&field.required("name")?, &tools)?;
    Ok((tools, ToolChoice::Tool { name }))
}

fn named(field: &Node, tools: &[Tool]) -> Result<String, Rejection> {
    let name = field.text()?;
    if !tools.iter().any(|tool| tool.name == name) {
        return Err(field.invalid_value("There is no tool of that name among those of the request."));
    }
    Ok(name.to_owned())
}

fn no_tools(field: &Node) -> Rejection {
    field.invalid_value("It is only allowed with 'tools'.")
}
