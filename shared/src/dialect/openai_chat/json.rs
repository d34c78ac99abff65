//! Bytes to a JSON object, with a bound on how much memory a body may turn into.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::dialect::Rejection;
use crate::schema::limits;

/// Reads `body` as one JSON object. What nests deeper than `serde_json`'s recursion limit is refused by it.
pub(super) fn read(body: &[u8]) -> Result<Value, Rejection> {
    let left = Cell::new(limits::REQUEST_VALUES);
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = Bounded { left: &left, depth: usize::MAX }
        .deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value));
    match value {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(Rejection::new(400, "invalid_type", "The request body must be a JSON object.")),
        Err(_) if left.get() == 0 => {
            let most = limits::REQUEST_VALUES;
            Err(Rejection::new(
                400,
                "invalid_value",
                format!("The request body holds more than {most} values."),
            ))
        }
        // The message is made of a position and of words about syntax; it quotes nothing of the body.
        Err(error) => {
            Err(Rejection::new(400, "invalid_json", format!("The request body is not valid JSON: {error}.")))
        }
    }
}

/// Reads a text that is to hold one JSON object. `left` is how many values may still be read.
pub(super) fn object(text: &str, left: &Cell<usize>) -> Result<Map<String, Value>, &'static str> {
    let mut json = serde_json::Deserializer::from_str(text);
    let bounded = Bounded { left, depth: limits::ARGUMENTS_DEPTH };
    match bounded.deserialize(&mut json).and_then(|value| json.end().map(|()| value)) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ if left.get() == 0 => Err("The request holds too many values."),
        Ok(_) => Err("It must be the text of a JSON object."),
        Err(_) => Err("It must be the text of a JSON object that does not nest too deep."),
    }
}

/// Builds a value while counting down. An object of one field takes seven bytes of body and hundreds of
/// memory, so the size of the body alone bounds too little.
#[derive(Clone, Copy)]
struct Bounded<'a> {
    left: &'a Cell<usize>,
    /// How many levels may still open.
    depth: usize,
}

impl Bounded<'_> {
    fn count<E: Error>(self) -> Result<(), E> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| E::custom("too many values"))?;
        self.left.set(left);
        Ok(())
    }

    /// For what stands a level deeper.
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("too deep"))?;
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            fields.insert(name, map.next_value_seed(inner)?);
        }
        Ok(Value::Object(fields))
    }
}
