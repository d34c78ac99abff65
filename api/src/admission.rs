//! Whether a request may become a job: the decisions, without the I/O.

use drover_shared::dialect::{AgentWish, Dialect, Rejection};
use drover_shared::provider::fit::{Unfit, fit};
use drover_shared::provider::resolve;
use drover_shared::provider::resolve::Resolved;
use drover_shared::schema::offer::Setting;
use drover_shared::schema::{ApiKey, Denied, JobSpec, limits};

use crate::error::try_again_ms;
use crate::fleet::View;

/// What `model` stands for, if the fleet offers it.
pub(crate) fn model(view: &View, model: &str) -> Result<Resolved, Rejection> {
    if view.models.is_empty() {
        return Err(no_workers());
    }
    resolve(&view.offer, model).ok_or_else(|| unknown_model(view, model))
}

/// Whether `name`, which is `model` with the suffix, is no model's, so that the suffix asks for an agent.
pub(crate) fn names_an_agent(view: &View, name: &str, model: &str) -> bool {
    resolve(&view.offer, name).is_none() && resolve(&view.offer, model).is_some()
}

/// Refuses what no agent of the fleet may do, and gives it what it has without asking. While no worker tells, none is
/// refused: where none can run agents, the job is.
pub(crate) fn agent(dialect: &dyn Dialect, view: &View, wish: &mut AgentWish) -> Result<(), Rejection> {
    let Some(agents) = &view.offer.agents else { return Ok(()) };
    let options = &mut wish.options;
    if !wish.names_servers {
        let default = agents.mcp_servers.iter().filter(|server| server.default);
        options.mcp_servers = default.map(|server| server.name.clone()).collect();
    }
    let refused = |name: String, message: String| {
        let param = format!("{}.{name}", dialect.agent());
        let message = format!("Invalid value for '{param}'. {message}");
        Err(Rejection::invalid("invalid_value", param, message))
    };
    if options.subagents && !agents.subagents() {
        return refused("subagents".to_owned(), "Agents have no subagents here.".to_owned());
    }
    let usual: Vec<&str> = agents.usual_tools().collect();
    if let Some(at) = options.tools.iter().position(|tool| !usual.contains(&tool.as_str())) {
        let all = usual.join(", ");
        return refused(format!("tools[{at}]"), format!("The tools of agents here are: {all}."));
    }
    match options.mcp_servers.iter().position(|name| agents.server(name).is_none()) {
        Some(at) => {
            let all: Vec<&str> = agents.mcp_servers.iter().map(|server| server.name.as_str()).collect();
            let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
            refused(format!("mcp_servers[{at}]"), format!("The MCP servers of agents here are: {all}."))
        }
        None => Ok(()),
    }
}

/// 404 that says what there is instead.
pub(crate) fn unknown_model(view: &View, model: &str) -> Rejection {
    let named = view.models.iter().take(limits::MODELS_NAMED).map(String::as_str).collect::<Vec<_>>();
    let more = if view.models.len() > named.len() { ", …" } else { "" };
    let model: String = model.chars().take(limits::MODEL_NAME_BYTES).collect();
    let message = match named.as_slice() {
        [] => format!("The model '{model}' does not exist: no model is offered yet."),
        _ => format!("The model '{model}' does not exist. Offered are: {}{more}.", named.join(", ")),
    };
    Rejection { param: Some("model".to_owned()), ..Rejection::new(404, "model_not_found", message) }
}

/// Whether the job can be done by its model, for that key. With `drop`, what no provider takes is left out of the job
/// and named.
pub(crate) fn suit(
    dialect: &dyn Dialect,
    view: &View,
    key: Option<&ApiKey>,
    spec: &mut JobSpec,
    drop: bool,
) -> Result<Vec<Setting>, Rejection> {
    let resolved = model(view, &spec.model)?;
    price(key, &resolved)?;
    fit(spec, &resolved, &view.offer, drop).map_err(|why| unfit(dialect, &spec.model, why))
}

/// 400: the model, or all of its providers, do not take what was asked for.
fn unfit(dialect: &dyn Dialect, model: &str, unfit: Unfit) -> Rejection {
    match unfit {
        Unfit::Setting(setting) => {
            let param = dialect.parameter(setting);
            let message = format!(
                "Unsupported parameter: '{param}'. No provider of '{model}' takes it. With 'drop_params' it is left out."
            );
            Rejection::invalid("unsupported_parameter", param, message)
        }
        Unfit::TooManyTokens(most) => {
            let param = dialect.limit();
            let message =
                format!("Invalid value for '{param}'. '{model}' answers with {most} tokens at most.");
            Rejection::invalid("invalid_value", param, message)
        }
        Unfit::NoRoomToThink(least) => {
            let param = dialect.limit();
            let message =
                format!("Invalid value for '{param}'. To think, '{model}' needs {least} tokens at least.");
            Rejection::invalid("invalid_value", param, message)
        }
    }
}

/// 503: nobody is there to say which models there are.
fn no_workers() -> Rejection {
    Rejection::new(
        503,
        "no_workers",
        "No worker has started yet, so no model is offered. Start drover-worker.",
    )
    .retry_after_ms(try_again_ms())
}

/// 429: enough jobs wait already.
pub(crate) fn queue_full(max_queued: u64) -> Rejection {
    let message = format!("{max_queued} jobs wait already, which is the limit. Try again a little later.");
    Rejection::new(429, "queue_full", message).retry_after_ms(try_again_ms())
}

/// 401 or 429: the key may ask for nothing more now.
pub(crate) fn denied(denied: Denied) -> Rejection {
    let spent = |time: &str| {
        let message = format!("What this API key may spend in a {time} is spent.");
        Rejection::new(429, "insufficient_quota", message).final_()
    };
    let limited = |what: &'static str, limit: u32, after_ms: u64| {
        let seconds = after_ms.div_ceil(1_000);
        let message = format!(
            "Rate limit reached: this API key may use {limit} {what} in a minute. Try again in {seconds} s."
        );
        let rejection = Rejection::new(429, "rate_limit_exceeded", message).retry_after_ms(after_ms);
        Rejection { class: Some(what), ..rejection }
    };
    match denied {
        Denied::Key => Rejection::new(401, "invalid_api_key", "The API key is not valid any more."),
        Denied::DailyBudget => spent("day"),
        Denied::MonthlyBudget => spent("month"),
        Denied::Queued(most) => {
            let message =
                format!("{most} jobs of this API key wait already, which is its limit. Try again later.");
            Rejection::new(429, "key_queue_full", message).retry_after_ms(try_again_ms())
        }
        Denied::Share(most) => {
            let message = format!(
                "{most} jobs of this API key wait already, which is as many as one of several keys may have in the queue. \
                 Try again later."
            );
            Rejection::new(429, "queue_share_full", message).retry_after_ms(try_again_ms())
        }
        Denied::Requests { limit, after_ms } => limited("requests", limit, after_ms),
        Denied::Tokens { limit, after_ms } => limited("tokens", limit, after_ms),
    }
}

/// Refuses a model for a key with a budget where nobody knows what it costs: it would spend without end.
fn price(key: Option<&ApiKey>, model: &Resolved) -> Result<(), Rejection> {
    let has_budget = key.is_some_and(|key| key.limits.has_budget());
    if has_budget && model.routes.iter().any(|route| route.tariff.is_none()) {
        let message = "This API key has a budget, and what this model costs is not known.";
        return Err(Rejection::invalid("model_without_price", "model", message));
    }
    Ok(())
}

/// 429: enough jobs wait for their project already, in which one runs at a time.
pub(crate) fn project_full() -> Rejection {
    let limit = limits::PROJECT_QUEUED;
    let message = format!("{limit} jobs wait for this project already, which is the limit. Try again later.");
    Rejection::new(429, "project_full", message).retry_after_ms(try_again_ms())
}

/// 429: enough jobs wait for their session already, in which one runs at a time.
pub(crate) fn session_full() -> Rejection {
    let limit = limits::SESSION_QUEUED;
    let message = format!("{limit} jobs wait for this session already, which is the limit. Try again later.");
    Rejection::new(429, "session_full", message).retry_after_ms(try_again_ms())
}

/// 409: a job of the session waits or runs. Told not to be retried, since SDKs would do so by themselves, and who
/// asks for this answer has other plans.
pub(crate) fn session_busy() -> Rejection {
    Rejection::new(409, "session_busy", "A job of this session waits or runs.").final_()
}

/// 400: the session's history is as long as it may get.
pub(crate) fn session_too_long() -> Rejection {
    let message = format!(
        "The history of this session holds {} bytes, which is the limit. Begin a new session.",
        limits::HISTORY_BYTES
    );
    Rejection::invalid("session_too_long", "session_id", message)
}

#[cfg(test)]
mod tests {
    use drover_shared::schema::Fleet;

    use super::*;

    fn fleet(models: &[&str]) -> View {
        let offers = vec![crate::tests::offer(models)];
        View::of(Fleet { offers, ..Fleet::default() })
    }

    #[test]
    fn a_model_is_matched_exactly() {
        assert_eq!(model(&fleet(&["opus", "sonnet"]), "sonnet").map(|it| it.id), Ok("sonnet".to_owned()));
        for other in ["sonne", "Sonnet", " sonnet", ""] {
            let rejection = model(&fleet(&["opus", "sonnet"]), other).expect_err(other);
            assert_eq!((rejection.status, rejection.code), (404, "model_not_found"));
            assert_eq!(rejection.param.as_deref(), Some("model"));
            assert!(rejection.message.contains("opus, sonnet."), "{}", rejection.message);
        }
    }

    #[test]
    fn only_a_few_models_are_named() {
        let many: Vec<String> = (10..99).map(|n| format!("m{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let rejection = unknown_model(&fleet(&many), "x");
        assert!(rejection.message.ends_with("m18, m19, …."), "{}", rejection.message);
    }

    #[test]
    fn a_fleet_without_models_has_no_workers() {
        let rejection = model(&fleet(&[]), "opus").expect_err("nobody is there");
        assert_eq!((rejection.status, rejection.code), (503, "no_workers"));
        assert!(rejection.retry_after_ms.is_some() && rejection.message.contains("Start drover-worker"));
    }
}
