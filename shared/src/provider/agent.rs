//! The body that goes to the provider for an agent: the CLI's own, for the job's model.
//!
//! The CLI believes to speak with a placeholder model. What it says of the task stays: system prompt, tools,
//! messages and their cache breakpoints. What depends on the model is the job's, and what is in neither list
//! is left out: the CLI's metadata, and whatever a program that the agent runs may have put in, since it can
//! call the relay too.

use serde_json::{Map, Value, json};

use super::compose::{NotTheJob, Target, inform, sample};
use crate::schema::offer::{Abilities, Thinking};
use crate::schema::{JobSpec, limits};

/// What is kept of the CLI's body as it is.
const KEPT: [&str; 3] = ["messages", "system", "tool_choice"];
/// The least that a thinking budget may be (Anthropic API reference, "Extended thinking").
const LEAST_BUDGET: u64 = 1_024;
/// How the CLI tells the model what it is.
const NAMED: &str = "You are powered by the model named ";

/// What a round needs of the provider besides the Messages API's stable part: thinking between calls of tools,
/// for models that are told how much to think. Sent as `anthropic-beta`; those that know none of it, ignore it.
pub const AGENT_BETA: &str = "interleaved-thinking-2025-05-14";

/// The Messages API body for a round of the agent's. Every round is for the job's model: those of
/// sub-agents, which the CLI might give to a smaller one, too.
///
/// What is no round is not the job: a call without tools that the CLI itself runs, by which it searches the
/// web or finds a title, or one that wants no stream, which is how it repeats what was refused.
pub fn compose_agent(cli_body: &Value, spec: &JobSpec, target: &Target) -> Result<Value, NotTheJob> {
    let tools = run_by_the_cli(&cli_body["tools"]);
    if tools.is_empty() || cli_body["stream"] != true || !cli_body["messages"].is_array() {
        return Err(NotTheJob);
    }
    let kept = KEPT.iter().filter_map(|name| Some(((*name).to_owned(), cli_body.get(*name)?.clone())));
    let mut body: Map<String, Value> = kept.collect();
    body.insert("model".to_owned(), target.model.into());
    body.insert("tools".to_owned(), tools.into());
    body.insert("stream".to_owned(), true.into());
    let max_tokens = bounded(cli_body["max_tokens"].as_u64(), spec.sampling.max_tokens, target.abilities);
    body.insert("max_tokens".to_owned(), max_tokens.into());
    match thinking(&cli_body["thinking"], target.abilities.thinking, max_tokens) {
        Some(thinking) => drop(body.insert("thinking".to_owned(), thinking)),
        // A model that thinks takes no sampling (Anthropic API reference, "Extended thinking").
        None => sample(&mut body, &spec.sampling),
    }
    inform(&mut body, &spec.sampling, target);
    name_the_model(&mut body, target.model);
    Ok(body.into())
}

/// A tool with a type of its own is run by the provider. It costs what no token count tells, and reaches
/// where the job may not.
fn run_by_the_cli(tools: &Value) -> Vec<Value> {
    let tools = tools.as_array().map(Vec::as_slice).unwrap_or_default();
    tools
        .iter()
        .filter(|tool| tool.is_object() && tool.get("type").is_none_or(|kind| kind == "custom"))
        .cloned()
        .collect()
}

fn bounded(asked: Option<u64>, allowed: Option<u32>, abilities: &Abilities) -> u64 {
    let default = u64::from(limits::DEFAULT_OUTPUT_TOKENS);
    let bounds = [allowed, abilities.output_tokens].into_iter().flatten().map(u64::from);
    bounds.fold(asked.unwrap_or(default).min(default), u64::min)
}

/// How the job's model is to think where the CLI wants it to. Some find the measure themselves; a budget has to
/// leave room for an answer.
fn thinking(asked: &Value, how: Thinking, max_tokens: u64) -> Option<Value> {
    if !matches!(asked["type"].as_str(), Some("enabled" | "adaptive")) {
        return None;
    }
    match how {
        Thinking::None => return None,
        Thinking::Adaptive => return Some(json!({ "type": "adaptive" })),
        Thinking::Budget => {}
    }
    let budget = asked["budget_tokens"].as_u64().unwrap_or(u64::MAX).min(max_tokens.saturating_sub(1));
    (budget >= LEAST_BUDGET).then(|| json!({ "type": "enabled", "budget_tokens": budget }))
}

/// Tells the model its own name where the CLI tells it the placeholder's: in the system prompt, or in a
/// reminder before the first thing that the user said.
fn name_the_model(body: &mut Map<String, Value>, model: &str) {
    let system = body.get_mut("system").and_then(Value::as_array_mut);
    system.into_iter().flatten().for_each(|block| rename(block, model));
    let first = body.get_mut("messages").and_then(|messages| messages.pointer_mut("/0/content"));
    for block in first.and_then(Value::as_array_mut).into_iter().flatten() {
        if block["text"].as_str().is_some_and(|text| text.starts_with("<system-reminder>")) {
            rename(block, model);
        }
    }
}

fn rename(block: &mut Value, model: &str) {
    let Some((before, named)) = block["text"].as_str().and_then(|text| text.split_once(NAMED)) else {
        return;
    };
    let after = named.find('\n').map_or("", |end| &named[end..]);
    block["text"] = format!("{before}You are powered by the model {model}.{after}").into();
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::schema::{AgentOptions, AgentSpec, ProjectId, Sampling, SessionId};

    fn spec(sampling: Sampling) -> JobSpec {
        let agent = AgentSpec {
            session: SessionId::from_uuid(Uuid::nil()),
            project: ProjectId::from_uuid(Uuid::nil()),
            network: vec![],
            options: AgentOptions::default(),
        };
        JobSpec { model: "m".to_owned(), sampling, agent: Some(agent), ..JobSpec::default() }
    }

    /// A model that is told how much to think.
    const BUDGETS: Abilities = Abilities {
        context_tokens: None,
        output_tokens: None,
        vision: true,
        tools: true,
        thinking: Thinking::Budget,
    };
    /// One that finds out by itself.
    const ADAPTS: Abilities = Abilities { thinking: Thinking::Adaptive, ..BUDGETS };

    fn budgeted(model: &str) -> Target<'_> {
        Target { model, abilities: &BUDGETS, lacks: &[], login: false }
    }

    fn adaptive(model: &str) -> Target<'_> {
        Target { model, abilities: &ADAPTS, lacks: &[], login: false }
    }

    /// What the CLI sends for a round of its main loop.
    fn round() -> Value {
        let cached = json!({ "type": "ephemeral" });
        let named = "<system-reminder>\nYou are powered by the model named Sonnet 4.5. The exact model ID is \
                     claude-sonnet-4-5.\n</system-reminder>";
        json!({
            "model": "claude-sonnet-4-5",
            "messages": [
                { "role": "user", "content": [
                    { "type": "text", "text": named },
                    { "type": "text", "text": "You are powered by the model named Bob", "cache_control": cached },
                ] },
                { "role": "assistant", "content": [
                    { "type": "thinking", "thinking": "Hm.", "signature": "s" },
                    { "type": "tool_use", "id": "t", "name": "Bash", "input": { "command": "ls" } },
                ] },
            ],
            "system": [{ "type": "text", "text": "You are an agent.", "cache_control": cached }],
            "tools": [{ "name": "Bash", "description": "runs", "input_schema": {} }],
            "metadata": { "user_id": "a device" },
            "max_tokens": 32_000,
            "thinking": { "type": "enabled", "budget_tokens": 31_999 },
            "stream": true,
        })
    }

    #[test]
    fn a_round_is_the_clis_but_for_what_depends_on_the_model() {
        let body = compose_agent(&round(), &spec(Sampling::default()), &budgeted("claude-sonnet-4-5"))
            .expect("a round");
        let mut expected = round();
        expected.as_object_mut().expect("an object").remove("metadata");
        expected["messages"][0]["content"][0]["text"] =
            "<system-reminder>\nYou are powered by the model claude-sonnet-4-5.\n</system-reminder>".into();
        assert_eq!(body, expected);
        let newer = compose_agent(&round(), &spec(Sampling::default()), &adaptive("claude-opus-5-5"))
            .expect("a round");
        expected["model"] = "claude-opus-5-5".into();
        expected["thinking"] = json!({ "type": "adaptive" });
        expected["messages"][0]["content"][0]["text"] =
            "<system-reminder>\nYou are powered by the model claude-opus-5-5.\n</system-reminder>".into();
        assert_eq!(newer, expected);
    }

    #[test]
    fn the_clients_limit_leaves_room_for_an_answer_after_the_thinking() {
        for (allowed, max_tokens, budget) in [
            (None, 32_000, Some(31_999)),
            (Some(64_000), 32_000, Some(31_999)),
            (Some(4_000), 4_000, Some(3_999)),
            (Some(1_025), 1_025, Some(1_024)),
            (Some(1_024), 1_024, None),
            (Some(1), 1, None),
        ] {
            let sampling = Sampling { max_tokens: allowed, temperature: Some(0.5), ..Sampling::default() };
            let body =
                compose_agent(&round(), &spec(sampling), &budgeted("claude-haiku-4-5")).expect("a round");
            assert_eq!(body["max_tokens"], max_tokens, "{allowed:?}");
            assert_eq!(body["thinking"]["budget_tokens"].as_u64(), budget, "{allowed:?}");
            let heated = body["temperature"].as_f64();
            assert_eq!(heated, budget.is_none().then_some(0.5), "a model that thinks takes no temperature");
        }
    }

    #[test]
    fn a_model_that_is_not_to_think_takes_the_clients_sampling() {
        let mut quiet = round();
        quiet["thinking"] = json!({ "type": "disabled" });
        let stop = vec!["END".to_owned()];
        let sampling = Sampling { temperature: Some(0.0), top_p: Some(0.5), stop, ..Sampling::default() };
        let body = compose_agent(&quiet, &spec(sampling), &adaptive("claude-opus-5-5")).expect("a round");
        assert!(body.get("thinking").is_none());
        assert_eq!(
            (&body["temperature"], &body["top_p"], &body["stop_sequences"]),
            (&json!(0.0), &json!(0.5), &json!(["END"]))
        );
    }

    #[test]
    fn what_a_program_of_the_agents_puts_in_does_not_go_up() {
        let mut forged = round();
        forged["model"] = "claude-fable-5".into();
        forged["service_tier"] = "priority".into();
        forged["mcp_servers"] = json!([{ "url": "https://elsewhere.invalid" }]);
        forged["max_tokens"] = 128_000.into();
        let fetch = json!({ "type": "web_fetch_20250910", "name": "web_fetch" });
        forged["tools"].as_array_mut().expect("a list").push(fetch);
        let sent = compose_agent(&forged, &spec(Sampling::default()), &budgeted("claude-sonnet-4-5"));
        assert_eq!(sent, compose_agent(&round(), &spec(Sampling::default()), &budgeted("claude-sonnet-4-5")));
    }

    #[test]
    fn what_is_no_round_is_not_the_job() {
        let without = |name: &str| {
            let mut body = round();
            body.as_object_mut().expect("an object").remove(name);
            body
        };
        let with = |name: &str, value: Value| {
            let mut body = round();
            body[name] = value;
            body
        };
        for body in [
            json!(null),
            without("tools"),
            without("messages"),
            without("stream"),
            with("stream", false.into()),
            with("tools", json!([])),
            with("tools", json!([{ "type": "web_search_20250305", "name": "web_search" }])),
        ] {
            assert_eq!(
                compose_agent(&body, &spec(Sampling::default()), &budgeted("m")),
                Err(NotTheJob),
                "{body}"
            );
        }
    }
}
