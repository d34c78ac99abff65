//! The body that goes to the provider, made from the job.
//!
//! The CLI is given a placeholder instead of the conversation. Of the body it writes, only what it has
//! appended after the placeholder is kept; everything else is the job's. So the provider gets exactly
//! what the client sent, whatever the CLI would have made of it.

use serde_json::{Map, Value, json};

use crate::schema::offer::Abilities;
use crate::schema::{JobSpec, Part, Role, Turn, limits};

/// The body does not carry the job's placeholder: the CLI speaks of something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call does not belong to the job")]
pub struct NotTheJob;

/// The Messages API body for `spec`, given the body the CLI sent after reading `placeholder`.
pub fn compose(
    cli_body: &Value,
    placeholder: &str,
    spec: &JobSpec,
    abilities: &Abilities,
    upstream_model: &str,
) -> Result<Value, NotTheJob> {
    let appended = after_placeholder(cli_body, placeholder).ok_or(NotTheJob)?;
    let mut messages = conversation(&spec.turns);
    messages.extend_from_slice(appended);

    let sampling = &spec.sampling;
    let mut body = Map::new();
    body.insert("model".to_owned(), upstream_model.into());
    body.insert("messages".to_owned(), messages.into());
    let usual = abilities.output_tokens.unwrap_or(u32::MAX).min(limits::DEFAULT_OUTPUT_TOKENS);
    body.insert("max_tokens".to_owned(), sampling.max_tokens.unwrap_or(usual).into());
    body.insert("stream".to_owned(), true.into());
    if !spec.system.is_empty() {
        body.insert("system".to_owned(), json!([cached(text_block(&spec.system))]));
    }
    if let Some(temperature) = sampling.temperature {
        body.insert("temperature".to_owned(), temperature.into());
    }
    if let Some(top_p) = sampling.top_p {
        body.insert("top_p".to_owned(), top_p.into());
    }
    if !sampling.stop.is_empty() {
        body.insert("stop_sequences".to_owned(), sampling.stop.clone().into());
    }
    Ok(body.into())
}

/// The messages that follow the one with the placeholder. It is found by its own text, not by position:
/// the CLI may put messages of its own before it, and keeps earlier jobs' messages in the same process.
pub(super) fn after_placeholder<'a>(cli_body: &'a Value, placeholder: &str) -> Option<&'a [Value]> {
    let messages = cli_body.get("messages")?.as_array()?;
    let at = messages.iter().rposition(|message| is_placeholder(message, placeholder))?;
    messages.get(at + 1..)
}

/// Whether a block of this user message is the placeholder and nothing else. White space around it is
/// the CLI's: it ends a message with a line feed when it merges the next one into it.
fn is_placeholder(message: &Value, placeholder: &str) -> bool {
    let matches = |text: &Value| text.as_str().is_some_and(|text| text.trim() == placeholder);
    message["role"] == "user"
        && match &message["content"] {
            Value::Array(blocks) => blocks.iter().any(|block| matches(&block["text"])),
            content => matches(content),
        }
}

/// The client's turns. Where the conversation has been answered before, its end is worth caching: the
/// next request repeats it. A one-shot prompt would pay the provider's surcharge for nothing.
fn conversation(turns: &[Turn]) -> Vec<Value> {
    let answered_before = turns.iter().any(|turn| turn.role == Role::Assistant);
    let last = turns.len().saturating_sub(1);
    turns.iter().enumerate().map(|(at, turn)| message(turn, answered_before && at == last)).collect()
}

fn message(turn: &Turn, cache: bool) -> Value {
    let role = match turn.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let mut blocks: Vec<Value> = turn.parts.iter().map(|Part::Text { text }| text_block(text)).collect();
    if cache && let Some(block) = blocks.pop() {
        blocks.push(cached(block));
    }
    json!({ "role": role, "content": blocks })
}

fn text_block(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn cached(mut block: Value) -> Value {
    block["cache_control"] = json!({ "type": "ephemeral" });
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Sampling;

    const PLACEHOLDER: &str = "drover-job-1";

    fn turn(role: Role, texts: &[&str]) -> Turn {
        Turn { role, parts: texts.iter().map(|text| Part::Text { text: (*text).to_owned() }).collect() }
    }

    fn spec(system: &str, turns: Vec<Turn>, sampling: Sampling) -> JobSpec {
        JobSpec { agent: None, model: "m".to_owned(), system: system.to_owned(), turns, sampling }
    }

    fn cli_body(messages: &Value) -> Value {
        json!({
            "model": "claude-sonnet-4-5",
            "messages": messages,
            "system": [{ "type": "text", "text": "You are a Claude agent." }],
            "tools": [],
            "metadata": { "user_id": "u" },
            "max_tokens": 32000,
            "thinking": { "type": "enabled", "budget_tokens": 31999 },
            "context_management": {},
            "stream": false,
        })
    }

    fn ask() -> Value {
        cli_body(&json!([{ "role": "user", "content": [{ "type": "text", "text": PLACEHOLDER }] }]))
    }

    #[test]
    fn a_bare_prompt_becomes_the_least_body_there_is() {
        let spec = spec("", vec![turn(Role::User, &["  hi\n"])], Sampling::default());
        let expected = json!({
            "model": "up",
            "max_tokens": limits::DEFAULT_OUTPUT_TOKENS,
            "messages": [{ "role": "user", "content": [{ "type": "text", "text": "  hi\n" }] }],
            "stream": true,
        });
        assert_eq!(compose(&ask(), PLACEHOLDER, &spec, &Abilities::default(), "up"), Ok(expected));
    }

    #[test]
    fn everything_the_client_said_goes_up_and_the_history_is_cached() {
        let turns = vec![
            turn(Role::User, &["a"]),
            turn(Role::Assistant, &["b\u{2028}\"\\"]),
            turn(Role::User, &["c", "d"]),
        ];
        let sampling = Sampling {
            temperature: Some(0.25),
            top_p: Some(1.0),
            max_tokens: Some(7),
            stop: vec!["END".to_owned()],
        };
        let expected = json!({
            "model": "up",
            "max_tokens": 7,
            "temperature": 0.25,
            "top_p": 1.0,
            "stop_sequences": ["END"],
            "stream": true,
            "system": [{ "type": "text", "text": "Be kind.", "cache_control": { "type": "ephemeral" } }],
            "messages": [
                { "role": "user", "content": [{ "type": "text", "text": "a" }] },
                { "role": "assistant", "content": [{ "type": "text", "text": "b\u{2028}\"\\" }] },
                { "role": "user", "content": [
                    { "type": "text", "text": "c" },
                    { "type": "text", "text": "d", "cache_control": { "type": "ephemeral" } },
                ] },
            ],
        });
        assert_eq!(
            compose(&ask(), PLACEHOLDER, &spec("Be kind.", turns, sampling), &Abilities::default(), "up"),
            Ok(expected)
        );
    }

    #[test]
    fn only_what_follows_the_placeholder_is_kept_of_the_clis_messages() {
        let told = json!({ "role": "user", "content": "tool result" });
        for messages in [
            // The process has served another job before, and the CLI has spoken since.
            json!([
                { "role": "user", "content": "drover-job-0" },
                { "role": "assistant", "content": "old" },
                { "role": "user", "content": PLACEHOLDER },
                told,
            ]),
            // A job before it failed: the CLI has merged the two.
            json!([
                { "role": "user", "content": [
                    { "type": "text", "text": "drover-job-0\n" },
                    { "type": "text", "text": "drover-job-1\n", "cache_control": { "type": "ephemeral" } },
                ] },
                told,
            ]),
        ] {
            let spec = spec("", vec![turn(Role::User, &["hi"])], Sampling::default());
            let body = compose(&cli_body(&messages), PLACEHOLDER, &spec, &Abilities::default(), "up")
                .expect("the job's body");
            let sent = json!([{ "role": "user", "content": [{ "type": "text", "text": "hi" }] }, told]);
            assert_eq!(body["messages"], sent, "{messages}");
        }
    }

    #[test]
    fn another_body_is_not_the_job() {
        let spec = spec("", vec![turn(Role::User, &["hi"])], Sampling::default());
        for body in [
            json!(null),
            json!({ "messages": "drover-job-1" }),
            cli_body(&json!([])),
            cli_body(&json!([{ "role": "user", "content": "quota" }])),
            cli_body(&json!([{ "role": "assistant", "content": PLACEHOLDER }])),
            cli_body(&json!([{ "role": "user", "content": "Find a title for: drover-job-1" }])),
            cli_body(&json!([{ "role": "user", "content": "drover-job-11" }])),
        ] {
            assert_eq!(
                compose(&body, PLACEHOLDER, &spec, &Abilities::default(), "up"),
                Err(NotTheJob),
                "{body}"
            );
        }
    }
}
