//! Every field of a request that this dialect knows, and what becomes of it. The parser obeys this table
//! and the documentation is printed from it, so neither can say what the other does not.

use std::fmt;

use serde_json::Value;

use Kind::{Any, Array, Boolean, Integer, Number, Object, String as Text, StringOrArray, StringOrObject};
use Neutral::{EmptyArray, EmptyObject, ListOf, ObjectOfType};
use Scope::{Body, Message, Part, StreamOptions, Usage};
use Treatment::{Honoured, Ignored, IgnoredIf, Neutral as Only, Refused};

/// The table, alphabetically within each scope.
pub const PARAMETERS: &[Parameter] = &[
    of(
        Body,
        "agent",
        Boolean,
        Honoured,
        "Whether Claude Code is to work on it, with its own tools, in a project.",
    ),
    of(Body, "api_base", Any, Refused, KEEP_OFF),
    of(Body, "api_key", Any, Refused, KEEP_OFF),
    of(Body, "audio", Object, Refused, "Answers are text."),
    of(Body, "base_url", Any, Refused, KEEP_OFF),
    of(Body, "chat_template_kwargs", Object, Refused, "Models have no chat template here."),
    of(
        Body,
        "drop_params",
        Boolean,
        Honoured,
        "Whether to leave out what no provider of the model takes, and name it, instead of refusing it.",
    ),
    of(Body, "frequency_penalty", Number, Only(ZERO), NO_COUNTERPART),
    of(Body, "function_call", StringOrObject, Only(NO_TOOL_CHOICE), NO_TOOLS),
    of(Body, "functions", Array, Only(&[EmptyArray]), NO_TOOLS),
    of(Body, "logit_bias", Object, Only(&[EmptyObject]), NO_COUNTERPART),
    of(Body, "logprobs", Boolean, Only(&[Neutral::Boolean(false)]), NO_COUNTERPART),
    of(Body, "max_completion_tokens", Integer, Honoured, "Most tokens to answer with, thinking included."),
    of(Body, "max_tokens", Integer, Honoured, "The older name of `max_completion_tokens`; both must agree."),
    of(Body, "messages", Array, Honoured, "The conversation; it ends with the user."),
    of(Body, "metadata", Object, Ignored, "Completions are not stored, so there is nothing to label."),
    of(Body, "min_p", Number, Only(ZERO), NO_COUNTERPART),
    of(Body, "modalities", Array, Only(&[ListOf("text")]), "Answers are text."),
    of(Body, "model", Text, Honoured, "The model; without it the configured default."),
    of(Body, "moderation", Any, Refused, NO_COUNTERPART),
    of(Body, "n", Integer, Only(&[Neutral::Number(1.0)]), "One answer per request."),
    of(Body, "parallel_tool_calls", Boolean, Only(EITHER), NO_TOOLS),
    of(Body, "prediction", Object, Refused, NO_COUNTERPART),
    of(Body, "presence_penalty", Number, Only(ZERO), NO_COUNTERPART),
    of(
        Body,
        "project_id",
        Text,
        Honoured,
        "The project that a new session of an agent works in; without it a new one.",
    ),
    of(Body, "prompt_cache_key", Text, Ignored, "Caching never changes an answer."),
    of(Body, "prompt_cache_options", Object, Ignored, "Caching never changes an answer."),
    of(Body, "prompt_cache_retention", Text, Ignored, "Caching never changes an answer."),
    of(Body, "reasoning", Object, Honoured, "`effort`, or `max_tokens` to think with."),
    of(
        Body,
        "reasoning_effort",
        Text,
        Honoured,
        "How much to think: `none`, `minimal` (as `low`), `low`, `medium`, `high` or `xhigh` (as `high`); up to 4,000, \
         10,000 or 24,000 tokens where the model is told a number. Counts towards `max_completion_tokens`.",
    ),
    of(Body, "repetition_penalty", Number, Only(&[Neutral::Number(1.0)]), NO_COUNTERPART),
    of(Body, "response_format", Object, Only(&[ObjectOfType("text")]), "Answers are plain text."),
    of(Body, "safety_identifier", Text, Honoured, "Told to the provider as `metadata.user_id`."),
    of(Body, "seed", Integer, Refused, NO_COUNTERPART),
    of(
        Body,
        "session_id",
        Text,
        Honoured,
        "The agent's session that this goes on with; send only what is new.",
    ),
    of(
        Body,
        "service_tier",
        Text,
        Honoured,
        "`auto`, or `default` for the standard tier; where the provider has tiers.",
    ),
    of(Body, "stop", StringOrArray, Honoured, "Texts at which the model stops, without saying them."),
    of(Body, "store", Boolean, Only(&[Neutral::Boolean(false)]), "Completions are not stored."),
    of(Body, "stream", Boolean, Honoured, "Whether to send the answer while the model speaks."),
    of(Body, "stream_options", Object, Honoured, "Only with `stream: true`."),
    of(Body, "temperature", Number, Honoured, "0 to 1; what OpenAI allows above 1 is refused."),
    of(
        Body,
        "thinking",
        Object,
        Honoured,
        "As in Anthropic's API: `enabled` with `budget_tokens`, `adaptive` or `disabled`.",
    ),
    of(Body, "tool_choice", StringOrObject, Only(NO_TOOL_CHOICE), NO_TOOLS),
    of(Body, "tools", Array, Only(&[EmptyArray]), NO_TOOLS),
    of(Body, "top_k", Integer, Honoured, "From how many of the likeliest tokens the next one is drawn."),
    of(Body, "top_logprobs", Integer, Only(ZERO), NO_COUNTERPART),
    of(Body, "top_p", Number, Honoured, "0 to 1."),
    of(Body, "usage", Object, Honoured, "With `include`, the usage tells the cost."),
    of(Body, "user", Text, Honoured, "The older name of `safety_identifier`."),
    of(Body, "verbosity", Text, Only(&[Neutral::Text("medium")]), NO_COUNTERPART),
    of(Body, "web_search_options", Object, Refused, "The model does not search the web."),
    of(StreamOptions, "include_obfuscation", Boolean, IgnoredIf(EITHER), "Frames are never padded."),
    of(StreamOptions, "include_usage", Boolean, Honoured, "Whether the stream ends with the usage."),
    of(
        Usage,
        "include",
        Boolean,
        Honoured,
        "Whether `usage` has `cost`, in US dollars; `null` where no price is known.",
    ),
    of(Message, "annotations", Array, Ignored, "They are the answer's, not the conversation's."),
    of(Message, "audio", Object, Refused, TEXT_ONLY),
    of(Message, "content", StringOrArray, Honoured, "A string, or parts of text."),
    of(Message, "function_call", Object, Refused, NO_TOOLS),
    of(Message, "name", Text, Ignored, "The model is not told who of several speaks."),
    of(Message, "reasoning_content", Text, Ignored, "Earlier reasoning is not shown to the model again."),
    of(Message, "refusal", Text, Honoured, "What the assistant said instead of an answer."),
    of(Message, "role", Text, Honoured, "`system`, `developer`, `user` or `assistant`."),
    of(Message, "tool_call_id", Text, Refused, NO_TOOLS),
    of(Message, "tool_calls", Array, Only(&[EmptyArray]), NO_TOOLS),
    of(Part, "file", Any, Refused, TEXT_ONLY),
    of(Part, "image_url", Any, Refused, TEXT_ONLY),
    of(Part, "input_audio", Any, Refused, TEXT_ONLY),
    of(Part, "refusal", Text, Honoured, "The text of a part of type `refusal`."),
    of(Part, "text", Text, Honoured, "The text of a part of type `text`."),
    of(Part, "type", Text, Honoured, "`text`, or in an assistant's message `refusal`."),
];

pub(super) const KEEP_OFF: &str = "The provider and its key are the server's own.";
const NO_COUNTERPART: &str = "The model's provider has no counterpart.";
const NO_TOOLS: &str = "Tools are not supported.";
const TEXT_ONLY: &str = "Conversations are text.";
const ZERO: &[Neutral] = &[Neutral::Number(0.0)];
const EITHER: &[Neutral] = &[Neutral::Boolean(true), Neutral::Boolean(false)];
const NO_TOOL_CHOICE: &[Neutral] = &[Neutral::Text("auto"), Neutral::Text("none")];

/// A field of the request. `null` stands for its absence everywhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// Where it stands.
    pub scope: Scope,
    /// Its name there.
    pub name: &'static str,
    /// What JSON it must be.
    pub kind: Kind,
    /// What becomes of it.
    pub treatment: Treatment,
    /// What it does, or why it does nothing.
    pub note: &'static str,
}

/// What becomes of a field. A field that the table does not list is ignored and reported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Treatment {
    /// It does what it says.
    Honoured,
    /// Accepted with these values, which change nothing; any other is refused.
    Neutral(&'static [Neutral]),
    /// Answered with 400 `unsupported_parameter`.
    Refused,
    /// It cannot change an answer; accepted, and reported as ignored.
    Ignored,
    /// Accepted with these values and reported as ignored; any other is refused.
    IgnoredIf(&'static [Neutral]),
}

/// A value that asks for what happens anyway.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Neutral {
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A string.
    Text(&'static str),
    /// `[]`
    EmptyArray,
    /// `{}`
    EmptyObject,
    /// An array of one string.
    ListOf(&'static str),
    /// An object with nothing but a `type`.
    ObjectOfType(&'static str),
}

/// Which object of the request a field stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The body itself.
    Body,
    /// `stream_options`.
    StreamOptions,
    /// `usage`.
    Usage,
    /// Each of `messages`.
    Message,
    /// Each part of a message's `content`.
    Part,
}

/// What JSON a field must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say all")]
pub enum Kind {
    Any,
    Array,
    Boolean,
    Integer,
    Number,
    Object,
    String,
    StringOrArray,
    StringOrObject,
}

/// The table as Markdown, for the documentation.
pub fn markdown() -> String {
    let head = "| parameter | type | treatment | note |\n|---|---|---|---|\n";
    PARAMETERS.iter().fold(head.to_owned(), |table, row| table + &row.to_string() + "\n")
}

/// The row of the field `name` in `scope`.
pub fn find(scope: Scope, name: &str) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|row| row.scope == scope && row.name == name)
}

const fn of(
    scope: Scope,
    name: &'static str,
    kind: Kind,
    treatment: Treatment,
    note: &'static str,
) -> Parameter {
    Parameter { scope, name, kind, treatment, note }
}

impl Scope {
    /// What stands before the names of its fields.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Body => "",
            Self::StreamOptions => "stream_options.",
            Self::Usage => "usage.",
            Self::Message => "messages[].",
            Self::Part => "messages[].content[].",
        }
    }
}

impl Kind {
    /// Whether `value` is of this kind.
    pub fn admits(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Array => value.is_array(),
            Self::Boolean => value.is_boolean(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Object => value.is_object(),
            Self::String => value.is_string(),
            Self::StringOrArray => value.is_string() || value.is_array(),
            Self::StringOrObject => value.is_string() || value.is_object(),
        }
    }

    /// In words, with an article.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Any => "any value",
            Self::Array => "an array",
            Self::Boolean => "a boolean",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Object => "an object",
            Self::String => "a string",
            Self::StringOrArray => "a string or array",
            Self::StringOrObject => "a string or object",
        }
    }
}

impl Neutral {
    /// Whether `value` is this one.
    pub fn matches(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Boolean(is), Value::Bool(value)) => *value == is,
            (Self::Number(is), Value::Number(value)) => value.as_f64() == Some(is),
            (Self::Text(is), Value::String(value)) => value == is,
            (Self::EmptyArray, Value::Array(items)) => items.is_empty(),
            (Self::EmptyObject, Value::Object(fields)) => fields.is_empty(),
            (Self::ListOf(is), Value::Array(items)) => items.len() == 1 && items[0] == is,
            (Self::ObjectOfType(is), Value::Object(fields)) => fields.len() == 1 && value["type"] == is,
            _ => false,
        }
    }
}

impl fmt::Display for Neutral {
    /// As JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(is) => write!(f, "{is}"),
            Self::Number(is) => write!(f, "{is}"),
            Self::Text(is) => write!(f, "\"{is}\""),
            Self::EmptyArray => f.write_str("[]"),
            Self::EmptyObject => f.write_str("{}"),
            Self::ListOf(is) => write!(f, "[\"{is}\"]"),
            Self::ObjectOfType(is) => write!(f, "{{\"type\":\"{is}\"}}"),
        }
    }
}

impl fmt::Display for Parameter {
    /// As a row of the Markdown table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, name, kind, treatment, note } = self;
        let kind = kind.describe().trim_start_matches("an ").trim_start_matches("a ");
        write!(f, "| `{}{name}` | {kind} | {treatment} | {note} |", scope.prefix())
    }
}

impl fmt::Display for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Honoured => f.write_str("honoured"),
            Self::Neutral(values) => write!(f, "only {}", one_of(values)),
            Self::Refused => f.write_str("refused"),
            Self::Ignored => f.write_str("ignored"),
            Self::IgnoredIf(values) => write!(f, "ignored, only {}", one_of(values)),
        }
    }
}

/// The values as code, joined by "or".
pub(super) fn one_of(values: &[Neutral]) -> String {
    values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(" or ")
}
