//! A place in the request body: a value, and the path to it that errors name.

use std::fmt;

use serde_json::{Map, Value};

use crate::dialect::Rejection;

/// A value of the body and where it stands. The path is a chain to the root, written out only for an error.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    value: &'a Value,
    path: Path<'a>,
}

#[derive(Clone, Copy)]
enum Path<'a> {
    Body,
    Field { of: &'a Path<'a>, name: &'a str },
    Item { of: &'a Path<'a>, index: usize },
}

impl<'a> Node<'a> {
    /// The body itself.
    pub(super) fn body(value: &'a Value) -> Self {
        Self { value, path: Path::Body }
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    /// Where it stands, as errors name it.
    pub(super) fn path(&self) -> String {
        self.path.to_string()
    }

    /// The field of that name; `null` counts as absent, as OpenAI's clients send it for "not set".
    pub(super) fn get(&'a self, name: &'a str) -> Option<Self> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(self.field(name, value))
    }

    /// The field of that name, which may be `null` but must be there.
    pub(super) fn required(&'a self, name: &'a str) -> Result<Self, Rejection> {
        let Some(value) = self.value.get(name) else {
            return Err(self.missing(name));
        };
        Ok(self.field(name, value))
    }

    /// All fields that are not `null`.
    pub(super) fn fields(&'a self) -> Result<impl Iterator<Item = (&'a str, Self)>, Rejection> {
        let fields: &'a Map<String, Value> =
            self.value.as_object().ok_or_else(|| self.invalid_type("an object"))?;
        let present = fields.iter().filter(|(_, value)| !value.is_null());
        Ok(present.map(|(name, value)| (name.as_str(), self.field(name, value))))
    }

    /// The same, which must be an object.
    pub(super) fn of_object(&self) -> Result<&Self, Rejection> {
        if self.value.is_object() { Ok(self) } else { Err(self.invalid_type("an object")) }
    }

    /// Refuses an object with any other fields than these.
    pub(super) fn closed(&'a self, names: &[&str]) -> Result<(), Rejection> {
        match self.fields()?.find(|(name, _)| !names.contains(name)) {
            Some((_, field)) => Err(field.unsupported("It is not known here.")),
            None => Ok(()),
        }
    }

    /// All items of an array.
    pub(super) fn items(&'a self) -> Result<impl ExactSizeIterator<Item = Self>, Rejection> {
        let items = self.value.as_array().ok_or_else(|| self.invalid_type("an array"))?;
        let item = |(index, value)| Self { value, path: Path::Item { of: &self.path, index } };
        Ok(items.iter().enumerate().map(item))
    }

    pub(super) fn text(&self) -> Result<&'a str, Rejection> {
        self.value.as_str().ok_or_else(|| self.invalid_type("a string"))
    }

    pub(super) fn boolean(&self) -> Result<bool, Rejection> {
        self.value.as_bool().ok_or_else(|| self.invalid_type("a boolean"))
    }

    pub(super) fn number(&self) -> Result<f64, Rejection> {
        self.value.as_f64().ok_or_else(|| self.invalid_type("a number"))
    }

    /// A count of at least 1.
    pub(super) fn count(&self) -> Result<u32, Rejection> {
        if !(self.value.is_i64() || self.value.is_u64()) {
            return Err(self.invalid_type("an integer"));
        }
        let count =
            self.value.as_u64().and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0);
        count.ok_or_else(|| self.invalid_value(format!("It must be an integer from 1 to {}.", u32::MAX)))
    }

    pub(super) fn invalid_type(&self, expected: &str) -> Rejection {
        let got = type_name(self.value);
        let message =
            format!("Invalid type for '{}': expected {expected}, but got {got} instead.", self.path);
        Rejection::invalid("invalid_type", self.path.to_string(), message)
    }

    pub(super) fn invalid_value(&self, why: impl fmt::Display) -> Rejection {
        let message = format!("Invalid value for '{}'. {why}", self.path);
        Rejection::invalid("invalid_value", self.path.to_string(), message)
    }

    pub(super) fn unsupported(&self, why: impl fmt::Display) -> Rejection {
        let message = format!("Unsupported parameter: '{}'. {why}", self.path);
        Rejection::invalid("unsupported_parameter", self.path.to_string(), message)
    }

    /// The field of that name should be there.
    pub(super) fn missing(&'a self, name: &'a str) -> Rejection {
        Rejection::missing(&Path::Field { of: &self.path, name }.to_string())
    }

    fn field(&'a self, name: &'a str, value: &'a Value) -> Self {
        Self { value, path: Path::Field { of: &self.path, name } }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => Ok(()),
            Self::Field { of: Self::Body, name } => f.write_str(name),
            Self::Field { of, name } => write!(f, "{of}.{name}"),
            Self::Item { of, index } => write!(f, "{of}[{index}]"),
        }
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
