//! What a field of a request may be, and what becomes of it. The parser obeys the [table](PARAMETERS) of fields and
//! the documentation is printed from it, so neither can say what the other does not.

use std::fmt;

use serde_json::Value;

pub use super::responses_body::table::RESPONSES_PARAMETERS;
pub use super::table::PARAMETERS;

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
    /// `{}`
    EmptyObject,
    /// An array of one string.
    ListOf(&'static str),
}

/// Which object of the request a field stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The body itself.
    Body,
    /// `agent`.
    Agent,
    /// Each of `functions`.
    Function,
    /// `response_format`.
    ResponseFormat,
    /// The schema of `response_format`.
    JsonSchema,
    /// `stream_options`.
    StreamOptions,
    /// Each of `tools`.
    Tool,
    /// The function of each of `tools`.
    ToolFunction,
    /// `usage`.
    Usage,
    /// Each of `messages`.
    Message,
    /// The image of a part of type `image_url`.
    ImageUrl,
    /// The file of a part of type `file`.
    File,
    /// Each of a message's `tool_calls`.
    Call,
    /// The function of each of a message's `tool_calls`.
    CalledFunction,
    /// A message's `function_call`.
    FunctionCall,
    /// Each part of a message's `content`.
    Part,
    /// The body itself, in the form of the Responses API.
    ResponsesBody,
    /// `text`, there.
    Text,
    /// Each of `input`, there.
    InputItem,
    /// Each part of an item's `content` or `output`.
    InputPart,
}

/// What JSON a field must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say all")]
pub enum Kind {
    Any,
    Array,
    Boolean,
    BooleanOrObject,
    Integer,
    Number,
    NumberOrString,
    Object,
    String,
    StringOrArray,
    StringOrObject,
}

/// A table as Markdown, for the documentation.
pub fn markdown(table: &[Parameter]) -> String {
    let head = "| parameter | type | treatment | note |\n|---|---|---|---|\n";
    table.iter().fold(head.to_owned(), |table, row| table + &row.to_string() + "\n")
}

/// The row of the field `name` in `scope`.
pub fn find(scope: Scope, name: &str) -> Option<&'static Parameter> {
    PARAMETERS.iter().chain(RESPONSES_PARAMETERS).find(|row| row.scope == scope && row.name == name)
}

impl Scope {
    /// What stands before the names of its fields.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Body | Self::ResponsesBody => "",
            Self::Text => "text.",
            Self::InputItem => "input[].",
            Self::InputPart => "input[].content[].",
            Self::Agent => "agent.",
            Self::Function => "functions[].",
            Self::ResponseFormat => "response_format.",
            Self::JsonSchema => "response_format.json_schema.",
            Self::StreamOptions => "stream_options.",
            Self::Tool => "tools[].",
            Self::ToolFunction => "tools[].function.",
            Self::Usage => "usage.",
            Self::Message => "messages[].",
            Self::Call => "messages[].tool_calls[].",
            Self::CalledFunction => "messages[].tool_calls[].function.",
            Self::FunctionCall => "messages[].function_call.",
            Self::Part => "messages[].content[].",
            Self::ImageUrl => "messages[].content[].image_url.",
            Self::File => "messages[].content[].file.",
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
            Self::BooleanOrObject => value.is_boolean() || value.is_object(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::NumberOrString => value.is_number() || value.is_string(),
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
            Self::BooleanOrObject => "a boolean or object",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::NumberOrString => "a number or string",
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
            (Self::EmptyObject, Value::Object(fields)) => fields.is_empty(),
            (Self::ListOf(is), Value::Array(items)) => items.len() == 1 && items[0] == is,
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
            Self::EmptyObject => f.write_str("{}"),
            Self::ListOf(is) => write!(f, "[\"{is}\"]"),
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
