//! The way back: what the model gives to the answer's tool is the text of its answer, as it comes.

use crate::schema::{Block, Class, Event, JobSpec, StopReason, limits};

/// Makes text of the calls of the answer's tool, in the events of one answer. A job may be answered by any provider,
/// so this reads what each of them says: one that takes the schema answers with the text itself.
///
/// A model that was only asked to call the tool may say something before it does. So what does not begin as an object
/// is kept back until it is clear whether a call follows, which takes its place.
#[derive(Debug)]
pub struct TurnBack {
    tool: String,
    message: Message,
}

/// What is known of the message that now streams.
#[derive(Debug, Default)]
struct Message {
    /// The block of the call that is the answer, and whether anything of it has come.
    answer: Option<(u32, bool)>,
    /// The block of what follows the answer: a further such call, or text.
    surplus: Option<u32>,
    /// The tool has been called.
    has_answered: bool,
    /// A tool of the client's has been called.
    calls: bool,
    /// Text is going out.
    speaks: bool,
    /// The text that is kept back, its latest block, and how long it is.
    held: Vec<Event>,
    held_block: Option<u32>,
    held_bytes: usize,
}

impl TurnBack {
    /// For the answer to a job; `None` if no tool can stand in for its shape.
    pub fn of(spec: &JobSpec) -> Option<Self> {
        let shape = super::shape(spec).filter(|_| spec.class() == Class::Chat);
        shape.map(|_| Self { tool: super::name(&spec.tools), message: Message::default() })
    }

    /// The events as the client is to have them.
    pub fn read(&mut self, events: Vec<Event>) -> Vec<Event> {
        let mut out = Vec::with_capacity(events.len());
        for event in events {
            self.take(event, &mut out);
        }
        out
    }

    fn take(&mut self, event: Event, out: &mut Vec<Event>) {
        let message = &mut self.message;
        match event {
            Event::BlockStarted { index, block: Block::ToolUse { name, .. } } if name == self.tool => {
                message.begin(index, out);
            }
            Event::BlockStarted { block: Block::ToolUse { .. }, .. } => {
                message.calls = true;
                message.release(out);
                out.push(event);
            }
            Event::BlockStarted { index, block: Block::Text } | Event::TextDelta { index, .. } => {
                message.say(index, event, out);
            }
            Event::ToolInputDelta { index, partial_json } => message.go_on(index, partial_json, out),
            Event::BlockStopped { index } => message.close(index, out),
            Event::MessageStopped { stop, stop_sequence } => {
                message.release(out);
                out.push(Event::MessageStopped { stop: message.stop(stop), stop_sequence });
            }
            Event::MessageStarted { .. } => {
                *message = Message::default();
                out.push(event);
            }
            Event::AttemptStarted { .. }
            | Event::Routed { .. }
            | Event::BlockStarted { .. }
            | Event::ThinkingDelta { .. }
            | Event::SignatureDelta { .. }
            | Event::ToolStarted { .. }
            | Event::ToolFinished { .. }
            | Event::FilesChanged(_)
            | Event::Notice { .. }
            | Event::Unrecognised { .. }
            | Event::Choice { .. }
            | Event::Completed { .. }
            | Event::Failed { .. }
            | Event::Cancelled { .. }
            | Event::Expired => out.push(event),
        }
    }
}

impl Message {
    /// The tool is called. There is one answer only: the first.
    fn begin(&mut self, index: u32, out: &mut Vec<Event>) {
        self.held.clear();
        self.surplus = Some(index).filter(|_| self.has_answered || self.speaks);
        self.has_answered = true;
        if self.surplus.is_none() {
            self.answer = Some((index, false));
            out.push(Event::BlockStarted { index, block: Block::Text });
        }
    }

    fn go_on(&mut self, index: u32, partial_json: String, out: &mut Vec<Event>) {
        if self.surplus == Some(index) {
            return;
        }
        match &mut self.answer {
            Some((answer, has_come)) if *answer == index => {
                *has_come |= !partial_json.is_empty();
                out.push(Event::TextDelta { index, text: partial_json });
            }
            _ => out.push(Event::ToolInputDelta { index, partial_json }),
        }
    }

    fn close(&mut self, index: u32, out: &mut Vec<Event>) {
        if self.surplus.take_if(|surplus| *surplus == index).is_some() {
            return;
        }
        // No arguments are an empty object.
        if self.answer.take_if(|(answer, _)| *answer == index).is_some_and(|(_, has_come)| !has_come) {
            out.push(Event::TextDelta { index, text: "{}".to_owned() });
        }
        let stopped = Event::BlockStopped { index };
        let is_held = self.held_block == Some(index) && !self.held.is_empty();
        if is_held { self.held.push(stopped) } else { out.push(stopped) }
    }

    fn say(&mut self, index: u32, event: Event, out: &mut Vec<Event>) {
        if self.has_answered {
            self.surplus = Some(index);
            return;
        }
        if self.speaks {
            return out.push(event);
        }
        let text = if let Event::TextDelta { text, .. } = &event { text.trim_start() } else { "" };
        let has_begun = self.held_bytes > 0;
        let is_object = !has_begun && text.starts_with('{');
        self.held_bytes += text.len();
        self.held_block = Some(index);
        self.held.push(event);
        if is_object || self.held_bytes > limits::PREAMBLE_BYTES {
            self.release(out);
        }
    }

    fn release(&mut self, out: &mut Vec<Event>) {
        self.speaks |= !self.held.is_empty();
        out.append(&mut self.held);
    }

    /// Who has only called the answer's tool has said all.
    fn stop(&self, stop: StopReason) -> StopReason {
        if stop == StopReason::ToolUse && self.has_answered && !self.calls {
            StopReason::EndTurn
        } else {
            stop
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::OutputFormat;

    /// Events in short: `t0` opens a text block, `a0` one of the answer's tool, `c0` one of the client's, `th0` one of
    /// thoughts, `0` closes one, `0:text` is a piece of it (`0=text` if it is a piece of arguments), `m` begins a message,
    /// and a word ends it.
    fn event(word: &str) -> Event {
        let tool = |name: &str| Block::ToolUse { id: "id".to_owned(), name: name.to_owned() };
        let open =
            |digits: &str, block: Block| Event::BlockStarted { index: digits.parse().expect(word), block };
        if let Some(at) = word.find([':', '=']) {
            let (index, piece) = (word[..at].parse().expect(word), &word[at + 1..]);
            return match &word[at..=at] {
                ":" => Event::TextDelta { index, text: piece.replace('_', " ") },
                _ => Event::ToolInputDelta { index, partial_json: piece.to_owned() },
            };
        }
        if let Ok(index) = word.parse() {
            return Event::BlockStopped { index };
        }
        let stopped = |stop| Event::MessageStopped { stop, stop_sequence: None };
        match word {
            "m" => Event::MessageStarted { message_id: "m".to_owned(), model: "m".to_owned() },
            "end" => stopped(StopReason::EndTurn),
            "tools" => stopped(StopReason::ToolUse),
            "limit" => stopped(StopReason::MaxTokens),
            _ if word.starts_with("th") => open(&word[2..], Block::Thinking),
            _ => match word.split_at(1) {
                ("t", index) => open(index, Block::Text),
                ("a", index) => open(index, tool("answer")),
                ("c", index) => open(index, tool("weather")),
                _ => panic!("{word} is no event"),
            },
        }
    }

    fn events(words: &str) -> Vec<Event> {
        words.split_whitespace().map(event).collect()
    }

    fn reader() -> TurnBack {
        let schema = serde_json::json!({ "type": "object" }).as_object().cloned().expect("an object");
        let output = Some(OutputFormat::Schema { schema, strict: true });
        TurnBack::of(&JobSpec { output, ..JobSpec::default() }).expect("a tool can stand in")
    }

    #[test]
    fn what_is_given_to_the_tool_is_the_answer() {
        for (said, told) in [
            ("m a0 0={\"a\" 0=:1} 0 tools", "m t0 0:{\"a\" 0::1} 0 end"),
            ("m th0 0 a1 1={} 1 tools", "m th0 0 t1 1:{} 1 end"),
            // Nothing given is an empty object.
            ("m a0 0 tools", "m t0 0:{} 0 end"),
            ("m a0 0= 0 tools", "m t0 0: 0:{} 0 end"),
            ("m a0 0={\"a limit", "m t0 0:{\"a limit"),
            // The first answer counts.
            ("m a0 0={} 0 a1 1={\"b\":2} 1 tools", "m t0 0:{} 0 end"),
            // Calls of the client's tools are what they are, beside an answer or alone.
            ("m c0 0={} 0 tools", "m c0 0={} 0 tools"),
            ("m c0 0={} 0 a1 1={} 1 tools", "m c0 0={} 0 t1 1:{} 1 tools"),
            ("m a0 0={} 0 c1 1={} 1 tools", "m t0 0:{} 0 c1 1={} 1 tools"),
            ("m t0 0:Let_me_see. 0 c1 1={} 1 tools", "m t0 0:Let_me_see. 0 c1 1={} 1 tools"),
            // Text that leads up to an answer is none; text that is an answer goes out as it comes.
            ("m t0 0:Here_it 0:_is: 0 a1 1={} 1 tools", "m t1 1:{} 1 end"),
            ("m t0 0:Sorry. 0 end", "m t0 0:Sorry. 0 end"),
            ("m t0 0:_ 0:{\"a\" 0::1} 0 end", "m t0 0:_ 0:{\"a\" 0::1} 0 end"),
            ("m t0 0:{} 0 a1 1={} 1 tools", "m t0 0:{} 0 end"),
            // Text that follows an answer is none.
            ("m a0 0={} 0 t1 1:Done. 1 tools", "m t0 0:{} 0 end"),
            ("m a0 0={} 0 t1 1:Done. 1 c2 2={} 2 tools", "m t0 0:{} 0 c2 2={} 2 tools"),
            ("m t0 0:{} 0 a1 1={} 1 t2 2:Done. 2 tools", "m t0 0:{} 0 end"),
            // Every message counts anew.
            ("m a0 0={} 0 tools m a0 0={} 0 tools", "m t0 0:{} 0 end m t0 0:{} 0 end"),
        ] {
            let mut each = reader();
            let one_by_one: Vec<Event> =
                events(said).into_iter().flat_map(|event| each.read(vec![event])).collect();
            assert_eq!(one_by_one, events(told), "{said}");
            assert_eq!(reader().read(events(said)), events(told), "{said}");
        }
    }

    #[test]
    fn an_answer_flows_and_what_may_be_none_waits() {
        for (so_far, told) in [
            ("m a0 0={", "m t0 0:{"),
            ("m t0 0:{", "m t0 0:{"),
            ("m t0 0:The_answer", "m"),
            ("m t0 0:The_answer 0", "m"),
        ] {
            assert_eq!(reader().read(events(so_far)), events(told), "{so_far}");
        }
        let mut reader = reader();
        let long = |bytes: usize| vec![Event::TextDelta { index: 0, text: "x".repeat(bytes) }];
        assert_eq!(reader.read(long(limits::PREAMBLE_BYTES)), []);
        let both = [long(limits::PREAMBLE_BYTES), long(1)].concat();
        assert_eq!(reader.read(long(1)), both, "so much is no preamble");
    }

    #[test]
    fn only_jobs_whose_answer_has_the_shape_of_an_object_are_read() {
        let of = |output| TurnBack::of(&JobSpec { output, ..JobSpec::default() }).is_some();
        let schema = |json: serde_json::Value| OutputFormat::Schema {
            schema: json.as_object().cloned().expect("an object"),
            strict: false,
        };
        assert!(of(Some(schema(serde_json::json!({ "type": "object" })))));
        assert!(!of(Some(schema(serde_json::json!({ "type": "array" })))));
        assert!(!of(Some(OutputFormat::Object)) && !of(None));
    }
}
