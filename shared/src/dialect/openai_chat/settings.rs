//! How the model is to speak.

use std::num::NonZeroU32;

use super::admission::{Ignored, admit};
use super::parameters::Scope;
use super::reader::Node;
use crate::dialect::Rejection;
use crate::schema::{Effort, Sampling, ServiceTier, ThinkingWish, limits};

/// Efforts by the names that clients know, each with what it comes to.
const EFFORTS: [(&str, ThinkingWish); 6] = [
    ("none", ThinkingWish::Off),
    ("minimal", ThinkingWish::Effort(Effort::Low)),
    ("low", ThinkingWish::Effort(Effort::Low)),
    ("medium", ThinkingWish::Effort(Effort::Medium)),
    ("high", ThinkingWish::Effort(Effort::High)),
    ("xhigh", ThinkingWish::Effort(Effort::High)),
];

pub(super) fn sampling(body: &Node) -> Result<Sampling, Rejection> {
    let sampling = Sampling {
        temperature: body.get("temperature").map(|field| temperature(&field)).transpose()?,
        top_p: body.get("top_p").map(|field| top_p(&field)).transpose()?,
        max_tokens: max_tokens(body)?,
        stop: body.get("stop").map(|field| stop(&field)).transpose()?.unwrap_or_default(),
        top_k: body.get("top_k").map(|field| field.count()).transpose()?,
        thinking: thinking(body)?,
        service_tier: body.get("service_tier").map(|field| service_tier(&field)).transpose()?,
        user: user(body)?,
    };
    thinks_alone(body, &sampling)?;
    leaves_room(body, &sampling)?;
    Ok(sampling)
}

/// How many answers are wanted, where it is more than one.
pub(super) fn choices(body: &Node) -> Result<Option<NonZeroU32>, Rejection> {
    let Some(field) = body.get("n") else { return Ok(None) };
    match NonZeroU32::new(field.count()?) {
        Some(n) if n.get() <= limits::CHOICES => Ok(Some(n).filter(|n| n.get() > 1)),
        _ => Err(field.invalid_value(format!("It must be a number from 1 to {}.", limits::CHOICES))),
    }
}

/// Whether the usage is to tell the cost: `usage.include`, as OpenRouter has it.
pub(super) fn cost(body: &Node, ignored: &mut Ignored) -> Result<bool, Rejection> {
    let Some(usage) = body.get("usage") else { return Ok(false) };
    admit(&usage, Scope::Usage, ignored)?;
    Ok(usage.get("include").map(|field| field.boolean()).transpose()?.unwrap_or(false))
}

/// How much to think: by OpenAI's, OpenRouter's or Anthropic's own field, of which one may be there.
fn thinking(body: &Node) -> Result<Option<ThinkingWish>, Rejection> {
    let effort = body.get("reasoning_effort").map(|field| effort(&field)).transpose()?;
    let reasoning = body.get("reasoning").map(|field| reasoning(&field)).transpose()?.flatten();
    let thinking = body.get("thinking").map(|field| budget(&field)).transpose()?;
    let mut said = [effort, reasoning, thinking].into_iter().flatten();
    let first = said.next();
    if said.any(|other| Some(other) != first) {
        let message =
            "'reasoning_effort', 'reasoning' and 'thinking' contradict each other; send one of them.";
        return Err(Rejection::invalid("invalid_value", "reasoning_effort", message));
    }
    Ok(first)
}

fn effort(field: &Node) -> Result<ThinkingWish, Rejection> {
    let name = field.text()?;
    let known = EFFORTS.iter().find(|(known, _)| *known == name).map(|(_, wish)| *wish);
    known.ok_or_else(|| {
        let names = EFFORTS.map(|(name, _)| format!("'{name}'")).join(", ");
        field.invalid_value(format!("It must be one of {names}."))
    })
}

fn reasoning(field: &Node) -> Result<Option<ThinkingWish>, Rejection> {
    for (name, field) in field.fields()? {
        if !matches!(name, "effort" | "max_tokens" | "summary") {
            return Err(field.unsupported("Of 'reasoning', 'effort' and 'max_tokens' are honoured."));
        }
    }
    let said = field.get("effort").map(|field| effort(&field)).transpose()?;
    let most = field.get("max_tokens").map(|field| tokens(&field)).transpose()?;
    match (said, most) {
        (Some(_), Some(_)) => Err(field.invalid_value("It has an effort or a number of tokens, not both.")),
        (said, most) => Ok(said.or(most.map(ThinkingWish::Budget))),
    }
}

fn budget(field: &Node) -> Result<ThinkingWish, Rejection> {
    let kind = field.required("type")?;
    match kind.text()? {
        "disabled" => Ok(ThinkingWish::Off),
        "adaptive" => Ok(ThinkingWish::Effort(Effort::High)),
        "enabled" => tokens(&field.required("budget_tokens")?).map(ThinkingWish::Budget),
        _ => Err(kind.invalid_value("It must be 'enabled', 'adaptive' or 'disabled'.")),
    }
}

fn tokens(field: &Node) -> Result<u32, Rejection> {
    let tokens = field.count()?;
    let least = limits::LEAST_THINKING_TOKENS;
    if tokens < least {
        return Err(field.invalid_value(format!("It must be at least {least} tokens.")));
    }
    Ok(tokens)
}

/// A model that thinks takes no sampling but the usual one (Anthropic API reference, "Extended thinking").
fn thinks_alone(body: &Node, sampling: &Sampling) -> Result<(), Rejection> {
    if matches!(sampling.thinking, None | Some(ThinkingWish::Off)) {
        return Ok(());
    }
    #[expect(clippy::float_cmp, reason = "1 is what the client wrote, or not")]
    let unusual = [
        ("temperature", sampling.temperature.is_some_and(|temperature| temperature != 1.0)),
        ("top_p", sampling.top_p.is_some_and(|top_p| top_p < 0.95)),
        ("top_k", sampling.top_k.is_some()),
    ];
    match unusual.into_iter().find(|(_, is_unusual)| *is_unusual).and_then(|(name, _)| body.get(name)) {
        Some(field) => Err(field.unsupported("A model that thinks does not take it.")),
        None => Ok(()),
    }
}

/// What a model thinks counts towards its answer, so a number of tokens to think with that leaves none to answer
/// with cannot be meant. An effort is a wish, and fits in.
fn leaves_room(body: &Node, sampling: &Sampling) -> Result<(), Rejection> {
    let (Some(ThinkingWish::Budget(budget)), Some(most)) = (sampling.thinking, sampling.max_tokens) else {
        return Ok(());
    };
    if budget < most {
        return Ok(());
    }
    let why = "It must be less than 'max_completion_tokens', which it counts towards.";
    match body.get("thinking") {
        Some(thinking) => Err(thinking.required("budget_tokens")?.invalid_value(why)),
        None => Err(body.required("reasoning")?.required("max_tokens")?.invalid_value(why)),
    }
}

fn service_tier(field: &Node) -> Result<ServiceTier, Rejection> {
    match field.text()? {
        "auto" => Ok(ServiceTier::Auto),
        "default" => Ok(ServiceTier::StandardOnly),
        _ => Err(field.unsupported("Only `auto` or `default` is accepted.")),
    }
}

/// The end user, under the newer and the older name.
fn user(body: &Node) -> Result<Option<String>, Rejection> {
    let named = |name| -> Result<Option<String>, Rejection> {
        let Some(field) = body.get(name) else { return Ok(None) };
        let user = field.text()?;
        if user.is_empty() || user.len() > limits::USER_BYTES {
            return Err(field.invalid_value(format!("It has from 1 to {} bytes.", limits::USER_BYTES)));
        }
        Ok(Some(user.to_owned()))
    };
    let older = named("user")?;
    let newer = named("safety_identifier")?;
    match (&older, &newer) {
        (Some(older), Some(newer)) if older != newer => Err(body
            .required("safety_identifier")?
            .invalid_value("It contradicts 'user'; send one of the two.")),
        _ => Ok(newer.or(older)),
    }
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
