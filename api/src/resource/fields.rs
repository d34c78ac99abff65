//! The fields of a body, each of which is known or refused.

use axum::extract::Request;
use drover_shared::dialect::Rejection;
use drover_shared::schema::dollars::{read_dollars, write_dollars};
use drover_shared::schema::{HostRule, limits};
use serde_json::{Map, Value};

use super::body;
use super::parameters::{invalid, unknown};
use crate::app::App;
use crate::error::Problem;

/// The fields that nobody has taken yet.
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Those of a request, whose body is a JSON object or empty.
    pub(crate) async fn of(app: &App, request: Request) -> Result<Self, Problem> {
        let bytes = body::read(&app.settings, limits::RESOURCE_BODY_BYTES, request).await?;
        Ok(Self::read(&bytes)?)
    }

    fn read(bytes: &[u8]) -> Result<Self, Rejection> {
        if bytes.is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(Rejection::new(400, "invalid_type", "The request body must be a JSON object.")),
            // The message is made of a position and of words about syntax; it quotes nothing of the body.
            Err(error) => {
                let message = format!("The request body is not valid JSON: {error}.");
                Err(Rejection::new(400, "invalid_json", message))
            }
        }
    }

    /// A text of at most so many characters. `None`: it is not there; an inner `None`: it is `null`.
    #[expect(clippy::option_option, reason = "what is absent stays as it is, what is null is cleared")]
    pub(crate) fn text(&mut self, name: &str, most: usize) -> Result<Option<Option<String>>, Rejection> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::String(text)) if text.chars().count() > most => {
                Err(invalid(name, &format!("It is longer than {most} characters.")))
            }
            Some(Value::String(text)) => Ok(Some(Some(text))),
            Some(_) => Err(wrong_type(name, "a string")),
        }
    }

    /// A text of one line, for people; `null` empties it.
    pub(crate) fn line(&mut self, name: &str) -> Result<Option<String>, Rejection> {
        let text = self.text(name, limits::NAME_CHARS)?.map(Option::unwrap_or_default);
        if text.as_ref().is_some_and(|text| text.chars().any(char::is_control)) {
            return Err(invalid(name, "It must not hold control characters."));
        }
        Ok(text)
    }

    /// An identifier; `null` counts as absent.
    pub(crate) fn id<T: std::str::FromStr>(
        &mut self,
        name: &str,
        what: &str,
    ) -> Result<Option<T>, Rejection> {
        let Some(text) = self.text(name, limits::NAME_CHARS)?.flatten() else { return Ok(None) };
        text.parse().map(Some).map_err(|_| invalid(name, &format!("It is no {what}'s identifier.")))
    }

    /// An integer within bounds. `None`: it is not there; an inner `None`: it is `null`.
    #[expect(clippy::option_option, reason = "what is absent stays as it is, what is null is cleared")]
    pub(crate) fn whole(
        &mut self,
        name: &str,
        least: i64,
        most: i64,
    ) -> Result<Option<Option<i64>>, Rejection> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::Number(number)) => {
                match number.as_i64().filter(|number| (least..=most).contains(number)) {
                    Some(number) => Ok(Some(Some(number))),
                    None => Err(invalid(name, &format!("It must be an integer from {least} to {most}."))),
                }
            }
            Some(_) => Err(wrong_type(name, "an integer")),
        }
    }

    /// An amount of US dollars in millionths, at most `most` of them; likewise.
    #[expect(clippy::option_option, reason = "what is absent stays as it is, what is null is cleared")]
    pub(crate) fn dollars(&mut self, name: &str, most: u64) -> Result<Option<Option<u64>>, Rejection> {
        let text = match self.0.remove(name) {
            None => return Ok(None),
            Some(Value::Null) => return Ok(Some(None)),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::String(text)) => text,
            Some(_) => return Err(wrong_type(name, "a number")),
        };
        match read_dollars(text.strip_suffix(".0").unwrap_or(&text)) {
            Ok(amount) if amount <= most => Ok(Some(Some(amount))),
            Ok(_) => Err(invalid(name, &format!("It is more than {}.", write_dollars(most)))),
            Err(_) => {
                Err(invalid(name, "It must be US dollars such as 2 or 0.25, with six decimals at most."))
            }
        }
    }

    /// A list of words; `null` counts as absent.
    pub(crate) fn words(&mut self, name: &str) -> Result<Option<Vec<String>>, Rejection> {
        let items = match self.0.remove(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(wrong_type(name, "an array")),
        };
        let word = |(at, item): (usize, Value)| match item {
            Value::String(word) => Ok(word),
            _ => Err(wrong_type(&format!("{name}[{at}]"), "a string")),
        };
        items.into_iter().enumerate().map(word).collect::<Result<_, _>>().map(Some)
    }

    /// A list of hosts; `null` counts as absent.
    pub(crate) fn hosts(&mut self, name: &str) -> Result<Option<Vec<HostRule>>, Rejection> {
        let items = match self.0.remove(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(wrong_type(name, "an array")),
        };
        if items.len() > limits::NETWORK_RULES {
            return Err(invalid(name, &format!("It holds more than {} hosts.", limits::NETWORK_RULES)));
        }
        let rule = |(at, item): (usize, &Value)| {
            let path = format!("{name}[{at}]");
            let text = item.as_str().ok_or_else(|| wrong_type(&path, "a string"))?;
            text.parse().map_err(|error| invalid(&path, &format!("It is no host: {error}.")))
        };
        items.iter().enumerate().map(rule).collect::<Result<_, _>>().map(Some)
    }

    /// Refuses a field that may not be given; `null` says nothing.
    pub(crate) fn refuse(&mut self, name: &str, why: &str) -> Result<(), Rejection> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(()),
            Some(_) => Err(Rejection::invalid(
                "unsupported_parameter",
                name,
                format!("Unsupported parameter: '{name}'. {why}"),
            )),
        }
    }

    /// Refuses what is left.
    pub(crate) fn done(self) -> Result<(), Rejection> {
        self.0.keys().next().map_or(Ok(()), |name| Err(unknown(name)))
    }
}

fn wrong_type(name: &str, expected: &str) -> Rejection {
    Rejection::invalid("invalid_type", name, format!("Invalid type for '{name}': expected {expected}."))
}

#[cfg(test)]
mod tests {
    use drover_shared::schema::SessionId;

    use super::*;

    fn of(body: &str) -> Fields {
        Fields::read(body.as_bytes()).expect("an object")
    }

    #[test]
    fn what_is_known_is_taken() {
        let mut fields =
            of(r#"{"a":"x\ny","b":null,"c":"é","hosts":["crates.io","*.example.org:443"],"d":null}"#);
        assert_eq!(fields.text("a", 3), Ok(Some(Some("x\ny".to_owned()))));
        assert_eq!((fields.text("b", 3), fields.text("none", 3)), (Ok(Some(None)), Ok(None)));
        assert_eq!(
            (fields.line("c"), fields.id::<SessionId>("d", "session")),
            (Ok(Some("é".to_owned())), Ok(None))
        );
        assert_eq!(fields.hosts("hosts").map(|hosts| hosts.map(|hosts| hosts.len())), Ok(Some(2)));
        assert_eq!(fields.done(), Ok(()));
        assert_eq!(Fields::read(b"").expect("nothing").done(), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        type Take = fn(&mut Fields) -> Result<(), Rejection>;
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(limits::NAME_CHARS + 1));
        let cases: [(&str, Take, &str, Option<&str>); 11] = [
            (r#"{"a":7}"#, |f| f.line("a").map(drop), "invalid_type", Some("a")),
            (&long, |f| f.line("a").map(drop), "invalid_value", Some("a")),
            (r#"{"a":"x\u0007"}"#, |f| f.line("a").map(drop), "invalid_value", Some("a")),
            (r#"{"a":"éé"}"#, |f| f.text("a", 1).map(drop), "invalid_value", Some("a")),
            (r#"{"a":"job_1"}"#, |f| f.id::<SessionId>("a", "session").map(drop), "invalid_value", Some("a")),
            (r#"{"a":"x"}"#, |f| f.hosts("a").map(drop), "invalid_type", Some("a")),
            (r#"{"a":["crates.io",1]}"#, |f| f.hosts("a").map(drop), "invalid_type", Some("a[1]")),
            (r#"{"a":["x y"]}"#, |f| f.hosts("a").map(drop), "invalid_value", Some("a[0]")),
            (r#"{"path":"/etc"}"#, |f| f.refuse("path", "No."), "unsupported_parameter", Some("path")),
            (r#"{"path":null}"#, |f| f.refuse("path", "No."), "", None),
            (r#"{"a":1}"#, |_| Ok(()), "unknown_parameter", Some("a")),
        ];
        for (body, take, code, param) in cases {
            let mut fields = of(body);
            let refused = take(&mut fields).and_then(|()| fields.done()).err();
            let told = refused.as_ref().map_or(("", None), |it| (it.code, it.param.as_deref()));
            assert_eq!(told, (code, param), "{body}");
        }
        for (body, code) in [("[]", "invalid_type"), ("{", "invalid_json"), ("{}x", "invalid_json")] {
            assert_eq!(Fields::read(body.as_bytes()).err().map(|it| it.code), Some(code), "{body}");
        }
    }
}
