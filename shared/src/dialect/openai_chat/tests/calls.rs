//! What holds for every conversation in which tools are called.

use super::parse;
use super::random::Random;
use crate::schema::{Part, Role};

/// Messages in which tools are called and answered, mostly as they should be.
fn some_calls(random: &mut Random) -> String {
    let mut messages = vec![r#"{"role":"user","content":"x"}"#.to_owned()];
    for round in 0..random.below(4) {
        let mut ids: Vec<String> = (0..=random.below(3)).map(|call| format!("t{round}_{call}")).collect();
        let call = |id: &String| format!(r#"{{"id":"{id}","function":{{"name":"f","arguments":"{{}}"}}}}"#);
        let calls: Vec<String> = ids.iter().map(call).collect();
        messages.push(format!(r#"{{"role":"assistant","tool_calls":[{}]}}"#, calls.join(",")));
        if random.below(8) == 0 {
            ids.push(random.pick(&["t0_0", "t1_0", "stray"]).to_owned());
        }
        let first = random.below(ids.len());
        ids.rotate_left(first);
        if random.below(8) == 0 {
            ids.pop();
        }
        let result = |id: &String| format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"r"}}"#);
        messages.extend(ids.iter().map(result));
        if random.below(2) == 0 {
            messages.push(r#"{"role":"user","content":"y"}"#.to_owned());
        }
    }
    format!(r#"{{"model":"m","messages":[{}]}}"#, messages.join(","))
}

#[test]
fn every_call_that_is_let_in_is_answered_once_in_the_turn_right_after() {
    let mut accepted = 0;
    for seed in 0..1_000 {
        let body = some_calls(&mut Random(seed));
        let turns = match parse(&body) {
            Ok(request) => request.spec.turns,
            Err(rejection) => {
                assert_eq!((rejection.status, rejection.code), (400, "invalid_value"), "{body}");
                continue;
            }
        };
        accepted += 1;
        for pair in turns.windows(2) {
            let mut called: Vec<_> = pair[0].parts.iter().filter_map(called).collect();
            let mut answered: Vec<_> = pair[1].parts.iter().filter_map(answered).collect();
            called.sort_unstable();
            answered.sort_unstable();
            assert_eq!(called, answered, "seed {seed}: {body}");
        }
        assert!(turns.last().is_some_and(|turn| turn.role == Role::User), "seed {seed}: {body}");
    }
    assert!((200..900).contains(&accepted), "both ways are walked: {accepted}");
}

fn called(part: &Part) -> Option<&str> {
    if let Part::ToolUse { id, .. } = part { Some(id) } else { None }
}

fn answered(part: &Part) -> Option<&str> {
    if let Part::ToolResult { tool_use_id, .. } = part { Some(tool_use_id) } else { None }
}
