//! A request body to a [`Request`].

use super::admission::{Ignored, admit};
use super::parameters::Scope;
use super::reader::Node;
use super::{agent, json, messages};
use crate::dialect::{Rejection, Request};
use crate::schema::{JobSpec, Sampling, limits};

/// Reads a request body; the first thing found wrong is what the rejection names.
pub(super) fn parse(body: &[u8], default_model: Option<&str>) -> Result<Request, Rejection> {
    let body = json::read(body)?;
    let body = Node::body(&body);
    let mut ignored = Ignored::default();
    admit(&body, Scope::Body, &mut ignored)?;
    let model = model(&body, default_model)?;
    let (stream, include_usage) = streaming(&body, &mut ignored)?;
    let sampling = sampling(&body)?;
    let messages = body.required("messages")?;
    let conversation = messages::read(&messages, &mut ignored)?;
    let agent = agent::read(&body, &messages, &conversation.turns)?;
    let spec =
        JobSpec { agent: None, model, system: conversation.system, turns: conversation.turns, sampling };
    Ok(Request { spec, agent, stream, include_usage, ignored: ignored.into_names() })
}

fn model(body: &Node, default_model: Option<&str>) -> Result<String, Rejection> {
    let Some(field) = body.get("model") else {
        return default_model.map(str::to_owned).ok_or_else(|| body.missing("model"));
    };
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
    Ok(name.to_owned())
}

/// Whether to stream, and whether to end the stream with the usage.
fn streaming(body: &Node, ignored: &mut Ignored) -> Result<(bool, bool), Rejection> {
    let stream = body.get("stream").map(|field| field.boolean()).transpose()?.unwrap_or(false);
    let Some(options) = body.get("stream_options") else {
        return Ok((stream, false));
    };
    if !stream {
        return Err(options.invalid_value("It is only allowed with 'stream': true."));
    }
    admit(&options, Scope::StreamOptions, ignored)?;
    let include_usage = options.get("include_usage").map(|field| field.boolean()).transpose()?;
    Ok((stream, include_usage.unwrap_or(false)))
}

fn sampling(body: &Node) -> Result<Sampling, Rejection> {
    Ok(Sampling {
        temperature: body.get("temperature").map(|field| temperature(&field)).transpose()?,
        top_p: body.get("top_p").map(|field| top_p(&field)).transpose()?,
        max_tokens: max_tokens(body)?,
        stop: body.get("stop").map(|field| stop(&field)).transpose()?.unwrap_or_default(),
    })
}

fn temperature(field: &Node) -> Result<f64, Rejection> {
    let temperature = field.number()?;
    if !(0.0..=2.0).contains(&temperature) {
        return Err(field.invalid_value("It must be from 0 to 1."));
    }
    if temperature > 1.0 {
        return Err(field.invalid_value(
            "The model's provider takes 0 to 1; a value above is refused rather than silently lowered.",
        ));
    }
    Ok(temperature)
}

fn top_p(field: &Node) -> Result<f64, Rejection> {
    let top_p = field.number()?;
    if (0.0..=1.0).contains(&top_p) { Ok(top_p) } else { Err(field.invalid_value("It must be from 0 to 1.")) }
}

/// The output limit under its newer and its older name.
fn max_tokens(body: &Node) -> Result<Option<u32>, Rejection> {
    let newer = body.get("max_completion_tokens").map(|field| field.count()).transpose()?;
    let Some(field) = body.get("max_tokens") else {
        return Ok(newer);
    };
    let older = field.count()?;
    if newer.is_some_and(|newer| newer != older) {
        return Err(field.invalid_value("It contradicts 'max_completion_tokens'; send one of the two."));
    }
    Ok(Some(older))
}

fn stop(field: &Node) -> Result<Vec<String>, Rejection> {
    if field.value().is_string() {
        return Ok(vec![stop_sequence(field)?]);
    }
    let items = field.items()?;
    if items.len() > limits::STOP_SEQUENCES {
        return Err(field.invalid_value(format!("It holds more than {} texts.", limits::STOP_SEQUENCES)));
    }
    items.map(|item| stop_sequence(&item)).collect()
}

fn stop_sequence(field: &Node) -> Result<String, Rejection> {
    let text = field.text()?;
    if text.is_empty() { Err(field.invalid_value("It must not be empty.")) } else { Ok(text.to_owned()) }
}
