//! The turn with which a process is warmed up before it has a job: it costs no call to a provider.

use serde_json::{Value, json};

use super::compose::after_placeholder;
use super::sse::{Frame, frame};

/// Whether the CLI makes this call for the user message `placeholder`: it is the last that a user said.
pub fn asks(cli_body: &Value, placeholder: &str) -> bool {
    after_placeholder(cli_body, placeholder)
        .is_some_and(|rest| rest.iter().all(|message| message["role"] != "user"))
}

/// The least answer that ends the CLI's turn well. An empty one would make the CLI call again.
pub fn answer(cli_body: &Value) -> Vec<Frame> {
    let message = json!({
        "id": "msg_priming",
        "type": "message",
        "role": "assistant",
        "model": cli_body["model"],
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": { "input_tokens": 1, "output_tokens": 1 },
    });
    let block = json!({ "type": "text", "text": "" });
    let delta = json!({ "type": "text_delta", "text": "." });
    let end = json!({ "stop_reason": "end_turn", "stop_sequence": null });
    let event = |name: &str, mut data: Value| {
        data["type"] = name.into();
        frame(name, &data)
    };
    vec![
        event("message_start", json!({ "message": message })),
        event("content_block_start", json!({ "index": 0, "content_block": block })),
        event("content_block_delta", json!({ "index": 0, "delta": delta })),
        event("content_block_stop", json!({ "index": 0 })),
        event("message_delta", json!({ "delta": end, "usage": { "output_tokens": 1 } })),
        event("message_stop", json!({})),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::sse::{Meter, Signal};
    use super::*;
    use crate::schema::{Class, Usage};

    #[test]
    fn only_the_last_thing_that_a_user_said_is_answered() {
        let said =
            |role: &str, text: &str| json!({ "role": role, "content": [{ "type": "text", "text": text }] });
        let asked = |messages: Vec<Value>| asks(&json!({ "messages": messages }), "warm-1");
        assert!(asked(vec![said("user", "warm-1")]));
        assert!(asked(vec![said("user", "warm-0"), said("assistant", "."), said("user", "warm-1\n")]));
        assert!(asked(vec![said("user", "warm-1"), said("system", "a note of the CLI's")]));
        assert!(!asked(vec![said("user", "warm-1"), said("assistant", "."), said("user", "job")]));
        assert!(!asked(vec![said("user", "job")]));
        assert!(!asked(vec![]));
    }

    #[test]
    fn the_answer_is_a_whole_message_that_bills_one_token_each_way() {
        let mut meter = Meter::new(Class::Chat);
        let frames = answer(&json!({ "model": "m" }));
        let signals: Vec<Signal> = frames.into_iter().map(|frame| meter.read(frame).1).collect();
        assert_eq!(signals.first(), Some(&Signal::Metered));
        assert_eq!(signals.last(), Some(&Signal::Stopped));
        assert_eq!(meter.usage(), Usage { input_tokens: 1, output_tokens: 1, ..Usage::default() });
    }
}
