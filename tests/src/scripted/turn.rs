//! One turn: a user frame in, calls to the relay, the CLI's lines out.

use super::fault::Fault;
use super::http::{Relay, each_event};
use super::lines::{Lines, print};
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

/// A message as far as it was read.
#[derive(Default)]
struct Message {
    head: Value,
    request_id: Option<String>,
    blocks: Vec<Value>,
    /// Arguments of the open tool call.
    arguments: String,
    open: bool,
    stop_reason: Option<String>,
    usage: Value,
    whole: bool,
    deltas: u32,
    /// The events, kept only by the fault that prints them twice.
    spoken: Vec<String>,
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
                break self.interrupted();
            }
            match outcome {
                Outcome::Message(message) => match self.follow_up(&message) {
                    Some(content) => {
                        messages.push(json!({"role": "assistant", "content": message.blocks}));
                        messages.push(json!({"role": "user", "content": content}));
                    }
                    None => break self.answered(&message),
                },
                Outcome::Refused { status, request_id, error } => {
                    break self.refused(status, request_id.as_deref(), &error);
                }
                Outcome::Lost(message) if message.head.is_null() => {
                    break self.lost("API Error: Connection dropped (ECONNRESET)");
                }
                Outcome::Lost(message) => {
                    self.mend(&message);
                    if resumes == RESUMES {
                        let lost =
                            "API Error: Connection lost mid-response. The response above may be incomplete.";
                        break self.lost(lost);
                    }
                    resumes += 1;
                    messages
                        .push(json!({"role": "user", "content": [{"type": "text", "text": CUT_MID_STREAM}]}));
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
            Some("ping" | "error") | None => return,
            // The CLI prints a finished block before the event that finishes it.
            Some("content_block_stop") => self.block_finished(message),
            Some("message_delta") if event["delta"]["stop_reason"] == "refusal" => {
                self.synthetic(
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
            Some("max_tokens") => {
                let content = json!([{"type": "text", "text": CUT_BY_LIMIT}]);
                let message = json!({"role": "user", "content": content});
                self.lines.line(json!({"type": "user", "message": message, "isSynthetic": true}));
                Some(content)
            }
            _ => None,
        }
    }

    /// Closes a message that broke off, as the CLI does.
    fn mend(&self, message: &Message) {
        if message.open {
            let index = message.blocks.len() - 1;
            self.lines.stream_event(&json!({"type": "content_block_stop", "index": index}).to_string());
        }
        self.lines.stream_event(r#"{"type":"message_stop"}"#);
        self.lines.line(json!({
            "type": "user", "isSynthetic": true, "parent_tool_use_id": null,
            "message": {"role": "user", "content": [{"type": "text", "text": CUT_MID_STREAM}]},
        }));
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

    fn refused(&self, status: u16, request_id: Option<&str>, error: &Value) -> Value {
        let said = error["error"]["message"].as_str().or(error.as_str()).unwrap_or("no error text");
        let too_long = status == 400 && said.contains("prompt is too long");
        let text = match status {
            429 => format!("API Error: Request rejected (429) · {said}"),
            _ if too_long => "Prompt is too long".to_owned(),
            _ => format!("API Error: {status} {said}"),
        };
        let class = match status {
            401 | 403 => "authentication_failed",
            404 => "model_not_found",
            413 => "invalid_request",
            _ if too_long => "invalid_request",
            429 => "rate_limit",
            500.. => "server_error",
            _ => "unknown",
        };
        let kind = &error["error"]["type"];
        let more = json!({"request_id": request_id, "api_error_status": status, "api_error_type": kind});
        self.synthetic(&text, "stop_sequence", class, &more);
        json!({
            "subtype": "success", "is_error": true, "api_error_status": status, "api_error_type": kind,
            "result": text, "stop_reason": "stop_sequence",
            "terminal_reason": if too_long { "prompt_too_long" } else { "api_error" },
        })
    }

    fn lost(&self, text: &str) -> Value {
        self.synthetic(text, "stop_sequence", "server_error", &json!({"api_error": "connection_failed"}));
        json!({
            "subtype": "success", "is_error": true, "api_error_status": null, "result": text,
            "api_error": "connection_failed", "stop_reason": "stop_sequence", "terminal_reason": "api_error",
        })
    }

    fn interrupted(&self) -> Value {
        let content = json!([{"type": "text", "text": "[Request interrupted by user]"}]);
        self.lines.line(json!({"type": "user", "message": {"role": "user", "content": content}}));
        json!({
            "subtype": "error_during_execution", "is_error": true, "stop_reason": null, "errors": [],
            "terminal_reason": "aborted_streaming",
        })
    }

    /// The message that the CLI makes up to show an error.
    fn synthetic(&self, text: &str, stop_reason: &str, class: &str, more: &Value) {
        let mut line = json!({
            "type": "assistant", "parent_tool_use_id": null, "error": class, "is_api_error_message": true,
            "message": {
                "id": uuid::Uuid::new_v4(), "type": "message", "role": "assistant", "model": "<synthetic>",
                "content": [{"type": "text", "text": text}], "stop_reason": stop_reason, "stop_sequence": "",
                "usage": {"input_tokens": 0, "output_tokens": 0},
            },
        });
        if let (Some(line), Some(more)) = (line.as_object_mut(), more.as_object()) {
            line.extend(more.clone());
        }
        self.lines.line(line);
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

impl Message {
    fn take(&mut self, event: &Value) {
        match event["type"].as_str() {
            Some("message_start") => self.head = event["message"].clone(),
            Some("content_block_start") => {
                self.blocks.push(event["content_block"].clone());
                self.arguments.clear();
                self.open = true;
            }
            Some("content_block_delta") => {
                self.deltas += 1;
                self.take_delta(&event["delta"]);
            }
            Some("content_block_stop") => self.open = false,
            Some("message_delta") => {
                self.stop_reason = event["delta"]["stop_reason"].as_str().map(str::to_owned);
                self.usage = event["usage"].clone();
            }
            Some("message_stop") => self.whole = true,
            _ => {}
        }
    }

    fn take_delta(&mut self, delta: &Value) {
        if let Some(part) = delta["partial_json"].as_str() {
            self.arguments.push_str(part);
        }
        let Some(block) = self.blocks.last_mut() else { return };
        for field in ["text", "thinking", "signature"] {
            if let (Some(part), Some(Value::String(text))) = (delta[field].as_str(), block.get_mut(field)) {
                text.push_str(part);
            }
        }
    }
}

fn no_such_tool(call: &Value) -> Value {
    let name = call["name"].as_str().unwrap_or_default();
    json!({
        "type": "tool_result", "is_error": true, "tool_use_id": call["id"],
        "content": format!("<tool_use_error>Error: No such tool available: {name}</tool_use_error>"),
    })
}
