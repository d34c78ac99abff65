//! Whether a model and its providers take what a job asks for. Decided before a job exists, so that nothing is
//! silently left out.

use std::collections::BTreeSet;

use super::answer_tool;
use super::resolve::Resolved;
use crate::schema::offer::{Abilities, Setting, Thinking};
use crate::schema::{JobSpec, Offer, OutputFormat, Part, ThinkingWish, ToolChoice, limits};

/// What a model, or all of its providers, do not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// A setting.
    Setting(Setting),
    /// As many tokens as the answer may have; so many are possible.
    TooManyTokens(u32),
    /// The answer may have too few tokens to think; so many are the least.
    NoRoomToThink(u32),
}

/// The settings of a job that change its answer.
pub fn settings(spec: &JobSpec) -> BTreeSet<Setting> {
    let sampling = &spec.sampling;
    let thinks = !matches!(sampling.thinking, None | Some(ThinkingWish::Off));
    let used = [
        (sampling.temperature.is_some(), Setting::Temperature),
        (sampling.top_p.is_some(), Setting::TopP),
        (sampling.top_k.is_some(), Setting::TopK),
        (!sampling.stop.is_empty(), Setting::Stop),
        (thinks, Setting::Thinking),
        (!spec.tools.is_empty() || speaks_of_tools(spec), Setting::Tools),
        (spec.turns.iter().flat_map(|turn| &turn.parts).any(shows), Setting::Images),
        (matches!(spec.output, Some(OutputFormat::Schema { .. })), Setting::OutputFormat),
        (!matches!(spec.tool_choice, None | Some(ToolChoice::Auto)), Setting::ToolChoice),
        (spec.parallel_tool_calls == Some(false), Setting::ParallelTools),
    ];
    used.into_iter().filter_map(|(is_used, setting)| is_used.then_some(setting)).collect()
}

/// Whether a provider of a model with these abilities takes all that the job asks for.
pub fn takes(offer: &Offer, provider: &str, abilities: &Abilities, spec: &JobSpec) -> bool {
    missing(offer, provider, abilities, spec).is_empty()
}

/// What the job asks for and the provider does not take. A tool may stand in for the schema of the answer.
fn missing(offer: &Offer, provider: &str, abilities: &Abilities, spec: &JobSpec) -> Vec<Setting> {
    let lacks = lacks(offer, provider);
    let stands_in = answer_tool::stands_in(spec, abilities, lacks);
    let is_met = |setting: &Setting| *setting == Setting::OutputFormat && stands_in;
    settings(spec).into_iter().filter(|setting| lacks.contains(setting) && !is_met(setting)).collect()
}

/// What a provider does not take.
pub fn lacks<'a>(offer: &'a Offer, provider: &str) -> &'a [Setting] {
    offer.providers.iter().find(|it| it.id == provider).map_or(&[], |it| it.lacks.as_slice())
}

/// Checks a job against its model. At least one provider must take all of its settings. With `drop`, what none
/// takes is removed from the job and returned.
pub fn fit(spec: &mut JobSpec, model: &Resolved, offer: &Offer, drop: bool) -> Result<Vec<Setting>, Unfit> {
    let mut dropped = Vec::new();
    let wanted = settings(spec);
    let beyond = [
        (model.abilities.thinking == Thinking::None, Setting::Thinking),
        (!model.abilities.tools, Setting::Tools),
        (!model.abilities.vision, Setting::Images),
    ];
    for (is_beyond, setting) in beyond {
        if is_beyond && wanted.contains(&setting) {
            give_up(spec, setting, drop, &mut dropped)?;
        }
    }
    // The provider that lacks the least.
    let missing = model.routes.iter().map(|route| missing(offer, &route.provider, &model.abilities, spec));
    for setting in missing.min_by_key(Vec::len).unwrap_or_default() {
        give_up(spec, setting, drop, &mut dropped)?;
    }
    room(spec, &model.abilities)?;
    Ok(dropped)
}

fn give_up(
    spec: &mut JobSpec,
    setting: Setting,
    drop: bool,
    dropped: &mut Vec<Setting>,
) -> Result<(), Unfit> {
    if !drop || is_said(spec, setting) {
        return Err(Unfit::Setting(setting));
    }
    let sampling = &mut spec.sampling;
    match setting {
        Setting::Temperature => sampling.temperature = None,
        Setting::TopP => sampling.top_p = None,
        Setting::TopK => sampling.top_k = None,
        Setting::Stop => sampling.stop.clear(),
        Setting::Thinking => sampling.thinking = None,
        Setting::ToolChoice => spec.tool_choice = None,
        Setting::ParallelTools => spec.parallel_tool_calls = None,
        Setting::Images => blind(spec),
        Setting::OutputFormat => spec.output = None,
        Setting::Tools => {
            spec.tools.clear();
            (spec.tool_choice, spec.parallel_tool_calls) = (None, None);
        }
        // Jobs go without them where they are not taken.
        Setting::ServiceTier | Setting::User => {}
    }
    dropped.push(setting);
    Ok(())
}

/// Whether the conversation needs it: what was said of tools is a part of it, and no turn may be left without a word.
fn is_said(spec: &JobSpec, setting: Setting) -> bool {
    match setting {
        Setting::Tools => speaks_of_tools(spec),
        Setting::Images => spec.turns.iter().any(|turn| turn.parts.iter().all(is_shown)),
        _ => false,
    }
}

/// Whether there is an image or a document in it.
fn shows(part: &Part) -> bool {
    match part {
        Part::ToolResult { content, .. } => content.iter().any(is_shown),
        part => is_shown(part),
    }
}

fn is_shown(part: &Part) -> bool {
    matches!(part, Part::Image { .. } | Part::Document { .. })
}

fn blind(spec: &mut JobSpec) {
    for turn in &mut spec.turns {
        turn.parts.retain(|part| !is_shown(part));
        for part in &mut turn.parts {
            if let Part::ToolResult { content, .. } = part {
                content.retain(|part| !is_shown(part));
            }
        }
    }
}

fn speaks_of_tools(spec: &JobSpec) -> bool {
    let mut parts = spec.turns.iter().flat_map(|turn| &turn.parts);
    parts.any(|part| matches!(part, Part::ToolUse { .. } | Part::ToolResult { .. }))
}

fn room(spec: &JobSpec, abilities: &Abilities) -> Result<(), Unfit> {
    let Some(max_tokens) = spec.sampling.max_tokens else { return Ok(()) };
    if let Some(most) = abilities.output_tokens.filter(|most| max_tokens > *most) {
        return Err(Unfit::TooManyTokens(most));
    }
    let thinks = settings(spec).contains(&Setting::Thinking) && abilities.thinking == Thinking::Budget;
    if thinks && max_tokens <= limits::LEAST_THINKING_TOKENS {
        return Err(Unfit::NoRoomToThink(limits::LEAST_THINKING_TOKENS + 1));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::registry::Registry;
    use crate::provider::resolve;
    use crate::schema::media::Source;
    use crate::schema::{Effort, Role, Sampling, Tool, Turn};

    /// Two providers of one model, of which each lacks something, and a model that does not think.
    const OWN: &str = r#"
        extends = "nothing"
        [[provider]]
        id = "one"
        base_url = "http://127.0.0.1:1"
        lacks = ["top_k", "temperature"]
        [[provider]]
        id = "two"
        base_url = "http://127.0.0.1:2"
        lacks = ["top_k", "stop", "user"]
        [[model]]
        id = "m"
        output = 5_000
        thinking = "budget"
        routes = [{ provider = "one" }, { provider = "two" }]
        [[model]]
        id = "quiet"
        routes = [{ provider = "one" }]
    "#;

    fn fitted(model: &str, sampling: Sampling, drop: bool) -> (Result<Vec<Setting>, Unfit>, JobSpec) {
        let offer = Registry::read(OWN).expect("a registry").offer(|_| 1, None);
        let resolved = resolve(&offer, model).expect("a model");
        let mut spec = JobSpec { model: model.to_owned(), sampling, ..JobSpec::default() };
        (fit(&mut spec, &resolved, &offer, drop), spec)
    }

    #[test]
    fn what_nobody_takes_is_refused_or_dropped_and_told() {
        let stop = || vec!["END".to_owned()];
        let think = Some(ThinkingWish::Effort(Effort::Low));
        for (model, sampling, unfit) in [
            ("m", Sampling::default(), None),
            ("m", Sampling { temperature: Some(0.5), ..Sampling::default() }, None),
            ("m", Sampling { stop: stop(), ..Sampling::default() }, None),
            ("m", Sampling { user: Some("u".to_owned()), ..Sampling::default() }, None),
            ("m", Sampling { thinking: think, ..Sampling::default() }, None),
            ("m", Sampling { top_k: Some(1), ..Sampling::default() }, Some(Setting::TopK)),
            // Each of the two is taken by one provider, and both by none.
            (
                "m",
                Sampling { temperature: Some(0.5), stop: stop(), ..Sampling::default() },
                Some(Setting::Temperature),
            ),
            ("quiet", Sampling { thinking: think, ..Sampling::default() }, Some(Setting::Thinking)),
            ("quiet", Sampling { thinking: Some(ThinkingWish::Off), ..Sampling::default() }, None),
        ] {
            let (refused, spec) = fitted(model, sampling.clone(), false);
            assert_eq!(refused, unfit.map_or(Ok(vec![]), |it| Err(Unfit::Setting(it))), "{sampling:?}");
            assert_eq!(spec.sampling, sampling, "what is refused is left as it was");
            let (dropped, spec) = fitted(model, sampling, true);
            assert_eq!(dropped, Ok(unfit.into_iter().collect()));
            assert!(unfit.is_none_or(|it| !settings(&spec).contains(&it)), "{spec:?}");
        }
    }

    #[test]
    fn tools_may_go_unless_the_conversation_speaks_of_them() {
        let offer = Registry::read(OWN).expect("a registry").offer(|_| 1, None);
        let tool = Tool {
            name: "f".to_owned(),
            description: None,
            input_schema: serde_json::Map::new(),
            strict: false,
        };
        let asked = JobSpec {
            tools: vec![tool],
            tool_choice: Some(ToolChoice::Any),
            parallel_tool_calls: Some(false),
            ..JobSpec::default()
        };
        let result = Part::ToolResult { tool_use_id: "t".to_owned(), content: vec![], is_error: false };
        let told =
            JobSpec { turns: vec![Turn { role: Role::User, parts: vec![result] }], ..JobSpec::default() };
        let able = resolve(&offer, "quiet").expect("a model");
        let clumsy = Resolved { abilities: Abilities { tools: false, ..able.abilities }, ..able.clone() };
        let refused = Err(Unfit::Setting(Setting::Tools));
        for spec in [&asked, &told] {
            assert_eq!(fit(&mut spec.clone(), &able, &offer, false), Ok(vec![]));
            assert_eq!(fit(&mut spec.clone(), &clumsy, &offer, false), refused);
        }
        assert_eq!(fit(&mut told.clone(), &clumsy, &offer, true), refused, "what was said is never cut");
        let mut spec = asked;
        assert_eq!(fit(&mut spec, &clumsy, &offer, true), Ok(vec![Setting::Tools]));
        assert_eq!(settings(&spec), BTreeSet::new());
    }

    #[test]
    fn a_schema_is_for_providers_that_take_it_or_tools() {
        let own = OWN.replace(r#"lacks = ["top_k", "temperature"]"#, r#"lacks = ["output_format"]"#);
        let offer = Registry::read(&own).expect("a registry").offer(|_| 1, None);
        let [both, one] = ["m", "quiet"].map(|name| resolve(&offer, name).expect("a model"));
        let spec = |kind: &str| {
            let schema = serde_json::json!({ "type": kind }).as_object().cloned().expect("an object");
            let output = Some(OutputFormat::Schema { schema, strict: true });
            JobSpec { output, ..JobSpec::default() }
        };
        let takes = |provider: &str, spec: &JobSpec| takes(&offer, provider, &both.abilities, spec);
        assert!(takes("two", &spec("array")) && !takes("one", &spec("array")));
        assert!(takes("two", &spec("object")) && takes("one", &spec("object")));
        assert_eq!(fit(&mut spec("array"), &both, &offer, false), Ok(vec![]));
        let refused = Err(Unfit::Setting(Setting::OutputFormat));
        assert_eq!(fit(&mut spec("array"), &one, &offer, false), refused, "no tool takes a list");
        let clumsy = Resolved { abilities: Abilities { tools: false, ..one.abilities }, ..one.clone() };
        assert_eq!(fit(&mut spec("object"), &clumsy, &offer, false), refused);
        let mut dropped = spec("array");
        assert_eq!(fit(&mut dropped, &one, &offer, true), Ok(vec![Setting::OutputFormat]));
        assert_eq!(dropped.output, None);
        let mut object = JobSpec { output: Some(OutputFormat::Object), ..JobSpec::default() };
        assert_eq!(fit(&mut object, &one, &offer, false), Ok(vec![]));
    }

    #[test]
    fn images_may_go_where_words_are_left() {
        let offer = Registry::read(OWN).expect("a registry").offer(|_| 1, None);
        let blind = resolve(&offer, "quiet").expect("a model");
        let able = Resolved { abilities: Abilities { vision: true, ..blind.abilities }, ..blind.clone() };
        let refused = Err(Unfit::Setting(Setting::Images));
        let image = || Part::Image { source: Source::Text { data: "x".to_owned() } };
        let text = || Part::Text { text: "x".to_owned() };
        let told = |content| Part::ToolResult { tool_use_id: "t".to_owned(), content, is_error: false };
        for (parts, left) in [
            (vec![text(), image()], Some(vec![text()])),
            (vec![told(vec![image(), text()])], Some(vec![told(vec![text()])])),
            (vec![image()], None),
        ] {
            let turns = vec![Turn { role: Role::User, parts }];
            let mut spec = JobSpec { turns, ..JobSpec::default() };
            assert_eq!(fit(&mut spec, &able, &offer, false), Ok(vec![]));
            assert_eq!(fit(&mut spec, &blind, &offer, false), refused);
            let dropped = fit(&mut spec, &blind, &offer, true);
            match left {
                Some(left) => assert_eq!((dropped, &spec.turns[0].parts), (Ok(vec![Setting::Images]), &left)),
                None => assert_eq!(dropped, refused),
            }
        }
    }

    #[test]
    fn an_answer_has_room_and_no_more_than_the_model_gives() {
        let think = Some(ThinkingWish::Budget(2_000));
        for (max_tokens, thinking, expected) in [
            (5_000, None, Ok(vec![])),
            (5_001, None, Err(Unfit::TooManyTokens(5_000))),
            (1_024, None, Ok(vec![])),
            (1_024, think, Err(Unfit::NoRoomToThink(1_025))),
            (1_025, think, Ok(vec![])),
        ] {
            let sampling = Sampling { max_tokens: Some(max_tokens), thinking, ..Sampling::default() };
            assert_eq!(fitted("m", sampling, false).0, expected, "{max_tokens} {thinking:?}");
        }
    }
}
