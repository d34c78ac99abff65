//! What a client may say over a WebSocket: one JSON object in a text frame.

use std::fmt;

use axum::body::Bytes;
use drover_shared::dialect::Rejection;
use drover_shared::schema::{Seq, limits};
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::answer::GoesOn;
use super::listing;
use crate::error::Problem;
use crate::generate::{aside, replay};
use crate::jobs::Listing;

/// A frame as far as it can be read: also of a bad one the identifier is known, if it has a good one.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) id: Option<String>,
    pub(super) what: Result<What, Problem>,
}

/// What is asked for.
#[derive(Debug, PartialEq)]
pub(super) enum What {
    /// A new job, and perhaps to be told of it.
    Submit {
        request: Bytes,
        /// The client's key for it.
        key: Option<String>,
        telling: Option<Telling>,
    },
    /// To be told of a job from a sequence number on.
    Subscribe {
        job: String,
        after: Seq,
        telling: Telling,
    },
    Unsubscribe {
        job: String,
    },
    Cancel {
        job: String,
    },
    Get {
        job: String,
    },
    /// Those of the key's jobs that are so and so.
    List(Listing),
    /// The results of the calls with which a job has ended, and perhaps to be told of the one that goes on.
    Answer {
        job: String,
        goes_on: GoesOn,
        key: Option<String>,
        telling: Option<Telling>,
    },
    Ping,
}

/// In which form a client is told of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// As canonical events.
    Events,
    /// As the chunks of the dialect.
    Chunks { include_usage: bool },
}

/// Every type of request, with the fields that it may have besides `type` and `id`.
pub(crate) const TYPES: [(&str, &[&str]); 8] = [
    ("job.submit", &["request", "idempotency_key", "subscribe", "format", "include_usage"]),
    ("job.subscribe", &["job", "after", "format", "include_usage"]),
    ("job.unsubscribe", &["job"]),
    ("job.cancel", &["job"]),
    ("job.get", &["job"]),
    ("job.list", listing::NAMES),
    ("job.answer", &["job", "results", "request", "idempotency_key", "subscribe", "format", "include_usage"]),
    ("ping", &[]),
];

impl What {
    /// The route of HTTP that does the same, whose scopes are asked for.
    pub(super) fn route(&self) -> &'static str {
        match self {
            Self::Submit { .. } | Self::Answer { .. } => "/v1/chat/completions",
            Self::Subscribe { .. } => "/v1/jobs/{id}/events",
            Self::Cancel { .. } => "/v1/jobs/{id}/cancel",
            Self::Get { .. } => "/v1/jobs/{id}",
            Self::List(_) => "/v1/jobs",
            Self::Unsubscribe { .. } | Self::Ping => "/v1/ws",
        }
    }
}

/// Reads a frame; a large one where that holds up nobody.
pub(super) async fn read(frame: Bytes) -> Asked {
    let read = aside(frame.len(), move || parse(&frame)).await;
    read.unwrap_or_else(|problem| Asked { id: None, what: Err(problem) })
}

fn parse(frame: &Bytes) -> Asked {
    let fields = match fields(frame) {
        Ok(fields) => fields,
        Err(rejection) => return Asked { id: None, what: Err(rejection.into()) },
    };
    let id = match fields.get("id").map(|_| id(&fields)).transpose() {
        Ok(id) => id,
        Err(rejection) => return Asked { id: None, what: Err(rejection.into()) },
    };
    Asked { id, what: what(&fields, frame).map_err(Problem::from) }
}

fn fields(frame: &Bytes) -> Result<Fields<'_>, Rejection> {
    let text = std::str::from_utf8(frame).map_err(|_| no_object())?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let fields = reader.deserialize_map(ReadFields).map_err(|_| no_object())?;
    reader.end().map_err(|_| no_object())?;
    Ok(fields)
}

fn no_object() -> Rejection {
    Rejection::new(400, "invalid_json", "A frame must be one JSON object.")
}

fn id(fields: &Fields) -> Result<String, Rejection> {
    let id = fields.text("id")?;
    if id.len() > limits::SOCKET_ID_BYTES {
        let why = format!("It is longer than {} bytes.", limits::SOCKET_ID_BYTES);
        return Err(Rejection::invalid_value("id", &why));
    }
    Ok(id)
}

fn what(fields: &Fields, frame: &Bytes) -> Result<What, Rejection> {
    let kind = fields.text("type")?;
    let Some((_, allowed)) = TYPES.iter().find(|(name, _)| *name == kind) else {
        let names = TYPES.map(|(name, _)| name).join(", ");
        return Err(Rejection::invalid_value("type", &format!("It must be one of {names}.")));
    };
    fields.only(allowed)?;
    let job = || fields.text("job");
    Ok(match kind.as_str() {
        "job.submit" => {
            let request = fields.required("request")?;
            let request = frame.slice_ref(request.get().as_bytes());
            What::Submit { request, key: key(fields)?, telling: asked_for(fields)? }
        }
        "job.subscribe" => What::Subscribe { job: job()?, after: after(fields)?, telling: telling(fields)? },
        "job.unsubscribe" => What::Unsubscribe { job: job()? },
        "job.cancel" => What::Cancel { job: job()? },
        "job.get" => What::Get { job: job()? },
        "job.list" => What::List(listing::read(fields.known.iter().copied())?),
        "job.answer" => What::Answer {
            job: job()?,
            goes_on: GoesOn::read(fields.required("results")?, fields.get("request"))?,
            key: key(fields)?,
            telling: asked_for(fields)?,
        },
        _ => What::Ping,
    })
}

fn key(fields: &Fields) -> Result<Option<String>, Rejection> {
    let name = "idempotency_key";
    let key: Option<String> = fields.optional(name, "a string")?;
    key.map(|key| replay::checked(name, key.as_bytes())).transpose()
}

fn after(fields: &Fields) -> Result<Seq, Rejection> {
    let after: Seq = fields.optional("after", "a sequence number, 0 or above")?.unwrap_or_default();
    // The store counts in signed numbers; no job comes near.
    i64::try_from(after).map_err(|_| wrong("after", "a sequence number, 0 or above"))?;
    Ok(after)
}

/// How to tell of a job that is to be, if it is to be told of.
fn asked_for(fields: &Fields) -> Result<Option<Telling>, Rejection> {
    if fields.optional("subscribe", "a boolean")?.unwrap_or(false) {
        return telling(fields).map(Some);
    }
    match ["format", "include_usage"].into_iter().find(|name| fields.get(name).is_some()) {
        Some(name) => Err(Rejection::invalid_value(name, "It is only allowed with 'subscribe': true.")),
        None => Ok(None),
    }
}

fn telling(fields: &Fields) -> Result<Telling, Rejection> {
    let format: Option<String> = fields.optional("format", "a string")?;
    let include_usage: Option<bool> = fields.optional("include_usage", "a boolean")?;
    match (format.as_deref().unwrap_or("events"), include_usage) {
        ("chunks", usage) => Ok(Telling::Chunks { include_usage: usage.unwrap_or(false) }),
        ("events", None) => Ok(Telling::Events),
        ("events", Some(_)) => {
            Err(Rejection::invalid_value("include_usage", "It is only allowed with 'format': 'chunks'."))
        }
        _ => Err(wrong("format", "'events' or 'chunks'")),
    }
}

pub(super) fn wrong(name: &str, expected: &str) -> Rejection {
    Rejection::invalid("invalid_type", name, format!("Invalid value for '{name}'. It must be {expected}."))
}

/// The fields of a frame, unread; those alone that some request has.
#[derive(Default)]
struct Fields<'a> {
    known: Vec<(&'static str, &'a RawValue)>,
    /// The first that no request has, and the first that came twice.
    unknown: Option<String>,
    doubled: Option<&'static str>,
}

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.known.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn required(&self, name: &str) -> Result<&'a RawValue, Rejection> {
        self.get(name).ok_or_else(|| Rejection::missing(name))
    }

    fn text(&self, name: &str) -> Result<String, Rejection> {
        serde_json::from_str(self.required(name)?.get()).map_err(|_| wrong(name, "a string"))
    }

    fn optional<T: serde::de::DeserializeOwned>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, Rejection> {
        let Some(value) = self.get(name) else { return Ok(None) };
        serde_json::from_str(value.get()).map(Some).map_err(|_| wrong(name, expected))
    }

    /// Refuses every field but these.
    fn only(&self, allowed: &[&str]) -> Result<(), Rejection> {
        let misplaced = self.known.iter().map(|(name, _)| *name);
        let mut misplaced =
            misplaced.filter(|name| !["type", "id"].contains(name) && !allowed.contains(name));
        if let Some(name) = self.unknown.as_deref().or_else(|| misplaced.next()) {
            return Err(Rejection::unknown_parameter(name));
        }
        match self.doubled {
            Some(name) => Err(Rejection::invalid_value(name, "It is given twice.")),
            None => Ok(()),
        }
    }
}

/// The name as it stands in a list, if some request has such a field.
fn known(name: &str) -> Option<&'static str> {
    let lists = TYPES.iter().flat_map(|(_, fields)| fields.iter().copied());
    ["type", "id"].into_iter().chain(lists).find(|known| *known == name)
}

struct ReadFields;

impl<'a> Visitor<'a> for ReadFields {
    type Value = Fields<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Fields<'a>, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key::<String>()? {
            let Some(name) = known(&name) else {
                map.next_value::<IgnoredAny>()?;
                fields.unknown.get_or_insert(name);
                continue;
            };
            let value = map.next_value::<&RawValue>()?;
            if fields.get(name).is_some() {
                fields.doubled.get_or_insert(name);
            } else {
                fields.known.push((name, value));
            }
        }
        Ok(fields)
    }
}

/// Whether a frame is refused by what it is alone.
#[cfg(test)]
pub(crate) fn refuses(frame: &str) -> bool {
    parse(&Bytes::copy_from_slice(frame.as_bytes())).what.is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(frame: &str) -> Asked {
        parse(&Bytes::copy_from_slice(frame.as_bytes()))
    }

    #[test]
    fn requests_are_read() {
        let job = || "job_1".to_owned();
        for (frame, expected) in [
            (r#"{"type":"ping"}"#, What::Ping),
            (
                r#"{"type":"job.submit","request":{"model": "m"}}"#,
                What::Submit { request: Bytes::from_static(br#"{"model": "m"}"#), key: None, telling: None },
            ),
            (
                r#"{"type":"job.submit","request":1,"idempotency_key":"k-1","subscribe":true,"format":"chunks"}"#,
                What::Submit {
                    request: Bytes::from_static(b"1"),
                    key: Some("k-1".to_owned()),
                    telling: Some(Telling::Chunks { include_usage: false }),
                },
            ),
            (
                r#"{"job":"job_1","type":"job.subscribe","after":7}"#,
                What::Subscribe { job: job(), after: 7, telling: Telling::Events },
            ),
            (r#"{"type":"job.cancel","job":"job_1"}"#, What::Cancel { job: job() }),
        ] {
            assert_eq!(asked(frame).what.expect(frame), expected, "{frame}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_the_identifier_kept() {
        let long = format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(limits::SOCKET_ID_BYTES + 1));
        let many = format!(
            r#"{{"type":"job.answer","job":"j","id":"1","results":[{}]}}"#,
            vec![r#"{"tool_call_id":"c","content":"x"}"#; limits::SOCKET_RESULTS + 1].join(",")
        );
        let tags = format!(
            r#"{{"type":"job.list","id":"1","tag":[{}]}}"#,
            vec![r#""t""#; limits::TAGS + 1].join(",")
        );
        for (frame, id, code, param) in [
            ("[1]", None, "invalid_json", None),
            (r#"{"type":"ping"} x"#, None, "invalid_json", None),
            (r#"{"type":"ping","id":7}"#, None, "invalid_type", Some("id")),
            (&long, None, "invalid_value", Some("id")),
            (r#"{"id":"1"}"#, Some("1"), "missing_required_parameter", Some("type")),
            (r#"{"id":"1","type":"job"}"#, Some("1"), "invalid_value", Some("type")),
            (r#"{"id":"1","type":"ping","job":"j"}"#, Some("1"), "unknown_parameter", Some("job")),
            (r#"{"id":"1","type":"ping","é":1}"#, Some("1"), "unknown_parameter", Some("é")),
            (r#"{"id":"1","type":"job.get","job":"j","job":"k"}"#, Some("1"), "invalid_value", Some("job")),
            (r#"{"id":"1","type":"job.get"}"#, Some("1"), "missing_required_parameter", Some("job")),
            (r#"{"id":"1","type":"job.submit"}"#, Some("1"), "missing_required_parameter", Some("request")),
            (
                r#"{"id":"1","type":"job.submit","request":{},"format":"chunks"}"#,
                Some("1"),
                "invalid_value",
                Some("format"),
            ),
            (
                r#"{"id":"1","type":"job.submit","request":{},"idempotency_key":"a b"}"#,
                Some("1"),
                "invalid_value",
                Some("idempotency_key"),
            ),
            (
                r#"{"id":"1","type":"job.submit","request":{},"idempotency_key":1}"#,
                Some("1"),
                "invalid_type",
                Some("idempotency_key"),
            ),
            (
                r#"{"id":"1","type":"job.subscribe","job":"j","after":-1}"#,
                Some("1"),
                "invalid_type",
                Some("after"),
            ),
            (
                r#"{"id":"1","type":"job.subscribe","job":"j","after":9223372036854775808}"#,
                Some("1"),
                "invalid_type",
                Some("after"),
            ),
            (
                r#"{"id":"1","type":"job.subscribe","job":"j","format":"sse"}"#,
                Some("1"),
                "invalid_type",
                Some("format"),
            ),
            (
                r#"{"id":"1","type":"job.subscribe","job":"j","include_usage":true}"#,
                Some("1"),
                "invalid_value",
                Some("include_usage"),
            ),
            (r#"{"id":"1","type":"job.list","limit":"5"}"#, Some("1"), "invalid_type", Some("limit")),
            (r#"{"id":"1","type":"job.list","limit":101}"#, Some("1"), "invalid_value", Some("limit")),
            (
                r#"{"id":"1","type":"job.list","background":"true"}"#,
                Some("1"),
                "invalid_type",
                Some("background"),
            ),
            (r#"{"id":"1","type":"job.list","tag":["a",1]}"#, Some("1"), "invalid_type", Some("tag")),
            (r#"{"id":"1","type":"job.list","status":["done"]}"#, Some("1"), "invalid_value", Some("status")),
            (r#"{"id":"1","type":"job.list","job":"j"}"#, Some("1"), "unknown_parameter", Some("job")),
            (&tags, Some("1"), "invalid_value", Some("tag")),
            (&many, Some("1"), "invalid_value", Some("results")),
            (
                r#"{"id":"1","type":"job.answer","job":"j","results":[{"content":"x"}]}"#,
                Some("1"),
                "missing_required_parameter",
                Some("results[0].tool_call_id"),
            ),
        ] {
            let asked = asked(frame);
            let Problem(rejection) = asked.what.expect_err(frame);
            assert_eq!((asked.id.as_deref(), rejection.code), (id, code), "{frame}");
            assert_eq!(rejection.param.as_deref(), param, "{frame}");
            assert_eq!(rejection.status, 400, "{frame}");
        }
    }
}
