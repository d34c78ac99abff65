//! Several answers to one request.

use std::num::NonZeroU32;

use serde_json::{Value, json};

use super::properties::{chunks, events, some_answer};
use super::random::Random;
use super::{accepted, refused, stream, whole, with};
use crate::schema::{Event, StopReason, Usage};

#[test]
fn a_request_may_want_several() {
    for (n, choices) in [("null", None), ("1", None), ("2", NonZeroU32::new(2)), ("16", NonZeroU32::new(16))]
    {
        assert_eq!(accepted(&with(&format!(r#""n":{n},"#))).spec.choices, choices);
    }
    for (n, code) in
        [("0", "invalid_value"), ("17", "invalid_value"), ("-1", "invalid_value"), ("2.5", "invalid_type")]
    {
        refused(&with(&format!(r#""n":{n},"#)), code, Some("n"));
    }
    refused(&with(r#""n":2,"agent":true,"#), "unsupported_parameter", Some("n"));
}

/// The events of several answers as one job has them, in any order among the answers.
fn interleaved(answers: &[Vec<Event>], random: &mut Random) -> Vec<Event> {
    let mut rest: Vec<_> = answers.iter().map(|events| events.iter().peekable()).collect();
    let mut all = vec![Event::AttemptStarted { attempt: 1 }];
    while rest.iter_mut().any(|events| events.peek().is_some()) {
        let choice = random.below(rest.len());
        if let Some(event) = rest[choice].next() {
            all.push(event.clone().of(u32::try_from(choice).ok()));
        }
    }
    all
}

#[test]
fn each_choice_is_what_it_would_be_alone() {
    let reasons = [(StopReason::EndTurn, "stop"), (StopReason::MaxTokens, "length")];
    for seed in 0..200 {
        let mut random = Random(seed);
        let mut alone = Vec::new();
        let mut answers = Vec::new();
        for _ in 0..2 + random.below(4) {
            let blocks = some_answer(&mut random);
            let mut events = events(&blocks, &mut random);
            let (stop, reason) = random.pick(&reasons);
            events.pop();
            events.remove(0);
            let stopped = Event::MessageStopped { stop, stop_sequence: None };
            let end = Event::Completed { stop, stop_sequence: None, usage: Usage::default() };
            alone.push(([events.clone(), vec![end]].concat(), reason));
            answers.push([events, vec![stopped]].concat());
        }
        let mut all = interleaved(&answers, &mut random);
        all.push(Event::Completed {
            stop: StopReason::EndTurn,
            stop_sequence: None,
            usage: Usage::default(),
        });
        let body: Value = serde_json::from_str(&whole(&all).expect("an answer")).expect("JSON");
        let streamed = chunks(&stream(&all, false));
        assert_eq!(body["choices"].as_array().map(Vec::len), Some(alone.len()), "seed {seed}");
        for ((events, reason), index) in alone.iter().zip(0..) {
            let expected: Value = serde_json::from_str(&whole(events).expect("an answer")).expect("JSON");
            let choice = &body["choices"][index];
            assert_eq!(choice["message"], expected["choices"][0]["message"], "seed {seed}");
            assert_eq!((&choice["index"], &choice["finish_reason"]), (&json!(index), &json!(reason)));
            let of_it = |chunk: &Value| {
                let mut choice = chunk["choices"][0].clone();
                choice["index"] = json!(0);
                (chunk["choices"][0]["index"] == json!(index)).then_some(choice)
            };
            let pieces: Vec<_> = streamed.iter().filter_map(of_it).collect();
            let single = chunks(&stream(events, false));
            let expected: Vec<_> = single.iter().map(|chunk| chunk["choices"][0].clone()).collect();
            assert_eq!(pieces, expected, "seed {seed}");
        }
    }
}

#[test]
fn what_an_attempt_said_that_was_given_up_is_of_no_choice() {
    let text = |text: &str| Event::TextDelta { index: 0, text: text.to_owned() };
    let events = [
        text("lost").of(Some(1)),
        Event::AttemptStarted { attempt: 2 },
        text("a").of(Some(0)),
        text("b").of(Some(1)),
        Event::Completed { stop: StopReason::EndTurn, stop_sequence: None, usage: Usage::default() },
    ];
    let body: Value = serde_json::from_str(&whole(&events).expect("an answer")).expect("JSON");
    let said: Vec<_> = [0, 1].map(|index| body["choices"][index]["message"]["content"].clone()).into();
    assert_eq!(said, [json!("a"), json!("b")]);
}
