//! From a script's steps to the events of a message and their times. Pure.

use super::prompt;
use super::script::{End, Pieces, Step};
use serde_json::{Value, json};
use std::time::Duration;

/// What the upstream bills for an answer. No figure is zero and no two are equal by construction, so that a
/// mixed-up field shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Input that was neither read from nor written to the cache.
    pub input_tokens: u32,
    /// Input written to the cache.
    pub cache_creation_input_tokens: u32,
    /// Input read from the cache.
    pub cache_read_input_tokens: u32,
    /// Output: one token per piece.
    pub output_tokens: u32,
}

impl Usage {
    /// One token for each word of the conversation, three written to the cache and seven read from it for
    /// each message.
    fn of_input(body: &Value) -> Self {
        let messages = body["messages"].as_array().map_or(0, Vec::len);
        let messages = u32::try_from(messages).unwrap_or(u32::MAX / 8);
        Self {
            input_tokens: 11 + prompt::word_count(body),
            cache_creation_input_tokens: 3 + 3 * messages,
            cache_read_input_tokens: 1000 + 7 * messages,
            output_tokens: 1,
        }
    }

    fn json(self) -> Value {
        json!({
            "input_tokens": self.input_tokens,
            "cache_creation_input_tokens": self.cache_creation_input_tokens,
            "cache_read_input_tokens": self.cache_read_input_tokens,
            "output_tokens": self.output_tokens,
        })
    }

    fn full_json(self) -> Value {
        let mut usage = self.json();
        usage["cache_creation"] = json!({
            "ephemeral_5m_input_tokens": self.cache_creation_input_tokens,
            "ephemeral_1h_input_tokens": 0,
        });
        usage["service_tier"] = json!("standard");
        usage["inference_geo"] = json!("not_available");
        usage
    }
}

/// A message: what is sent and when, counted from the first event.
pub(super) struct Answer {
    pub(super) timeline: Vec<(Duration, Item)>,
    /// The message as an answer that is not streamed.
    pub(super) message: Value,
    pub(super) usage: Usage,
}

pub(super) enum Item {
    Event { name: &'static str, data: Value },
    Cut(End),
}

/// Plays the steps under the limits that the body sets (`max_tokens`, `stop_sequences`).
pub(super) fn compose(steps: &[Step], body: &Value, number: usize) -> Answer {
    let mut composer = Composer::new(body, number);
    for step in steps {
        if composer.over {
            break;
        }
        composer.play(step, body);
    }
    composer.finish()
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Thinking,
}

struct Composer {
    at: Duration,
    timeline: Vec<(Duration, Item)>,
    open: Option<Kind>,
    content: Vec<Value>,
    usage: Usage,
    limit: u32,
    stops: Vec<String>,
    message: Value,
    over: bool,
    cut: bool,
}

impl Composer {
    fn new(body: &Value, number: usize) -> Self {
        let usage = Usage::of_input(body);
        let message = json!({
            "id": format!("msg_{number:06}"), "type": "message", "role": "assistant",
            "model": body["model"], "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": usage.full_json(),
        });
        let stops = body["stop_sequences"].as_array().map_or(&[][..], Vec::as_slice);
        let mut composer = Self {
            at: Duration::ZERO,
            timeline: Vec::new(),
            open: None,
            content: Vec::new(),
            usage: Usage { output_tokens: 0, ..usage },
            limit: body["max_tokens"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(u32::MAX),
            stops: stops.iter().filter_map(|stop| stop.as_str().map(str::to_owned)).collect(),
            message: message.clone(),
            over: false,
            cut: false,
        };
        composer.event("message_start", json!({"type": "message_start", "message": message}));
        composer.event("ping", json!({"type": "ping"}));
        composer
    }

    fn play(&mut self, step: &Step, body: &Value) {
        match step {
            Step::Wait(pause) => self.at += *pause,
            Step::Think(pieces) => self.pieces(Kind::Thinking, pieces),
            Step::Say(pieces) => self.say(pieces),
            Step::Echo => self.say(&Pieces { pieces: vec![body.to_string()], every: Duration::ZERO }),
            Step::Call(name, input) => self.call(name, input),
            Step::End(End::Empty) => self.over = true,
            Step::End(End::Refusal) => self.stop("refusal", None),
            Step::End(End::MaxTokens) => self.stop("max_tokens", None),
            Step::End(end) => {
                self.timeline.push((self.at, Item::Cut(*end)));
                self.over = true;
                self.cut = true;
            }
        }
    }

    /// Says text up to the first of the body's stop sequences.
    fn say(&mut self, pieces: &Pieces) {
        let text = pieces.pieces.concat();
        let first =
            self.stops.iter().filter_map(|stop| Some((text.find(stop.as_str())?, stop.clone()))).min();
        let Some((end, stop)) = first else {
            return self.pieces(Kind::Text, pieces);
        };
        let mut left = end;
        let mut kept = Vec::new();
        for piece in &pieces.pieces {
            let take = piece.len().min(left);
            left -= take;
            kept.extend((take > 0).then(|| piece[..take].to_owned()));
        }
        self.pieces(Kind::Text, &Pieces { pieces: kept, every: pieces.every });
        if !self.over {
            self.stop("stop_sequence", Some(&stop));
        }
    }

    fn pieces(&mut self, kind: Kind, pieces: &Pieces) {
        for piece in &pieces.pieces {
            self.at += pieces.every;
            if self.usage.output_tokens >= self.limit {
                return self.stop("max_tokens", None);
            }
            self.open(kind);
            self.usage.output_tokens += 1;
            let (delta, field) = match kind {
                Kind::Text => (json!({"type": "text_delta", "text": piece}), "text"),
                Kind::Thinking => (json!({"type": "thinking_delta", "thinking": piece}), "thinking"),
            };
            self.delta(&delta);
            self.append(field, piece);
        }
    }

    fn append(&mut self, field: &str, piece: &str) {
        if let Some(Value::String(text)) = self.content.last_mut().and_then(|block| block.get_mut(field)) {
            text.push_str(piece);
        }
    }

    fn call(&mut self, name: &str, input: &Value) {
        self.close();
        let id = format!("toolu_{}_{}", self.message["id"].as_str().unwrap_or_default(), self.content.len());
        self.start_block(json!({"type": "tool_use", "id": id, "name": name, "input": {}}));
        let arguments = input.as_str().map_or_else(|| input.to_string(), str::to_owned);
        let half = (arguments.len() / 2..arguments.len()).find(|at| arguments.is_char_boundary(*at));
        let (first, second) = arguments.split_at(half.unwrap_or(0));
        for part in ["", first, second] {
            self.usage.output_tokens += 1;
            self.delta(&json!({"type": "input_json_delta", "partial_json": part}));
        }
        self.stop_block();
        if let Some(block) = self.content.last_mut() {
            block["input"] = if input.is_object() { input.clone() } else { json!({}) };
        }
        self.message["stop_reason"] = json!("tool_use");
    }

    fn open(&mut self, kind: Kind) {
        if self.open == Some(kind) {
            return;
        }
        self.close();
        self.start_block(match kind {
            Kind::Text => json!({"type": "text", "text": ""}),
            Kind::Thinking => json!({"type": "thinking", "thinking": "", "signature": ""}),
        });
        self.open = Some(kind);
    }

    fn close(&mut self) {
        let Some(kind) = self.open.take() else { return };
        if kind == Kind::Thinking {
            let signature = format!("signature-of-block-{}", self.content.len());
            self.delta(&json!({"type": "signature_delta", "signature": signature}));
            self.append("signature", &signature);
        }
        self.stop_block();
    }

    fn start_block(&mut self, block: Value) {
        let data =
            json!({"type": "content_block_start", "index": self.content.len(), "content_block": block});
        self.event("content_block_start", data);
        self.content.push(block);
    }

    fn delta(&mut self, delta: &Value) {
        let index = self.content.len().saturating_sub(1);
        let data = json!({"type": "content_block_delta", "index": index, "delta": delta});
        self.event("content_block_delta", data);
    }

    fn stop_block(&mut self) {
        let index = self.content.len().saturating_sub(1);
        self.event("content_block_stop", json!({"type": "content_block_stop", "index": index}));
    }

    fn stop(&mut self, reason: &str, sequence: Option<&str>) {
        self.message["stop_reason"] = json!(reason);
        self.message["stop_sequence"] = json!(sequence);
        self.over = true;
    }

    fn event(&mut self, name: &'static str, data: Value) {
        self.timeline.push((self.at, Item::Event { name, data }));
    }

    fn finish(mut self) -> Answer {
        self.usage.output_tokens += 2;
        if self.message["stop_reason"].is_null() {
            self.message["stop_reason"] = json!("end_turn");
        }
        if !self.cut {
            self.close();
            let delta = json!({
                "stop_reason": self.message["stop_reason"],
                "stop_sequence": self.message["stop_sequence"],
            });
            let usage = self.usage.json();
            self.event("message_delta", json!({"type": "message_delta", "delta": delta, "usage": usage}));
            self.event("message_stop", json!({"type": "message_stop"}));
        }
        self.message["content"] = Value::Array(std::mem::take(&mut self.content));
        self.message["usage"] = self.usage.full_json();
        Answer { timeline: self.timeline, message: self.message, usage: self.usage }
    }
}
