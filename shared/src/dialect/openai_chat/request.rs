//! A request body to a [`Request`].

use serde_json::Value;

use super::admission::{Ignored, admit};
use super::origins::Origins;
use super::parameters::Scope;
use super::reader::Node;
use super::responses_body::{self, Converted};
use super::tools::{self, Tools};
use super::{agent, json, messages, output, session, settings, stored, terms, uploads};
use crate::dialect::{Beside, Delivery, Form, Granularity, Rejection, Request, SessionWish, UsageWish};
use crate::schema::{FileId, JobSpec, Sampling, ThinkingWish, Tool, ToolChoice, limits};

/// Reads a request body; the first thing found wrong is what the rejection names.
pub(super) fn parse(body: &[u8], beside: &Beside) -> Result<Request, Rejection> {
    let mut ignored = Ignored::default();
    let mut chat = in_chats_form(json::read(body)?, &mut ignored)?;
    let filled = uploads::fill(&mut chat.body, &beside.uploads, &mut chat.origins);
    filled.map_err(|rejection| chat.rename(rejection))?;
    let rename = |rejection| chat.rename(rejection);
    let mut request = read(&Node::body(&chat.body), beside, ignored).map_err(rename)?;
    request.unfit_for_agent = request.unfit_for_agent.map(rename);
    for call in &mut request.answered {
        call.path = chat.written(&call.path);
    }
    if let Some(agent) = &mut request.agent_by_name {
        agent.wish = agent.wish.clone().map_err(rename);
    }
    Ok(request)
}

/// The files that a body refers to; of one that cannot be read none.
pub(super) fn files(body: &[u8]) -> Vec<FileId> {
    // Most bodies refer to none, and need not be read twice.
    if !body.windows(REFERENCE.len()).any(|bytes| bytes == REFERENCE) {
        return Vec::new();
    }
    let chat = json::read(body).and_then(|body| in_chats_form(body, &mut Ignored::default()));
    chat.map(|chat| uploads::wanted(&chat.body)).unwrap_or_default()
}

const REFERENCE: &[u8] = b"file_id";

fn in_chats_form(body: Value, ignored: &mut Ignored) -> Result<Converted, Rejection> {
    if responses_body::is_one(&body) {
        responses_body::convert(&Node::body(&body), ignored)
    } else {
        Ok(Converted { body, origins: Origins::default() })
    }
}

/// Reads a body in the form of a chat.
fn read(body: &Node, beside: &Beside, mut ignored: Ignored) -> Result<Request, Rejection> {
    admit(body, Scope::Body, &mut ignored)?;
    let mut session = session::read(body, beside.session.as_deref())?;
    let goes_on = session.is_some_and(|session| session.known.is_some());
    let named = model(body)?;
    let names_model = named.is_some();
    let model = match (named, &beside.default_model) {
        (Some(named), _) => named,
        (None, _) if goes_on => String::new(),
        (None, default) => default.clone().ok_or_else(|| body.missing("model"))?,
    };
    let Streaming { stream, include_usage, granularity } = streaming(body, &mut ignored)?;
    let delivery = delivery(body, stream, beside.prefers_async)?;
    let terms = terms::read(body, delivery)?;
    let include_cost = settings::cost(body, &mut ignored)?;
    let drop_unsupported = body.get("drop_params").map(|field| field.boolean()).transpose()?;
    let keep = stored::asked(body, &mut ignored)?;
    let sampling = settings::sampling(body)?;
    let tools = tools::read(body, &mut ignored)?;
    thinks_freely(body, &sampling, &tools)?;
    let output = output::read(body, &mut ignored)?;
    let messages = body.required("messages")?;
    let conversation = messages::read(&messages, goes_on, &mut ignored)?;
    let callable = tools.list.iter().map(Tool::promised).collect();
    let spec = JobSpec {
        model,
        system: session::system(body, conversation.system)?,
        turns: conversation.turns,
        sampling,
        tools: tools.list,
        tool_choice: tools.choice,
        parallel_tool_calls: tools.parallel,
        output: output.clone(),
        choices: settings::choices(body)?,
        ..JobSpec::default()
    };
    let (agent, unfit_for_agent) = agent::read(body, &messages, &spec, goes_on, &mut ignored)?;
    let activity = agent.as_ref().is_some_and(|wish| wish.activity);
    let agent_by_name = agent::by_name(body, &messages, &spec, goes_on, agent.as_ref());
    let may_be_agent = agent.is_some() || agent_by_name.is_some();
    let if_busy = session::if_busy(body, session.is_some() || may_be_agent)?;
    if session.is_some() || agent.is_some() {
        session::has_one_answer(body, &spec)?;
        session.get_or_insert(SessionWish { known: None, if_busy }).if_busy = if_busy;
    }
    Ok(Request {
        spec,
        names_model,
        session,
        agent,
        agent_by_name,
        unfit_for_agent,
        answered: conversation.answered,
        delivery,
        terms,
        usage: UsageWish { streamed: include_usage, cost: include_cost },
        form: Form { older_calls: tools.older, output, tools: callable, granularity, activity },
        keep,
        drop_unsupported: drop_unsupported.unwrap_or(false),
        ignored: ignored.into_names(),
    })
}

/// The model that is named.
fn model(body: &Node) -> Result<Option<String>, Rejection> {
    let Some(field) = body.get("model") else { return Ok(None) };
    let name = field.text()?;
    if name.trim().is_empty() {
        return Err(field.invalid_value("It must not be empty."));
    }
    if name.len() > limits::MODEL_NAME_BYTES {
        return Err(field.invalid_value(format!("It is longer than {} bytes.", limits::MODEL_NAME_BYTES)));
    }
    // The name goes into logs, rows and headers.
    if name.chars().any(char::is_control) {
        return Err(field.invalid_value("It must not hold control characters."));
    }
    Ok(Some(name.to_owned()))
}

/// Whether and how to stream.
#[derive(Default)]
struct Streaming {
    stream: bool,
    /// Whether the stream ends with the usage.
    include_usage: bool,
    granularity: Granularity,
}

fn streaming(body: &Node, ignored: &mut Ignored) -> Result<Streaming, Rejection> {
    let stream = body.get("stream").map(|field| field.boolean()).transpose()?.unwrap_or(false);
    let Some(options) = body.get("stream_options") else {
        return Ok(Streaming { stream, ..Streaming::default() });
    };
    if !stream {
        return Err(options.invalid_value("It is only allowed with 'stream': true."));
    }
    admit(&options, Scope::StreamOptions, ignored)?;
    let include_usage = options.get("include_usage").map(|field| field.boolean()).transpose()?;
    let granularity = options.get("granularity").map(|field| granularity(&field)).transpose()?;
    Ok(Streaming {
        stream,
        include_usage: include_usage.unwrap_or(false),
        granularity: granularity.unwrap_or_default(),
    })
}

/// How the client takes the answer. Whether it waits says the body, or else what the header prefers.
fn delivery(body: &Node, stream: bool, prefers_async: bool) -> Result<Delivery, Rejection> {
    const WHY: &str = "An answer that nobody waits for is not streamed; without 'stream', its events are at \
                       /v1/jobs/{id}/events.";
    let field = body.get("background");
    let background = field.as_ref().map_or(Ok(prefers_async), Node::boolean)?;
    match (background, stream, field) {
        (true, true, Some(field)) => Err(field.invalid_value(WHY)),
        (true, true, None) => {
            let message = format!(
                "'background', which 'Prefer: respond-async' or a WebSocket asks for, excludes 'stream'. {WHY}"
            );
            Err(Rejection::invalid("invalid_value", "stream", message))
        }
        (true, false, _) => Ok(Delivery::Background),
        (false, true, _) => Ok(Delivery::Stream),
        (false, false, _) => Ok(Delivery::Whole),
    }
}

fn granularity(field: &Node) -> Result<Granularity, Rejection> {
    Granularity::parse(field.text()?).ok_or_else(|| {
        let names = Granularity::ALL.map(|known| format!("'{}'", known.as_str())).join(", ");
        field.invalid_value(format!("It must be one of {names}."))
    })
}

/// A model that thinks decides by itself whether to call a tool (Anthropic API reference, "Extended thinking").
fn thinks_freely(body: &Node, sampling: &Sampling, tools: &Tools) -> Result<(), Rejection> {
    let must_call = matches!(tools.choice, Some(ToolChoice::Any | ToolChoice::Tool { .. }));
    if !must_call || !sampling.thinking.is_some_and(ThinkingWish::is_on) {
        return Ok(());
    }
    let name = if tools.older { "function_call" } else { "tool_choice" };
    Err(body.required(name)?.invalid_value("A model that thinks cannot be made to call a tool."))
}
