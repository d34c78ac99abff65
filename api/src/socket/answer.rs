//! What goes on from a job, put together from the text of the frame: what is in it is read by who reads every request,
//! within its bounds.

use std::fmt;

use axum::body::Bytes;
use drover_shared::dialect::Rejection;
use drover_shared::schema::{SessionId, limits};
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::request::wrong;

/// Fields of a request that `job.answer` says by itself.
const OWN_FIELDS: [&str; 3] = ["messages", "input", "session_id"];
/// What a result holds.
const RESULT: [&str; 2] = ["tool_call_id", "content"];

/// A request but for the session in which it goes on.
#[derive(Debug, PartialEq)]
pub(super) struct GoesOn {
    /// The results as messages of a chat.
    messages: String,
    /// The fields of the request, without the braces around them.
    fields: String,
}

impl GoesOn {
    pub(super) fn read(results: &RawValue, request: Option<&RawValue>) -> Result<Self, Rejection> {
        let fields = request.map(fields).transpose()?.unwrap_or_default().to_owned();
        Ok(Self { messages: messages(results)?, fields })
    }

    /// The body of the request.
    pub(super) fn in_session(self, session: SessionId) -> Bytes {
        let Self { messages, fields } = self;
        let comma = if fields.is_empty() { "" } else { "," };
        format!(r#"{{"session_id":"{session}","messages":[{messages}]{comma}{fields}}}"#).into()
    }
}

fn fields(request: &RawValue) -> Result<&str, Rejection> {
    let text = request.get();
    let mut named = None;
    let look = Fields(|name: &str, _: &RawValue| {
        named = named.take().or_else(|| OWN_FIELDS.into_iter().find(|own| *own == name));
    });
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.deserialize_map(look).map_err(|_| wrong("request", "an object"))?;
    if let Some(name) = named {
        let why = "The job and its results say so already.";
        return Err(Rejection::invalid_value(&format!("request.{name}"), why));
    }
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    Ok(inner.unwrap_or_default().trim())
}

fn messages(results: &RawValue) -> Result<String, Rejection> {
    let mut reader = serde_json::Deserializer::from_str(results.get());
    let results = reader.deserialize_seq(Results).map_err(|_| wrong("results", "a list of objects"))?;
    if results.is_empty() || results.len() > limits::SOCKET_RESULTS {
        let why = format!("It must hold 1 to {} results.", limits::SOCKET_RESULTS);
        return Err(Rejection::invalid_value("results", &why));
    }
    let messages: Result<Vec<String>, Rejection> =
        results.into_iter().enumerate().map(|(at, result)| message(at, result)).collect();
    Ok(messages?.join(","))
}

fn message(at: usize, result: &RawValue) -> Result<String, Rejection> {
    let mut found: [Option<&str>; 2] = [None, None];
    let mut unknown = None;
    let look = Fields(|name: &str, value| match RESULT.iter().position(|known| *known == name) {
        Some(place) => found[place] = Some(RawValue::get(value)),
        None => unknown = unknown.take().or_else(|| Some(name.to_owned())),
    });
    let mut reader = serde_json::Deserializer::from_str(result.get());
    reader.deserialize_map(look).map_err(|_| wrong("results", "a list of objects"))?;
    if let Some(name) = unknown {
        return Err(Rejection::unknown_parameter(&format!("results[{at}].{name}")));
    }
    let [id, content] = found;
    let id = id.ok_or_else(|| Rejection::missing(&format!("results[{at}].tool_call_id")))?;
    let content = content.ok_or_else(|| Rejection::missing(&format!("results[{at}].content")))?;
    Ok(format!(r#"{{"role":"tool","tool_call_id":{id},"content":{content}}}"#))
}

/// Looks at the fields of an object, one after another.
struct Fields<F>(F);

impl<'a, F: FnMut(&str, &'a RawValue)> Visitor<'a> for Fields<F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            (self.0)(&name, map.next_value()?);
        }
        Ok(())
    }
}

/// Results, unread, and no more than one too many.
struct Results;

impl<'a> Visitor<'a> for Results {
    type Value = Vec<&'a RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Vec<&'a RawValue>, A::Error> {
        let mut results = Vec::new();
        while results.len() <= limits::SOCKET_RESULTS
            && let Some(result) = seq.next_element()?
        {
            results.push(result);
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(results)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).expect(text)
    }

    #[test]
    fn a_request_is_put_together_of_texts() {
        let session = SessionId::from_uuid(uuid::Uuid::now_v7());
        let results = r#"[ {"content": [{"type":"text","text":"\u00e9"}], "tool_call_id" : "c\"1"} ]"#;
        for (request, tools) in
            [(None, Value::Null), (Some("{ }"), Value::Null), (Some(r#"{ "tools" : [1] }"#), json!([1]))]
        {
            let goes_on = GoesOn::read(raw(results), request.map(raw)).expect("a good request");
            let body: Value = serde_json::from_slice(&goes_on.in_session(session)).expect("JSON");
            let message =
                json!({"role": "tool", "tool_call_id": "c\"1", "content": [{"type": "text", "text": "é"}]});
            assert_eq!(body["messages"], json!([message]));
            assert_eq!((&body["session_id"], &body["tools"]), (&json!(session.to_string()), &tools));
        }
    }

    #[test]
    fn what_the_job_says_already_is_refused_however_it_is_written() {
        let results = raw(r#"[{"tool_call_id":"c","content":"x"}]"#);
        for (request, param) in [
            (r#"{"session_id":"new"}"#, "request.session_id"),
            (r#"{"a":1,"\u006dessages":[]}"#, "request.messages"),
            (r#"{"input":""}"#, "request.input"),
            ("[]", "request"),
        ] {
            let rejection = GoesOn::read(results, Some(raw(request))).expect_err(request);
            assert_eq!(rejection.param.as_deref(), Some(param), "{request}");
        }
    }

    #[test]
    fn many_results_are_not_kept() {
        let many = format!("[{}0]", "0,".repeat(1_000_000));
        let mut reader = serde_json::Deserializer::from_str(&many);
        let kept = reader.deserialize_seq(Results).expect("a list");
        assert_eq!(kept.len(), limits::SOCKET_RESULTS + 1);
    }
}
