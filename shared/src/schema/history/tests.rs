//! Any split of a history joins to the same, and any cut of an answer folds to the same.

use serde_json::json;

use super::*;
use crate::schema::{StopReason, Usage};

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % end
    }
}

fn text(text: impl Into<String>) -> Part {
    Part::Text { text: text.into() }
}

fn call(id: &str) -> Part {
    let input = json!({"z": 1, "a": [2]}).as_object().expect("an object").clone();
    Part::ToolUse { id: id.to_owned(), name: "look".to_owned(), input }
}

fn result(id: &str) -> Part {
    Part::ToolResult { tool_use_id: id.to_owned(), content: vec![text("seen")], is_error: false }
}

fn user(parts: Vec<Part>) -> Turn {
    Turn { role: Role::User, parts }
}

fn assistant(parts: Vec<Part>) -> Turn {
    Turn { role: Role::Assistant, parts }
}

/// A conversation in which the model calls tools now and then, and the same as a client tells it that names the
/// calls itself.
fn conversation(random: &mut Random) -> (Vec<Turn>, Vec<Turn>) {
    let (mut here, mut there) = (Vec::new(), Vec::new());
    let mut both = |one: Turn, other: Turn| {
        here.push(one);
        there.push(other);
    };
    for round in 0..=random.below(5) {
        let question = user(vec![text(format!("q{round}"))]);
        both(question.clone(), question);
        if random.below(2) == 0 {
            let (ids, own) = ([format!("a{round}"), format!("b{round}")], ["x", "y"]);
            let own = own.map(|name| format!("{name}{round}"));
            both(
                assistant(ids.iter().map(|id| call(id)).collect()),
                assistant(own.iter().map(|id| call(id)).collect()),
            );
            // Answers come in any order, and may be followed by the client's words.
            let order: [usize; 2] = if random.below(2) == 0 { [0, 1] } else { [1, 0] };
            let answers = |ids: &[String]| {
                let results = order.iter().map(|at| result(&ids[*at]));
                user(results.chain([text("and?")]).collect())
            };
            both(answers(&ids), answers(&own));
        }
        let answer = assistant(vec![text("answer")]);
        both(answer.clone(), answer);
    }
    (here, there)
}

#[test]
fn any_split_of_a_conversation_joins_to_the_same() {
    for seed in 0..500 {
        let mut random = Random(seed);
        let (all, own_names) = conversation(&mut random);
        for at in 0..=all.len() {
            let (said, new) = all.split_at(at);
            assert_eq!(join(said.to_vec(), new), all, "only what is new; seed {seed}, split at {at}");
            assert_eq!(join(said.to_vec(), &all), all, "all that was said; seed {seed}, split at {at}");
            assert_eq!(fresh(said, &all), new, "seed {seed}, split at {at}");
            let told = join(said.to_vec(), &own_names);
            assert_eq!(told[..at], all[..at], "the history stays as it is; seed {seed}, split at {at}");
            let calls_are_open =
                said.last().is_some_and(|turn| matches!(turn.parts[0], Part::ToolUse { .. }));
            if calls_are_open {
                assert_eq!(told[at], all[at], "answers name the history's calls; seed {seed}, split at {at}");
            }
        }
    }
}

#[test]
fn answers_to_the_historys_calls_come_back_with_its_names() {
    let history = [user(vec![text("q")]), assistant(vec![call("toolu_1"), call("toolu_2")])];
    let given = [
        user(vec![text("q")]),
        assistant(vec![call("function_call_0"), call("function_call_1")]),
        user(vec![result("function_call_1"), result("function_call_0")]),
    ];
    assert_eq!(fresh(&history, &given), [user(vec![result("toolu_2"), result("toolu_1")])]);
}

#[test]
fn what_is_not_the_beginning_is_new() {
    let history = [user(vec![text("q")]), assistant(vec![text("a")])];
    for given in [
        vec![user(vec![text("q")])],
        vec![user(vec![text("q")]), assistant(vec![text("b")]), user(vec![text("c")])],
        vec![user(vec![text("q"), text("")]), assistant(vec![text("a")]), user(vec![text("c")])],
        vec![assistant(vec![text("q")]), assistant(vec![text("a")]), user(vec![text("c")])],
    ] {
        assert_eq!(fresh(&history, &given), given);
    }
    let called = [user(vec![text("q")]), assistant(vec![call("1"), call("2")]), user(vec![result("1")])];
    let swapped = [user(vec![text("q")]), assistant(vec![call("x"), call("y")]), user(vec![result("y")])];
    assert_eq!(fresh(&called, &swapped), swapped, "another call is answered");
}

/// The events of an answer of text and calls, each cut into pieces.
fn events(random: &mut Random) -> Vec<Event> {
    let mut events = vec![Event::AttemptStarted { attempt: 1 }];
    let mut block = |index: u32, block: Block, whole: &str, delta: fn(u32, String) -> Event| {
        events.push(Event::BlockStarted { index, block });
        let mut rest = whole;
        while !rest.is_empty() {
            let end = (1 + random.below(rest.len())..=rest.len())
                .find(|end| rest.is_char_boundary(*end))
                .unwrap_or(rest.len());
            events.push(delta(index, rest[..end].to_owned()));
            rest = &rest[end..];
        }
        events.push(Event::BlockStopped { index });
    };
    let thinking = |index, thinking| Event::ThinkingDelta { index, thinking };
    let speech = |index, text| Event::TextDelta { index, text };
    let input = |index, partial_json| Event::ToolInputDelta { index, partial_json };
    let tool = |id: &str| Block::ToolUse { id: id.to_owned(), name: "look".to_owned() };
    block(0, Block::Thinking, "hm", thinking);
    block(1, Block::Text, "Grüezi ", speech);
    block(2, tool("t1"), r#"{"z":1,"a":"é"}"#, input);
    block(3, Block::Text, "mitenand", speech);
    block(4, tool("t2"), "", input);
    block(5, tool("t3"), r#"{"broken":"#, input);
    events.push(Event::Completed { stop: StopReason::ToolUse, stop_sequence: None, usage: Usage::default() });
    events
}

#[test]
fn an_answer_is_its_text_and_its_calls() {
    let tool = |id: &str, input: Value| Part::ToolUse {
        id: id.to_owned(),
        name: "look".to_owned(),
        input: input.as_object().expect("an object").clone(),
    };
    let expected = assistant(vec![
        text("Grüezi mitenand"),
        tool("t1", json!({"z": 1, "a": "é"})),
        tool("t2", json!({})),
    ]);
    for seed in 0..200 {
        let mut random = Random(seed);
        let given_up = [Event::TextDelta { index: 0, text: "never mind".to_owned() }];
        let all: Vec<Event> = given_up.into_iter().chain(events(&mut random)).collect();
        assert_eq!(answer(&all).as_ref(), Some(&expected), "seed {seed}");
    }
    assert_eq!(answer(&[Event::AttemptStarted { attempt: 1 }, Event::Expired]), None);
}

#[test]
fn an_answer_with_a_call_of_nobodys_tool_is_known() {
    let tool = |name: &str| Tool {
        name: name.to_owned(),
        description: None,
        input_schema: Map::new(),
        strict: false,
    };
    let answer = assistant(vec![text("so"), call("a")]);
    assert!(calls_a_stranger(&answer, &[]) && calls_a_stranger(&answer, &[tool("hear")]));
    assert!(!calls_a_stranger(&answer, &[tool("hear"), tool("look")]));
    assert!(!calls_a_stranger(&assistant(vec![text("so")]), &[]));
}
