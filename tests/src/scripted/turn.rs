//! One turn: a user frame in, calls to the relay, the CLI's lines out.

use super::fault::Fault;
use super::http::{Relay, each_event};
use super::lines::{Lines, print};
use super::message::{Message, add, no_such_tool};
use super::start::{Shared, leave_grandchildren, sleep_forever};
use serde_json::{Value, json};
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

/// What the CLI tells the model when the answer hit its limit.
const CUT_BY_LIMIT: &str = "Output token limit hit. Resume directly — no apology, no recap of what you were \
    doing. Pick up mid-thought if that is where the cut happened. Break remaining work into smaller pieces.";
/// What it says when the answer broke off.
const CUT_MID_STREAM: &str = "Your response above was cut off mid-stream. Resume directly from where it stops — \
    no apology, no recap. If none of it survived, answer the request from the start.";
/// What it says when the answer was empty.
const NOTHING_SAID: &str = "[Your previous response had no visible output. Please continue and produce a \
    user-visible response.]";
/// How often it asks for the rest of an answer that broke off.
const RESUMES: u32 = 3;

/// Plays the turns of one process.
pub(super) struct Turns {
    lines: Arc<Lines>,
    shared: Arc<Shared>,
    relay: Relay,
    model: String,
    fault: Option<Fault>,
    /// Whether the last result was an error; it decides the exit status.
    pub(super) last_failed: bool,
}

/// How one call to the relay ended.
enum Outcome {
    /// The message is whole.
    Message(Message),
    /// The relay answered with an error.
    Refused { status: u16, request_id: Option<String>, error: Value },
    /// The connection broke before the message was whole.
    Lost(Message),
}

impl Turns {
    pub(super) fn new(
        lines: Arc<Lines>,
        shared: Arc<Shared>,
        relay: Relay,
        model: String,
        fault: Option<Fault>,
    ) -> Self {
        Self { lines, shared, relay, model, fault, last_failed: false }
    }

    pub(super) fn play(&mut self, frame: &Value) {
        self.lines.lifecycle(frame, "started");
        self.lines.init(&self.model);
        self.before_the_call();
        let mut messages = vec![json!({"role": "user", "content": frame["message"]["content"]})];
        let mut resumes = 0;
        let result = loop {
            self.lines.requesting();
            let outcome = self.call(&messages);
            if self.shared.take_interrupted() {
                break self.lines.interrupted();
            }
            match outcome {
                Outcome::Message(message) => match self.follow_up(&message) {
                    Some(content) => {
                        add(&mut messages, "assistant", json!(message.blocks));
                        add(&mut messages, "user", content);
                    }
                    None => break self.answered(&message),
                },
                Outcome::Refused { status, request_id, error } => {
                    break self.lines.refused(status, request_id.as_deref(), &error);
                }
                Outcome::Lost(message) if message.head.is_null() => {
                    break self.lines.lost("API Error: Connection dropped (ECONNRESET)");
                }
                Outcome::Lost(message) if message.finished == 0 => break self.broke_off(&message),
                Outcome::Lost(message) => {
                    self.mend(&message);
                    if resumes == RESUMES {
                        let lost =
                            "API Error: Connection lost mid-response. The response above may be incomplete.";
                        break self.lines.lost(lost);
                    }
                    resumes += 1;
                    let told = self.lines.told(CUT_MID_STREAM);
                    add(&mut messages, "user", told);
                }
            }
        };
        self.finish(frame, result);
    }

    /// The faults that show before an answer.
    fn before_the_call(&self) {
        match self.fault {
            Some(Fault::Hang) => sleep_forever(),
            Some(Fault::Grandchildren) => leave_grandchildren(),
            Some(Fault::Line10Mb) => self.long_line(10 << 20),
            Some(Fault::Line20Mb) => self.long_line(20 << 20),
            Some(Fault::Flood) => self.flood(),
            Some(Fault::Garbage) => Self::garbage(),
            _ => {}
        }
    }

    fn long_line(&self, bytes: usize) {
        self.lines.line(json!({"type": "system", "subtype": "informational", "text": "x".repeat(bytes)}));
    }

    fn flood(&self) {
        let errors = "scripted noise on standard error\n".repeat(1 << 15);
        let _ = io::stderr().write_all(errors.as_bytes());
        for _ in 0..25_000 {
            self.long_line(4 << 10);
        }
    }

    fn garbage() {
        let lines: [&[u8]; 9] = [
            b"no JSON at all",
            b"",
            b"\xff\xfe not UTF-8 \x80",
            b"{\"type\":\"stream_event\"",
            b"null",
            b"[1,2,3]",
            b"{\"type\":\"a_type_of_the_future\",\"subtype\":{\"deep\":[{}]}}",
            b"{\"type\":\"stream_event\",\"event\":{\"type\":\"content_block_delta\",\"index\":\"x\",\"delta\":7}}",
            b"{\"no_type\":true}",
        ];
        for line in lines {
            print(line);
        }
    }

    fn call(&self, messages: &[Value]) -> Outcome {
        let mut message = Message::default();
        match self.exchange(messages, &mut message) {
            Ok(Some(refused)) => refused,
            Ok(None) if message.whole => Outcome::Message(message),
            Ok(None) | Err(_) => Outcome::Lost(message),
        }
    }

    fn exchange(&self, messages: &[Value], message: &mut Message) -> io::Result<Option<Outcome>> {
        let body = json!({
            "model": self.model, "messages": messages, "max_tokens": 32_000, "stream": true, "tools": [],
            "system": [{"type": "text", "text": "You are a Claude agent, built on Anthropic's Claude Agent SDK."}],
            "metadata": {"user_id": json!({"session_id": self.lines.session_id}).to_string()},
        });
        let wire = self.relay.connect()?;
        self.shared.started(&wire);
        let mut answer = self.relay.post(&wire, &body.to_string())?;
        if answer.status != 200 {
            let mut body = String::new();
            answer.body.read_to_string(&mut body)?;
            let error = serde_json::from_str(&body).unwrap_or(Value::String(body));
            let (status, request_id) = (answer.status, answer.request_id);
            return Ok(Some(Outcome::Refused { status, request_id, error }));
        }
        message.request_id = answer.request_id;
        each_event(answer.body, |data| self.event(data, message))?;
        if self.fault == Some(Fault::SpeakTwice) {
            message.spoken.iter().for_each(|event| self.lines.stream_event(event));
        }
        Ok(None)
    }

    /// Takes in one event and prints what the CLI prints for it.
    fn event(&self, data: &str, message: &mut Message) {
        let Ok(event) = serde_json::from_str::<Value>(data) else { return };
        match event["type"].as_str() {
            Some("ping") | None => return,
            Some("error") => {
                message.error = event["error"].clone();
                return;
            }
            // The CLI prints a finished block before the event that finishes it.
            Some("content_block_stop") => self.block_finished(message),
            Some("message_delta") if event["delta"]["stop_reason"] == "refusal" => {
                self.lines.synthetic(
                    "API Error: the model can't help with this.",
                    "refusal",
                    "invalid_request",
                    &json!({}),
                );
            }
            _ => {}
        }
        message.take(&event);
        self.lines.stream_event(data);
        if self.fault == Some(Fault::SpeakTwice) {
            message.spoken.push(data.to_owned());
        }
        if self.fault == Some(Fault::CrashAfter(message.deltas)) {
            let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
        }
    }

    fn block_finished(&self, message: &mut Message) {
        if let Some(block) = message.blocks.last_mut().filter(|block| block["type"] == "tool_use") {
            block["input"] = serde_json::from_str(&message.arguments).unwrap_or(json!({}));
        }
        let Some(block) = message.blocks.last() else { return };
        let mut shown = message.head.clone();
        shown["content"] = json!([block]);
        self.lines.line(json!({
            "type": "assistant", "message": shown, "parent_tool_use_id": null, "request_id": message.request_id,
        }));
        if block["type"] == "tool_use" {
            self.lines.line(json!({
                "type": "user", "parent_tool_use_id": null,
                "message": {"role": "user", "content": [no_such_tool(block)]},
            }));
        }
    }

    /// What the CLI asks by itself after an answer that it does not take as the end.
    fn follow_up(&self, message: &Message) -> Option<Value> {
        match message.stop_reason.as_deref() {
            Some("tool_use") => Some(
                message.blocks.iter().filter(|block| block["type"] == "tool_use").map(no_such_tool).collect(),
            ),
            Some("max_tokens") => Some(self.lines.told(CUT_BY_LIMIT)),
            Some("end_turn") if message.blocks.is_empty() => Some(self.lines.told(NOTHING_SAID)),
            _ => None,
        }
    }

    /// Ends a message that broke off before a block was finished: of it nothing is kept.
    fn broke_off(&self, message: &Message) -> Value {
        let result = if message.error.is_null() {
            self.lines
                .lost("API Error: Connection to the API was lost. This is usually temporary — try again.")
        } else {
            self.lines.overloaded(&message.error)
        };
        self.close(message);
        let usage = &message.head["usage"];
        let delta = json!({"stop_reason": null, "stop_sequence": null});
        self.lines
            .stream_event(&json!({"type": "message_delta", "delta": delta, "usage": usage}).to_string());
        self.lines.stream_event(r#"{"type":"message_stop"}"#);
        result
    }

    fn close(&self, message: &Message) {
        if message.open {
            let index = message.blocks.len() - 1;
            self.lines.stream_event(&json!({"type": "content_block_stop", "index": index}).to_string());
        }
    }

    /// Closes a message that broke off after a block was finished, and asks for the rest.
    fn mend(&self, message: &Message) {
        self.close(message);
        self.lines.stream_event(r#"{"type":"message_stop"}"#);
    }

    fn answered(&self, message: &Message) -> Value {
        if self.fault == Some(Fault::CallTwice) {
            self.lines.requesting();
            let _ = self.call(&[json!({"role": "user", "content": "And once more?"})]);
        }
        let refused = message.stop_reason.as_deref() == Some("refusal");
        let text = message.blocks.iter().rev().find_map(|block| block["text"].as_str()).unwrap_or_default();
        json!({
            "subtype": "success", "is_error": refused, "api_error_status": null, "result": text,
            "stop_reason": message.stop_reason, "usage": message.usage,
            "terminal_reason": if refused { "api_error" } else { "completed" },
        })
    }

    fn finish(&mut self, frame: &Value, mut result: Value) {
        self.last_failed = result["is_error"] == true;
        result["type"] = json!("result");
        result["num_turns"] = json!(1);
        result["queued_turn_count"] = json!(0);
        result["total_cost_usd"] = json!(0);
        self.lines.line(result);
        self.lines.lifecycle(frame, if self.last_failed { "cancelled" } else { "completed" });
    }
}
