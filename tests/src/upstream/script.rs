//! The language in which a prompt tells the scripted upstream what to answer.
//!
//! ```text
//! script   = steps | N "times" script "or" script      the second from the (N+1)th call with this prompt on
//!          | "until told" script "or" script            the second once the prompt has been answered by a tool's result
//! steps    = step ("then" step)*
//! step     = "say" text ["every" DURATION]              text = N "words" | JSON string
//!          | "think" text ["every" DURATION]
//!          | "call" NAME (JSON object | JSON string)     a string is sent as it is, be it JSON or not
//!          | "wait" DURATION | "big" N ("kB" | "MB") | "echo" | "empty" | "refuse" | "max_tokens"
//!          | ("reset" | "stall" | "truncate" | "error") ["after" N]
//!          | ("reset" | "stall") "before headers"
//!          | "status" CODE ["retry-after" SECONDS] [JSON string]
//!          | "content-type" TYPE | "redirect"
//! DURATION = N ("ms" | "s")
//! ```
//!
//! `reset after 5` is short for `say 5 words then wait 100ms then reset`. `echo` says the request's body. Anything that is
//! not a script is answered with a short text that repeats it.

use serde_json::Value;
use std::time::Duration;

/// Pause between the words and the reset of `reset after N`.
const BEFORE_RESET: Duration = Duration::from_millis(100);

/// What the upstream does with one call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Script {
    /// Answers with a message, made of these steps.
    Message(Vec<Step>),
    /// Answers with an error.
    Status {
        /// HTTP status.
        code: u16,
        /// Value of `retry-after`, in seconds.
        retry_after_s: Option<u32>,
        /// The error's text.
        message: Option<String>,
    },
    /// Answers 200 with a page of this type, as a wrong base URL does.
    Page(String),
    /// Answers 302 to a path that nobody should ask for.
    Redirect,
    /// Resets the connection instead of answering.
    ResetBeforeHeaders,
    /// Never answers.
    StallBeforeHeaders,
    /// Plays the first script so many times for one prompt, then the second.
    Times(u32, Box<Script>, Box<Script>),
    /// Plays the first script until the conversation ends with a tool's result, then the second: the same for
    /// every attempt of a job.
    UntilTold(Box<Script>, Box<Script>),
}

/// One part of a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Thinks; one delta per piece.
    Think(Pieces),
    /// Says text; one delta per piece.
    Say(Pieces),
    /// Says the request's body as JSON text.
    Echo,
    /// Calls a tool.
    Call(String, Value),
    /// Sends nothing for a while.
    Wait(Duration),
    /// Ends, well or not; later steps are not played.
    End(End),
}

/// Text in the pieces in which it is sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pieces {
    /// The pieces; together they are the text.
    pub(super) pieces: Vec<String>,
    /// Pause before each piece.
    pub(super) every: Duration,
}

/// How a message ends that does not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As an answer without content.
    Empty,
    /// With stop reason `refusal`.
    Refusal,
    /// With stop reason `max_tokens`.
    MaxTokens,
    /// The connection is reset.
    Reset,
    /// Nothing more is sent, and the connection stays open.
    Stall,
    /// The body ends without the message's end.
    Truncate,
    /// An `error` event, then the body's end.
    Error,
}

/// The script that a prompt is, or one that repeats the prompt.
pub(super) fn read(prompt: &str) -> Script {
    let mut words = Words(prompt.trim());
    match script(&mut words) {
        Some(script) if words.0.is_empty() => script,
        _ => Script::Message(vec![Step::Say(Pieces::whole(&echo_text(prompt)))]),
    }
}

/// What the upstream says to a prompt that is no script.
pub fn echo_text(prompt: &str) -> String {
    format!("You said: {}", prompt.chars().take(200).collect::<String>())
}

/// The text of `say N words`: numbered, so that a missing or doubled word shows.
pub fn words(count: usize) -> String {
    numbered("word", count).concat()
}

/// The text of `think N words`.
pub fn thoughts(count: usize) -> String {
    numbered("thought", count).concat()
}

fn numbered(word: &str, count: usize) -> Vec<String> {
    (1..=count).map(|n| if n == 1 { format!("{word}{n}") } else { format!(" {word}{n}") }).collect()
}

impl Pieces {
    /// Cuts a text before every run of white space, as a model's tokens do.
    fn whole(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let word = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
            let end = rest[word..].find(char::is_whitespace).map_or(rest.len(), |at| word + at);
            pieces.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
        Self { pieces, every: Duration::ZERO }
    }
}

fn script(words: &mut Words<'_>) -> Option<Script> {
    let before = *words;
    if let Some(count) = words.number().filter(|_| words.take("times")) {
        let first = script(words)?;
        return words
            .take("or")
            .then(|| script(words))?
            .map(|then| Script::Times(count, Box::new(first), Box::new(then)));
    }
    *words = before;
    if words.take("until") && words.take("told") {
        let first = script(words)?;
        return words
            .take("or")
            .then(|| script(words))?
            .map(|then| Script::UntilTold(Box::new(first), Box::new(then)));
    }
    *words = before;
    if let Some(script) = answer_without_message(words) {
        return Some(script);
    }
    *words = before;
    let mut steps = step(words)?;
    while words.take("then") {
        steps.extend(step(words)?);
    }
    Some(Script::Message(steps))
}

fn answer_without_message(words: &mut Words<'_>) -> Option<Script> {
    match words.word()? {
        "status" => Some(Script::Status {
            code: u16::try_from(words.number()?).ok()?,
            retry_after_s: if words.take("retry-after") { Some(words.number()?) } else { None },
            message: words.quoted(),
        }),
        "content-type" => Some(Script::Page(words.word()?.to_owned())),
        "redirect" => Some(Script::Redirect),
        "reset" => (words.take("before") && words.take("headers")).then_some(Script::ResetBeforeHeaders),
        "stall" => (words.take("before") && words.take("headers")).then_some(Script::StallBeforeHeaders),
        _ => None,
    }
}

fn step(words: &mut Words<'_>) -> Option<Vec<Step>> {
    Some(vec![match words.word()? {
        "say" => Step::Say(text(words, "word")?),
        "think" => Step::Think(text(words, "thought")?),
        "call" => Step::Call(
            words.word()?.to_owned(),
            words.json().filter(|input| input.is_object() || input.is_string())?,
        ),
        "wait" => Step::Wait(words.duration()?),
        "big" => Step::Say(Pieces { pieces: vec!["x".repeat(words.size()?)], every: Duration::ZERO }),
        "echo" => Step::Echo,
        "empty" => Step::End(End::Empty),
        "refuse" => Step::End(End::Refusal),
        "max_tokens" => Step::End(End::MaxTokens),
        "reset" => return ending(words, End::Reset),
        "stall" => return ending(words, End::Stall),
        "truncate" => return ending(words, End::Truncate),
        "error" => return ending(words, End::Error),
        _ => return None,
    }])
}

/// The rest of `reset after 5`.
fn ending(words: &mut Words<'_>, end: End) -> Option<Vec<Step>> {
    if !words.take("after") {
        return Some(vec![Step::End(end)]);
    }
    let count = usize::try_from(words.number()?).ok()?;
    let mut steps = vec![Step::Say(Pieces { pieces: numbered("word", count), every: Duration::ZERO })];
    // A reset throws away what the other side has not read yet; this leaves it time to read.
    steps.extend((end == End::Reset).then_some(Step::Wait(BEFORE_RESET)));
    steps.push(Step::End(end));
    Some(steps)
}

fn text(words: &mut Words<'_>, name: &str) -> Option<Pieces> {
    let mut pieces = if let Some(text) = words.quoted() {
        Pieces::whole(&text)
    } else {
        let count = usize::try_from(words.number()?).ok()?;
        words.take("words").then(|| Pieces { pieces: numbered(name, count), every: Duration::ZERO })?
    };
    if words.take("every") {
        pieces.every = words.duration()?;
    }
    Some(pieces)
}

/// What is left of a prompt. Every method takes from its front, or takes nothing and answers `None`.
#[derive(Clone, Copy)]
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn word(&mut self) -> Option<&'a str> {
        let end = self.0.find(char::is_whitespace).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest.trim_start();
        (!word.is_empty()).then_some(word)
    }

    fn take(&mut self, expected: &str) -> bool {
        let before = *self;
        let taken = self.word() == Some(expected);
        if !taken {
            *self = before;
        }
        taken
    }

    fn parsed<T>(&mut self, parse: impl FnOnce(&'a str) -> Option<T>) -> Option<T> {
        let before = *self;
        let parsed = self.word().and_then(parse);
        if parsed.is_none() {
            *self = before;
        }
        parsed
    }

    fn number(&mut self) -> Option<u32> {
        self.parsed(|word| word.parse().ok())
    }

    fn duration(&mut self) -> Option<Duration> {
        self.parsed(|word| match word.strip_suffix("ms") {
            Some(ms) => ms.parse().ok().map(Duration::from_millis),
            None => word.strip_suffix('s')?.parse().ok().map(Duration::from_secs),
        })
    }

    fn size(&mut self) -> Option<usize> {
        self.parsed(|word| match word.strip_suffix("MB") {
            Some(megabytes) => megabytes.parse::<usize>().ok().map(|n| n << 20),
            None => word.strip_suffix("kB")?.parse::<usize>().ok().map(|n| n << 10),
        })
    }

    fn json(&mut self) -> Option<Value> {
        let mut values = serde_json::Deserializer::from_str(self.0).into_iter();
        let value = values.next()?.ok()?;
        self.0 = self.0[values.byte_offset()..].trim_start();
        Some(value)
    }

    fn quoted(&mut self) -> Option<String> {
        if !self.0.starts_with('"') {
            return None;
        }
        self.json().and_then(|value| value.as_str().map(str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(pieces: &[&str], every_ms: u64) -> Step {
        let pieces = pieces.iter().map(ToString::to_string).collect();
        Step::Say(Pieces { pieces, every: Duration::from_millis(every_ms) })
    }

    #[test]
    fn every_form_is_read() {
        let status = |code, retry_after_s, message: Option<&str>| Script::Status {
            code,
            retry_after_s,
            message: message.map(str::to_owned),
        };
        let cases = [
            ("say 2 words every 50ms", Script::Message(vec![say(&["word1", " word2"], 50)])),
            (r#"say " a b\n c ""#, Script::Message(vec![say(&[" a", " b", "\n c", " "], 0)])),
            ("big 1kB", Script::Message(vec![say(&["x".repeat(1024).as_str()], 0)])),
            ("truncate after 1", Script::Message(vec![say(&["word1"], 0), Step::End(End::Truncate)])),
            ("say 1 words then stall", Script::Message(vec![say(&["word1"], 0), Step::End(End::Stall)])),
            ("wait 2s then echo", Script::Message(vec![Step::Wait(Duration::from_secs(2)), Step::Echo])),
            (
                r#"call get_weather {"city": "then or"} then refuse"#,
                Script::Message(vec![
                    Step::Call("get_weather".into(), serde_json::json!({"city": "then or"})),
                    Step::End(End::Refusal),
                ]),
            ),
            ("status 429 retry-after 2", status(429, Some(2), None)),
            (
                r#"status 400 "prompt is too long: 1 > 0""#,
                status(400, None, Some("prompt is too long: 1 > 0")),
            ),
            (
                "2 times status 529 or empty",
                Script::Times(
                    2,
                    Box::new(status(529, None, None)),
                    Box::new(Script::Message(vec![Step::End(End::Empty)])),
                ),
            ),
            (
                "until told empty or redirect",
                Script::UntilTold(
                    Box::new(Script::Message(vec![Step::End(End::Empty)])),
                    Box::new(Script::Redirect),
                ),
            ),
            ("stall before headers", Script::StallBeforeHeaders),
            ("reset before headers", Script::ResetBeforeHeaders),
            ("content-type text/html", Script::Page("text/html".into())),
            ("redirect", Script::Redirect),
        ];
        for (prompt, expected) in cases {
            assert_eq!(read(prompt), expected, "{prompt}");
        }
    }

    #[test]
    fn what_is_no_script_is_repeated() {
        for prompt in ["say hello", "say 3 words loudly", "call x", "status", "wait 3", "", "--version"] {
            let expected = Script::Message(vec![Step::Say(Pieces::whole(&echo_text(prompt)))]);
            assert_eq!(read(prompt), expected, "{prompt}");
        }
    }

    #[test]
    fn pieces_join_to_the_text() {
        for text in ["", " ", "a", "  two  spaces ", "tab\tline\n\nend\n"] {
            assert_eq!(Pieces::whole(text).pieces.concat(), text);
        }
    }
}
