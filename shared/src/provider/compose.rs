//! The body that goes to the provider, made from the job.
//!
//! The CLI is given a placeholder instead of the conversation. Of the body it writes, only what it has
//! appended after the placeholder is kept; everything else is the job's. So the provider gets exactly
//! what the client sent, whatever the CLI would have made of it.

use serde_json::{Map, Value, json};

use super::answer_tool::{self, AnswerTool, Told};
use super::conversation::{self, cached, text_block};
use super::tools;
use crate::schema::offer::{Abilities, Setting, Thinking};
use crate::schema::{JobSpec, OutputFormat, Sampling, ThinkingWish, limits};

/// What the model is told where any JSON object will do.
const ANY_OBJECT: &str =
    "Answer with one JSON object and nothing else: no prose, and no code fence around it.";

/// The body does not carry the job's placeholder: the CLI speaks of something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call does not belong to the job")]
pub struct NotTheJob;

/// The Messages API body for `spec`, given the body the CLI sent after reading `placeholder`.
pub fn compose(
    cli_body: &Value,
    placeholder: &str,
    spec: &JobSpec,
    target: &Target,
) -> Result<Value, NotTheJob> {
    let appended = after_placeholder(cli_body, placeholder).ok_or(NotTheJob)?;
    let mut messages = conversation::messages(&spec.turns);
    messages.extend_from_slice(appended);

    let sampling = &spec.sampling;
    let mut body = Map::new();
    body.insert("model".to_owned(), target.model.into());
    body.insert("messages".to_owned(), messages.into());
    let usual = target.abilities.output_tokens.unwrap_or(u32::MAX).min(limits::DEFAULT_OUTPUT_TOKENS);
    let max_tokens = sampling.max_tokens.unwrap_or(usual);
    body.insert("max_tokens".to_owned(), max_tokens.into());
    body.insert("stream".to_owned(), true.into());
    let wish = wish(spec, target.abilities);
    let told = answer_tool::told(spec, target, wish.is_some_and(ThinkingWish::is_on));
    let answer = if let Told::Tool(answer) = &told { Some(answer) } else { None };
    let system = system(cli_body, spec, answer, target.login);
    if !system.is_empty() {
        body.insert("system".to_owned(), system.into());
    }
    tools::offer(&mut body, spec, answer);
    sample(&mut body, sampling);
    let wish = if answer.is_some_and(AnswerTool::is_forced) { thoughtless(wish, target) } else { wish };
    think(&mut body, wish, target.abilities.thinking, max_tokens);
    if let Told::Schema(schema) = told {
        configure(&mut body, "format", json!({ "type": "json_schema", "schema": schema }));
    }
    inform(&mut body, sampling, target);
    Ok(body.into())
}

/// What a body is for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// What the provider calls the model.
    pub model: &'a str,
    /// What the model can do.
    pub abilities: &'a Abilities,
    /// What the provider does not take.
    pub lacks: &'a [Setting],
    /// Whether the CLI's own login pays: then what goes up says, as the CLI does, who asks.
    pub login: bool,
}

/// The job's system prompt, after the CLI's own first words where its login pays.
fn system(cli_body: &Value, spec: &JobSpec, answer: Option<&AnswerTool>, login: bool) -> Vec<Value> {
    let who = cli_body["system"].get(0).filter(|_| login).cloned();
    let job = (!spec.system.is_empty()).then(|| cached(text_block(&spec.system)));
    // No provider can be told to answer with just any object, so the model is.
    let shape = (spec.output == Some(OutputFormat::Object)).then(|| text_block(ANY_OBJECT));
    // Who cannot be made to call the answer's tool is asked to.
    let asked = answer.filter(|answer| !answer.is_forced()).map(|answer| text_block(&answer.request()));
    who.into_iter().chain(job).chain(shape).chain(asked).collect()
}

/// How the model is to speak.
pub(super) fn sample(body: &mut Map<String, Value>, sampling: &Sampling) {
    if let Some(temperature) = sampling.temperature {
        body.insert("temperature".to_owned(), temperature.into());
    }
    if let Some(top_p) = sampling.top_p {
        body.insert("top_p".to_owned(), top_p.into());
    }
    if let Some(top_k) = sampling.top_k {
        body.insert("top_k".to_owned(), top_k.into());
    }
    if !sampling.stop.is_empty() {
        body.insert("stop_sequences".to_owned(), sampling.stop.clone().into());
    }
}

/// What changes no answer; a provider that does not take it goes without.
pub(super) fn inform(body: &mut Map<String, Value>, sampling: &Sampling, target: &Target) {
    let takes = |setting| !target.lacks.contains(&setting);
    if let Some(tier) = sampling.service_tier.filter(|_| takes(Setting::ServiceTier)) {
        body.insert("service_tier".to_owned(), json!(tier));
    }
    if let Some(user) = sampling.user.as_ref().filter(|_| takes(Setting::User)) {
        body.insert("metadata".to_owned(), json!({ "user_id": user }));
    }
}

/// How much to think. A model that is told a number goes on with the results of tools without: it would have to be
/// shown the thoughts that led to its calls, which no client of ours is given in full (Anthropic API reference,
/// "Extended thinking with tool use").
fn wish(spec: &JobSpec, abilities: &Abilities) -> Option<ThinkingWish> {
    let goes_on = abilities.thinking == Thinking::Budget && conversation::goes_on(&spec.turns);
    spec.sampling.thinking.filter(|wish| !(goes_on && wish.is_on()))
}

/// For a model that must call a tool: it may not think, and some do unless they are told.
fn thoughtless(wish: Option<ThinkingWish>, target: &Target) -> Option<ThinkingWish> {
    wish.or((!target.lacks.contains(&Setting::Thinking)).then_some(ThinkingWish::Off))
}

/// How much the model is to think, in the way in which it can be told. A budget leaves room for an answer.
fn think(body: &mut Map<String, Value>, wish: Option<ThinkingWish>, how: Thinking, max_tokens: u32) {
    let (thinking, effort) = match (wish, how) {
        (None, _) | (Some(_), Thinking::None) => return,
        (Some(ThinkingWish::Off), _) => (json!({ "type": "disabled" }), None),
        (Some(ThinkingWish::Budget(tokens)), Thinking::Budget) => (budget(tokens, max_tokens), None),
        (Some(ThinkingWish::Effort(effort)), Thinking::Budget) => {
            (budget(limits::thinking_tokens(effort), max_tokens), None)
        }
        (Some(ThinkingWish::Budget(tokens)), Thinking::Adaptive) => {
            (json!({ "type": "adaptive" }), Some(limits::thinking_effort(tokens)))
        }
        (Some(ThinkingWish::Effort(effort)), Thinking::Adaptive) => {
            (json!({ "type": "adaptive" }), Some(effort))
        }
    };
    body.insert("thinking".to_owned(), thinking);
    if let Some(effort) = effort {
        configure(body, "effort", json!(effort));
    }
}

fn configure(body: &mut Map<String, Value>, name: &str, value: Value) {
    let config = body.entry("output_config").or_insert_with(|| json!({}));
    config[name] = value;
}

fn budget(tokens: u32, max_tokens: u32) -> Value {
    json!({ "type": "enabled", "budget_tokens": tokens.min(max_tokens.saturating_sub(1)) })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Effort, Part, Role, ServiceTier, Turn};

    const PLACEHOLDER: &str = "drover-job-1";
    const PLAIN: Abilities = Abilities {
        context_tokens: None,
        output_tokens: None,
        vision: false,
        tools: false,
        thinking: Thinking::None,
    };
    const UP: Target = Target { model: "up", abilities: &PLAIN, lacks: &[], login: false };

    fn turn(role: Role, texts: &[&str]) -> Turn {
        Turn { role, parts: texts.iter().map(|text| Part::Text { text: (*text).to_owned() }).collect() }
    }

    fn spec(system: &str, turns: Vec<Turn>, sampling: Sampling) -> JobSpec {
        JobSpec { model: "m".to_owned(), system: system.to_owned(), turns, sampling, ..JobSpec::default() }
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
        assert_eq!(compose(&ask(), PLACEHOLDER, &spec, &UP), Ok(expected));
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
            top_k: Some(5),
            thinking: None,
            service_tier: Some(ServiceTier::StandardOnly),
            user: Some("u1".to_owned()),
        };
        let expected = json!({
            "model": "up",
            "max_tokens": 7,
            "temperature": 0.25,
            "top_p": 1.0,
            "stop_sequences": ["END"],
            "top_k": 5,
            "service_tier": "standard_only",
            "metadata": { "user_id": "u1" },
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
        assert_eq!(compose(&ask(), PLACEHOLDER, &spec("Be kind.", turns, sampling), &UP), Ok(expected));
    }

    #[test]
    fn thinking_is_asked_for_as_the_model_can_be_told() {
        let enabled = |tokens: u32| Some(json!({ "type": "enabled", "budget_tokens": tokens }));
        let adaptive = || Some(json!({ "type": "adaptive" }));
        let off = || Some(json!({ "type": "disabled" }));
        for (wish, how, max_tokens, thinking, effort) in [
            (None, Thinking::Budget, None, None, None),
            (Some(ThinkingWish::Off), Thinking::Budget, None, off(), None),
            (Some(ThinkingWish::Off), Thinking::Adaptive, None, off(), None),
            (Some(ThinkingWish::Budget(3_000)), Thinking::Budget, None, enabled(3_000), None),
            (Some(ThinkingWish::Budget(3_000)), Thinking::Budget, Some(2_000), enabled(1_999), None),
            (Some(ThinkingWish::Budget(3_000)), Thinking::Adaptive, None, adaptive(), Some("low")),
            (Some(ThinkingWish::Budget(30_000)), Thinking::Adaptive, None, adaptive(), Some("high")),
            (Some(ThinkingWish::Effort(Effort::Low)), Thinking::Budget, None, enabled(4_000), None),
            (Some(ThinkingWish::Effort(Effort::High)), Thinking::Adaptive, None, adaptive(), Some("high")),
            (Some(ThinkingWish::Effort(Effort::High)), Thinking::None, None, None, None),
        ] {
            let sampling = Sampling { thinking: wish, max_tokens, ..Sampling::default() };
            let abilities = Abilities { thinking: how, ..PLAIN };
            let target = Target { abilities: &abilities, ..UP };
            let body =
                compose(&ask(), PLACEHOLDER, &spec("", vec![turn(Role::User, &["hi"])], sampling), &target);
            let body = body.expect("the job's body");
            assert_eq!(body.get("thinking"), thinking.as_ref(), "{wish:?} {how:?}");
            assert_eq!(body["output_config"]["effort"].as_str(), effort, "{wish:?} {how:?}");
        }
    }

    #[test]
    fn the_clis_login_says_who_asks() {
        for (system, expected) in [
            ("", json!([{ "type": "text", "text": "You are a Claude agent." }])),
            (
                "Be kind.",
                json!([
                    { "type": "text", "text": "You are a Claude agent." },
                    { "type": "text", "text": "Be kind.", "cache_control": { "type": "ephemeral" } },
                ]),
            ),
        ] {
            let spec = spec(system, vec![turn(Role::User, &["hi"])], Sampling::default());
            let body =
                compose(&ask(), PLACEHOLDER, &spec, &Target { login: true, ..UP }).expect("the job's body");
            assert_eq!(body["system"], expected);
        }
    }

    #[test]
    fn what_only_informs_is_left_out_where_it_is_not_taken() {
        let (service_tier, user) = (Some(ServiceTier::Auto), Some("u".to_owned()));
        let sampling = Sampling { service_tier, user, ..Sampling::default() };
        let target = Target { lacks: &[Setting::ServiceTier, Setting::User], ..UP };
        let body =
            compose(&ask(), PLACEHOLDER, &spec("", vec![turn(Role::User, &["hi"])], sampling), &target);
        let body = body.expect("the job's body");
        assert!(body.get("service_tier").is_none() && body.get("metadata").is_none(), "{body}");
    }

    #[test]
    fn a_shape_goes_up_as_a_schema_or_as_a_word_to_the_model() {
        let schema = json!({ "type": "object", "b": 1, "a": 2 });
        let fields = schema.as_object().cloned().expect("an object");
        let spec = |output| JobSpec {
            output: Some(output),
            ..spec("Be kind.", vec![turn(Role::User, &["hi"])], Sampling::default())
        };
        let composed = |spec: &JobSpec| compose(&ask(), PLACEHOLDER, spec, &UP).expect("the job's body");
        let body = composed(&spec(OutputFormat::Schema { schema: fields, strict: true }));
        assert_eq!(body["output_config"], json!({ "format": { "type": "json_schema", "schema": schema } }));
        let kind = json!({ "type": "text", "text": "Be kind.", "cache_control": { "type": "ephemeral" } });
        assert_eq!(body["system"], json!([kind]));
        let body = composed(&spec(OutputFormat::Object));
        assert_eq!(body.get("output_config"), None);
        assert_eq!(body["system"], json!([kind, { "type": "text", "text": ANY_OBJECT }]));
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
            let body = compose(&cli_body(&messages), PLACEHOLDER, &spec, &UP).expect("the job's body");
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
            assert_eq!(compose(&body, PLACEHOLDER, &spec, &UP), Err(NotTheJob), "{body}");
        }
    }
}
